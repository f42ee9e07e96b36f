"""Is more stored than `[retention]` wants? Who saves is told of it, with the paths that take most, before the rules keep less.

Looked at when the daemon is idle. What was told, and how far the rules were tightened since, survives the daemon.
"""

from collections import Counter, defaultdict
from functools import partial
from time import time_ns

import msgspec

from rewindd.model.ids import WorkspaceId
from rewindd.model.retention import QUOTA_PERCENT
from rewindd.paths import FsText, RelPath
from rewindd.protocol.retention import Biggest, OverQuota
from rewindd.service.space.quotas import Told
from rewindd.service.state import State
from rewindd.store import upkeep, usage, workspaces
from rewindd.store.totals import totals

#: Nothing of value is dropped for a quota before so long after somebody was told: time to prune, or to allow more.
GRACE_NS = 24 * 3600 * 1_000_000_000
#: Paths that are named.
BIGGEST = 5
#: How often the rules are halved: of a thousand checkpoints of a session one is left then.
MOST_PRESSED = 10
STORE = "store"
_NAME = "quota"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, Told])


async def measure(state: State) -> None:
    """Looks what is over its quota; reads what is stored where something is, or a workspace has a bound."""
    rules = state.capture.retention
    limit = rules.max_store_bytes or state.capture.max_store_bytes * QUOTA_PERCENT // 100
    used = (await state.bridge.transact(totals))[0]
    over: dict[str, OverQuota] = {}
    if used > limit or rules.max_workspace_bytes:
        sizes, biggest = await _usage(state)
        roots = {one.id: one.root for one in await state.bridge.transact(workspaces.all_of)}
        if used > limit:
            over[STORE] = OverQuota(scope=STORE, used_bytes=used, max_bytes=limit, biggest=_biggest(biggest, roots, None))
        for workspace, size in sizes.items():
            if rules.max_workspace_bytes and size > rules.max_workspace_bytes:
                over[workspace] = OverQuota(
                    scope="workspace",
                    used_bytes=size,
                    max_bytes=rules.max_workspace_bytes,
                    biggest=_biggest(biggest, roots, workspace),
                )
    state.quota.over = over
    found = await state.bridge.transact(lambda db: upkeep.find(db, _NAME))
    told = _decoder.decode(found) if found is not None else {}
    # Somebody may have been told while this was read.
    state.quota.told = {key: one for key, one in (told | state.quota.told).items() if key in over}
    if state.quota.told != told:
        await _note(state)


def of(state: State, workspace: WorkspaceId) -> OverQuota | None:
    """Returns what a session of a workspace is told: that its workspace, or else the store, has too much; None where neither has."""
    key = workspace if workspace in state.quota.over else STORE
    found = state.quota.over.get(key)
    if found is not None and key not in state.quota.told:
        state.quota.told[key] = Told(at_ns=time_ns())
        state.later(lambda: _note(state))
    return found


async def pressed(state: State) -> dict[str, int]:
    """Returns how often the rules are to be halved now, for the store and each workspace that has too much.

    Once more where it is too much still, a day after somebody was told: of a workspace's own bound somebody who is at work in it.
    """
    now_ns, before = time_ns(), dict(state.quota.told)
    for key, told in before.items():
        if max(told.at_ns, told.pressed_at_ns) > now_ns:  # the clock was set back; the day begins again
            state.quota.told[key] = Told(min(told.at_ns, now_ns), told.pressed, min(told.pressed_at_ns, now_ns))
        elif key in state.quota.over and now_ns - max(told.at_ns, told.pressed_at_ns) > GRACE_NS and told.pressed < MOST_PRESSED:
            state.quota.told[key] = Told(told.at_ns, told.pressed + 1, now_ns)
    if state.quota.told != before:
        await _note(state)
    return {key: told.pressed for key, told in state.quota.told.items() if key in state.quota.over}


async def _note(state: State) -> None:
    told = _encoder.encode(state.quota.told)
    await state.bridge.transact(lambda db: upkeep.put(db, _NAME, told))


async def _usage(state: State) -> tuple[dict[WorkspaceId, int], Counter[tuple[WorkspaceId, RelPath]]]:
    """What the contents of each workspace take, each once, and the versions of each path; not compressed."""
    ids = await state.bridge.transact(workspaces.ids_by_number)
    seen: defaultdict[WorkspaceId, set[bytes]] = defaultdict(set)
    sizes: Counter[WorkspaceId] = Counter()
    biggest: Counter[tuple[WorkspaceId, RelPath]] = Counter()
    for table in usage.TABLES:
        after: tuple[int, bytes | int] | None = None
        while True:
            after, page = await state.bridge.transact(partial(usage.page, table=table, after=after), bulk=True, lasting=False)
            for one in page:
                workspace = ids.get(one.workspace)
                if workspace is None or one.digest[:8] in seen[workspace]:
                    continue
                seen[workspace].add(one.digest[:8])
                sizes[workspace] += one.size
                biggest[workspace, one.path] += one.size
            if after is None:
                break
    return dict(sizes), biggest


def _biggest(found: Counter[tuple[WorkspaceId, RelPath]], roots: dict[WorkspaceId, str], workspace: WorkspaceId | None) -> list[Biggest]:
    chosen = Counter({key: size for key, size in found.items() if workspace is None or key[0] == workspace}).most_common(BIGGEST)
    return [Biggest(path=FsText(f"{roots.get(of, '')}/{path}"), bytes=size) for (of, path), size in chosen]

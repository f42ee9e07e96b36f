"""The scrub: every row and content compared with what was written, from time to time, slowly, while nobody asks for anything.

How far it is survives the daemon, so that a store whose daemon never runs for long is scrubbed too. What it finds is said by `status`,
and healed at once where a workspace still has it.
"""

import logging
from time import time_ns

import anyio
import msgspec

from rewindd.errors import ShuttingDown, StoreError
from rewindd.protocol.integrity import Damage, ScrubInfo
from rewindd.service.asking import render
from rewindd.service.integrity import healing
from rewindd.service.integrity.care import Outcome, Scrub
from rewindd.service.integrity.examining import Examination, Found
from rewindd.service.integrity.idle import idle
from rewindd.service.state import State
from rewindd.store import upkeep
from rewindd.store.checking import Key
from rewindd.store.database import Connection
from rewindd.store.totals import totals

log = logging.getLogger(__name__)

#: How often it is looked whether one is due, in seconds, and how far it is written down.
LOOK_S = 60.0
NOTE_S = 30.0
#: Findings that are kept of one scrub, in words.
MOST_TOLD = 20
_NAME = "scrub"


_encoder = msgspec.msgpack.Encoder()
_keys = msgspec.msgpack.Decoder()
_scrubs = msgspec.msgpack.Decoder(Scrub)


async def keep(state: State) -> None:
    """Scrubs whenever it is time, until it is cancelled."""
    while True:
        every_s = state.capture.integrity.scrub_interval_s
        try:
            scrub = state.care.scrub or await load(state)
            if every_s and (scrub.now is not None or _due(scrub, every_s)):
                await _scrub(state, scrub)
        except (StoreError, ShuttingDown) as exc:
            log.warning("the scrub was broken off: %s", exc)
        await anyio.sleep(min(LOOK_S, max(every_s / 4, 0.1)) if every_s else LOOK_S)


async def load(state: State) -> Scrub:
    """Returns how far the store's scrub is, and has `status` tell it."""
    found = await state.bridge.transact(lambda db: upkeep.find(db, _NAME))
    scrub = _scrubs.decode(found) if found is not None else Scrub(since_ns=time_ns())
    if found is None:
        await _note(state, scrub)
    state.care.scrub = scrub
    return scrub


async def info(state: State) -> ScrubInfo:
    """Returns what `status` says of it."""
    _, blobs, rows, _ = await state.bridge.transact(totals)
    scrub = state.care.scrub
    now, last = (scrub.now, scrub.last) if scrub is not None else (None, None)
    is_off = not state.capture.integrity.scrub_interval_s
    return ScrubInfo(
        state="off" if is_off else "running" if now is not None else "waiting",
        done=now.rows + now.blobs if now is not None else 0,
        total=max(rows + blobs, now.rows + now.blobs if now is not None else 0),
        ended_at=render.moment(last.ended_at_ns) if last is not None else None,
        rows=last.rows if last is not None else 0,
        blobs=last.blobs if last is not None else 0,
        # What is found is said while it goes on.
        damage=[*(last.damage if last is not None else ()), *(now.damage if now is not None else ())],
        damage_count=sum(one.damage_count for one in (last, now) if one is not None),
        healed=sum(one.healed for one in (last, now) if one is not None),
    )


async def _scrub(state: State, scrub: Scrub) -> None:
    """Goes through all of it once, or through what is left."""
    now = scrub.now or Outcome(begun_at_ns=time_ns())
    walk = Examination(state, where=_where(now))
    before_rows, before_blobs, noted_s = now.rows, now.blobs, anyio.current_time()
    known = 0
    while not walk.is_over:
        await idle(state)
        size = await walk.step()
        if walk.found.count > known:
            now = _with(now, await healing.explain(state, walk.found))
            walk.found = Found(structure=dict(walk.found.structure))
            known = walk.found.count
        phase, key = walk.where
        counts = {"rows": before_rows + walk.rows, "blobs": before_blobs + walk.blobs}
        now = msgspec.structs.replace(now, **counts, phase=phase, key=_encoder.encode(key) if key is not None else b"")
        state.care.scrub = scrub = msgspec.structs.replace(scrub, now=now)
        if anyio.current_time() - noted_s > NOTE_S:
            noted_s = anyio.current_time()
            await _note(state, scrub)
        await anyio.sleep(size / max(state.capture.integrity.scrub_bytes_per_s, 1))
    ended = msgspec.structs.replace(now, ended_at_ns=time_ns(), phase="", key=b"")
    state.care.scrub = scrub = Scrub(since_ns=scrub.since_ns, last=ended)
    await _note(state, scrub)


def _where(now: Outcome) -> tuple[str, Key | None] | None:
    if not now.phase:
        return None
    return now.phase, tuple(_keys.decode(now.key)) if now.key else None


def _with(now: Outcome, damage: list[Damage]) -> Outcome:
    """The outcome with what was just found, each thing once, and in words."""
    told = [words(one) for one in damage]
    fresh = [one for one in told if one not in now.damage]
    for one in fresh:
        log.error("the scrub found damage: %s", one)
    return msgspec.structs.replace(
        now,
        damage=(*now.damage, *fresh)[:MOST_TOLD],
        damage_count=now.damage_count + len(fresh),
        healed=now.healed + sum(1 for one in damage if one.healed_from is not None),
    )


def words(one: Damage) -> str:
    """Returns a finding on one line: what, what it touches, and whether it is whole again."""
    line = one.message
    if one.checkpoints_count:
        first = ", ".join(ref.id for ref in one.checkpoints[:3])
        line += f"; {one.checkpoints_count} checkpoint{'s' if one.checkpoints_count > 1 else ''} need it: {first}"
        line += ", …" if one.checkpoints_count > 3 else ""
    return f"{line}; healed from {one.healed_from}" if one.healed_from is not None else line


def _due(scrub: Scrub, every_s: int) -> bool:
    since_ns = scrub.last.ended_at_ns if scrub.last is not None else scrub.since_ns
    # A clock that was set back must not put it off for ever.
    return abs(time_ns() - since_ns) >= every_s * 1_000_000_000


async def _note(state: State, scrub: Scrub) -> None:
    encoded = _encoder.encode(scrub)

    def write(db: Connection) -> None:
        upkeep.put(db, _NAME, encoded)

    await state.bridge.transact(write, bulk=True, lasting=False)

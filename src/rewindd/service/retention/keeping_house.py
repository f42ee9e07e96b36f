"""Retention unasked: from time to time, while nobody asks for anything, what the rules do not keep goes, and quotas are looked at."""

import logging
from functools import partial
from time import monotonic

import anyio

from rewindd.errors import RewinddError, ShuttingDown
from rewindd.model.ids import WorkspaceId
from rewindd.service.integrity.idle import idle
from rewindd.service.retention import ageing, collecting, pruning, quota
from rewindd.service.retention.choosing import choose
from rewindd.service.space.quotas import Looked
from rewindd.service.state import State
from rewindd.store import checkpoints, workspaces

log = logging.getLogger(__name__)

#: How often it is looked whether it is time, in seconds.
LOOK_S = 60.0


async def keep(state: State) -> None:
    """Tidies up whenever it is time and nobody asks for anything, until it is cancelled."""
    done_s = monotonic()
    while True:
        every_s = state.capture.retention.interval_s
        await anyio.sleep(min(LOOK_S, max(every_s / 4, 0.1)) if every_s else LOOK_S)
        if not every_s or monotonic() < done_s + every_s:
            continue
        await idle(state)
        try:
            await tidy(state)
        except (RewinddError, ShuttingDown, OSError) as exc:
            log.warning("what is not kept was not dropped: %s", exc)
        done_s = monotonic()


async def _seen(state: State, workspace: WorkspaceId, pressed: int) -> Looked:
    """What decides whether anything may go that did not the last time: without an age, only a new checkpoint makes another one go."""
    newest = await state.bridge.transact(partial(checkpoints.newest_number, workspace=workspace))
    return Looked(newest, state.capture.retention, pressed)


async def tidy(state: State) -> None:
    """Drops what the rules do not keep, and what nothing names then; looks what is over its quota.

    Raises:
        StoreError: the store failed; what went is gone, and the store is right.
    """
    async with state.tidying:
        went = 0
        # First, and by the settings as they are now: who was allowed more loses nothing for what was too much before.
        await quota.measure(state)
        pressed = await quota.pressed(state)
        for workspace in await state.bridge.transact(workspaces.all_of):
            reason = await ageing.why_goes(state, workspace)
            if reason is not None:
                await ageing.let_go(state, workspace, reason)
                went += 1
                continue
            seen = await _seen(state, workspace.id, max(pressed.get(quota.STORE, 0), pressed.get(workspace.id, 0)))
            if state.quota.looked.get(workspace.id) == seen and not seen.rules.max_age_s:
                continue
            choice = await choose(state, workspace.id, pressed=seen.pressed)
            went += (await pruning.carry_out(state, workspace, choice)).dropped
            state.quota.looked[workspace.id] = seen
            await idle(state)
        if went:
            await collecting.collect(state)
            await quota.measure(state)

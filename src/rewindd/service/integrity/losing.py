"""What was lost when the store came back from its backup, for `status`: until the daemon that first said so ends."""

from contextlib import suppress
from functools import partial

from rewindd.errors import StoreError
from rewindd.paths import FsText
from rewindd.protocol.integrity import CheckpointRef, LossInfo
from rewindd.service.asking import render
from rewindd.service.state import State
from rewindd.store import opening


async def tell(state: State) -> LossInfo | None:
    """Returns what was lost; None where nothing was, or where an earlier daemon said so."""
    loss = state.care.loss
    if loss is None:
        return None
    if not loss.is_told:
        with suppress(StoreError):  # without room, say: the next daemon says so again
            await state.bridge.transact(partial(opening.told, loss=loss), lasting=False)
    return LossInfo(
        at=render.moment(loss.at_ns),
        reason=loss.reason,
        kept_as=FsText(loss.kept_as),
        backup_at=render.moment(loss.backup_at_ns),
        rows=loss.rows,
        checkpoints=loss.checkpoints,
        first=[CheckpointRef(session_id=one.session, id=one.id, label=one.label) for one in loss.first],
    )

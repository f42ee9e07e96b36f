"""`verify`: every row and content compared with what was written, all at once because somebody asked."""

from collections.abc import Callable
from time import monotonic

from rewindd.protocol import wire
from rewindd.protocol.integrity import Damage, Verified, Verify
from rewindd.service.integrity import healing
from rewindd.service.integrity.drilling import drill
from rewindd.service.integrity.examining import Examination
from rewindd.service.state import State
from rewindd.store.totals import totals


async def verify(state: State, request: Verify, report: Callable[[wire.Progress], None]) -> Verified:
    """Returns what is damaged, after what could be healed was; others go on meanwhile.

    Raises:
        StoreFull: there is no room to write a checkpoint out.
        ShuttingDown: the daemon ends.
    """
    began_s = monotonic()
    _, blobs, rows, _ = await state.bridge.transact(totals)
    walk = Examination(state, share=request.sample / 100)
    while not walk.is_over:
        await walk.step()
        report(wire.Progress(done=walk.rows + walk.blobs, total=max(rows + blobs, walk.rows + walk.blobs), what="rows and contents"))
    damage: list[Damage] = await healing.explain(state, walk.found)
    count = max(walk.found.count, len(damage)) if len(damage) >= healing.MOST_FINDINGS else len(damage)
    drilled = await drill(state, request.drill, report) if request.drill else []
    wrong = [one for one in drilled if one is not None]
    return Verified(
        rows=walk.rows,
        blobs=walk.blobs,
        bytes=walk.bytes,
        drills=len(drilled),
        damage=[*damage, *wrong],
        damage_count=count + len(wrong),
        healed=sum(1 for one in damage if one.healed_from is not None),
        took_s=round(monotonic() - began_s, 3),
    )

"""When nobody asks for anything: what can wait is done then."""

from time import monotonic

import anyio

from rewindd.service.state import State

#: Seconds without a request after which work that can wait may go on; an agent that thinks leaves more than that.
IDLE_S = 2.0
#: Under requests that never pause so long, in seconds, it goes on all the same, a step at a time.
PATIENCE_S = 60.0


async def idle(state: State) -> None:
    """Returns when nobody asked for anything for `IDLE_S`, or after `PATIENCE_S`."""
    patient_until_s = monotonic() + PATIENCE_S
    while True:
        quiet_s = state.care.asked_s + IDLE_S
        if monotonic() >= min(quiet_s, patient_until_s):
            return
        await anyio.sleep(min(quiet_s, patient_until_s) - monotonic())

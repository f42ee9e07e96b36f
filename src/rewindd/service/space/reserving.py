"""What goes on while the store's file system is full: reading and taking work back do, from the reserve; taking in new content does not."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from rewindd.errors import StoreFull
from rewindd.protocol import requests
from rewindd.protocol.requests import Request
from rewindd.service.bridge import from_reserve
from rewindd.service.state import State

#: What takes in something new: refused until there is room.
_TAKES_IN = (
    requests.OpenSession,
    requests.Import,
    requests.Record,
    requests.TakeSnapshot,
    requests.BeginEdit,
    requests.Save,
    requests.MakeBarrier,
    requests.MakeGrant,
)
#: What takes work back, or ends something: it writes little, and may do so from the reserve. So may whatever only reads.
_GOES_ON = (
    requests.Record,
    requests.Rewind,
    requests.Undo,
    requests.Redo,
    requests.Restore,
    requests.EndEdit,
    requests.Release,
    requests.CloseWindow,
    requests.CloseSession,
    requests.RevokeGrant,
)
#: How often it is looked for room while there is none. In between every request that takes something in looks, too.
LOOK_S = 5.0

T = TypeVar("T")
_log = logging.getLogger(__name__)


async def admit(state: State, request: Request) -> None:
    """Lets in what may be done now.

    Raises:
        StoreFull: the request would take in new content, and there is no room; nothing was done.
    """
    reserve = state.bridge.reserve
    if not reserve.is_spent or not isinstance(request, _TAKES_IN):
        return
    # What was said before a rewind is recorded before it.
    if isinstance(request, requests.Record) and reserve.is_half_left:
        return
    if not await is_room(state):
        raise StoreFull(
            f"{request.op}: the file system of {state.data_dir} is full; what was saved can be looked at and taken back, "
            "and nothing new is taken in until there is room"
        )


async def is_room(state: State) -> bool:
    """Returns whether new content is taken in; looks for room where there was none."""
    if not state.bridge.reserve.is_spent:
        return True
    state.measured_room = None
    return await state.bridge.work(state.bridge.reserve.fill)


async def carry_on(state: State, request: Request, act: Callable[[], Awaitable[T]]) -> T:
    """Returns what `act` returned. Where it may go on from the reserve it is tried again once, when it was the first to find the disk full.

    Raises:
        StoreFull: there is no room for it; nothing was changed.
    """
    if request.mutates and not isinstance(request, _GOES_ON):
        return await act()
    with from_reserve():
        was_spent = not await is_room(state)
        try:
            return await act()
        except StoreFull:
            if was_spent or not state.bridge.reserve.is_spent:
                raise
        # Contents, too, were tried to be taken in; and what is freed now is there for its rows.
        state.measured_room = None
        await state.bridge.work(state.bridge.reserve.give)
        return await act()


async def keep(state: State) -> None:
    """Looks for room while there is none, until it is cancelled; all goes on by itself then."""
    while True:
        await anyio.sleep(LOOK_S)
        if state.bridge.reserve.is_spent and await is_room(state):
            state.noticed()

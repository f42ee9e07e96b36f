"""How the asynchronous client writes a whole tree: each call in the event loop, each function in a worker thread."""

from collections.abc import Awaitable, Callable
from contextlib import closing

import anyio.to_thread

from rewindd.client import past
from rewindd.client.materialize import Materialized
from rewindd.client.seat import Work
from rewindd.protocol.replies import Reply


async def written(todo: past.Materializing, run: Callable[[Work[Reply]], Awaitable[Reply]]) -> Materialized:
    """Drives `past.materialize` to its end, or to where no daemon answered and none is required; `run` makes a call."""
    with closing(todo):
        try:
            step = next(todo)
            while True:
                if isinstance(step, Work):
                    step = todo.send(await run(step))
                else:
                    await anyio.to_thread.run_sync(step)
                    step = todo.send(None)
        except StopIteration as end:
            done: Materialized = end.value
            return done
        except past.Unheard as unheard:
            return past.not_written(unheard.reason)

"""SIGUSR1: what every task and thread is doing goes to the log. For a daemon that hangs, so it needs neither loop nor lock.

The threads are told by faulthandler, from the signal's own handler, even where the interpreter is stuck in a system call; the tasks by a
handler that Python runs as soon as it runs anything. Places in the code are told, and no values: none of the user's.
"""

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

#: Awaits that are told of one task, innermost last.
_DEPTH = 40


def on_signal() -> None:
    """Has SIGUSR1 answered by a dump from now on, for the life of the process. Call it in the main thread, once."""
    signal.signal(signal.SIGUSR1, _tell_tasks)
    # chain: the handler above is called too, after the threads are told.
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True, chain=True)


def _tell_tasks(_number: int, _frame: FrameType | None) -> None:
    """Writes around `logging` and `sys.stderr`: the thread that is interrupted may be in the middle of both."""
    text = "\n".join(["tasks (SIGUSR1):", *tasks(), "end of the tasks", ""])
    os.write(2, text.encode(errors="replace"))


def tasks() -> list[str]:
    """Returns a line for each task of the loop that runs in this thread, and for each of its awaits."""
    try:
        found = asyncio.all_tasks()
    except RuntimeError:
        return ["  no event loop runs"]
    return [line for task in sorted(found, key=lambda task: task.get_name()) for line in _lines(task)]


def _lines(task: "asyncio.Task[object]") -> Iterator[str]:
    yield f"  {task.get_name()}"
    awaited: object = task.get_coro()
    for _ in range(_DEPTH):
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None) or getattr(awaited, "gi_frame", None)
        if not isinstance(frame, FrameType):
            return
        yield f"    {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None) or getattr(awaited, "gi_yieldfrom", None)

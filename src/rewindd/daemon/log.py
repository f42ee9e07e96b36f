"""Logging to stderr, for a person, a file or the journal. One line a record for people; priorities for the journal.

The line of a request does not go through `logging`, which takes 35 us for it beside some 270 for the smallest one: it is put together
here, and written with others some hundredths of a second later, before whatever else is logged. So the last of them are lost with
SIGKILL.
"""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TextIO

import anyio

from rewindd.daemon.config import LogLevel

#: Seconds that lines of requests wait for others: a person who looks on sees them at once, and at 5,000 a second they share a write.
GATHER_S = 0.05

#: The request that the present task carries out, `op/id`.
request: ContextVar[str] = ContextVar("request", default="-")

#: sd-daemon(3): the priorities that a line may start with.
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def begin(level: LogLevel, env: Mapping[str, str]) -> None:
    """Sends all records from `level` on to stderr."""
    # A log that cannot be written (a full disk, a terminal that is gone) must not become tracebacks of its own.
    logging.raiseExceptions = False
    to_journal = _is_journal(sys.stderr.fileno(), env)
    handler = _Handler(to_journal=to_journal)
    handler.setFormatter(_JournalFormatter() if to_journal else logging.Formatter(_LINE))
    handler.addFilter(_add_request)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)


def set_level(level: LogLevel) -> None:
    """Logs from `level` on; libraries below ours speak up from WARNING on only."""
    logging.getLogger().setLevel(max(logging.WARNING, _number(level)))
    logging.getLogger("rewindd").setLevel(_number(level))


def answered(logger: logging.Logger, about: str, message: str) -> None:
    """Logs one line at INFO that is written a little later, by `keep_written`, or before the next record of anybody.

    Args:
        logger: whose name it has.
        about: the request, `op/id`.
        message: one line.
    """
    handler = _ours()
    if handler is None:  # nobody began: a program whose handlers are its own
        logger.info("%s", message)
    else:
        handler.later(logger.name, about, message)


async def keep_written() -> None:
    """Writes what `answered` gathers, soon after the first of it, until cancelled; then at once."""
    handler = _ours()
    if handler is None:
        return
    try:
        while True:
            handler.gathers = anyio.Event()
            if not handler.has_lines:
                await handler.gathers.wait()
            await anyio.sleep(GATHER_S)
            handler.flush()
    finally:
        handler.flush()


_LINE = "%(asctime)s %(levelname)-7s %(name)s [%(request)s] %(message)s"


class _Handler(logging.StreamHandler[TextIO]):
    """Writes records to stderr, and before each the lines that wait."""

    def __init__(self, *, to_journal: bool) -> None:
        super().__init__(sys.stderr)
        self._to_journal = to_journal
        self._lines: deque[str] = deque()
        self._second, self._time = 0, ""
        self.gathers: anyio.Event | None = None

    @property
    def has_lines(self) -> bool:
        """True while lines wait."""
        return bool(self._lines)

    def later(self, name: str, about: str, message: str) -> None:
        """Takes a line at INFO, to be written with the next record or `flush`. From one thread."""
        if self._to_journal:
            self._lines.append(f"<6>{name} [{about}] {message}\n")
        else:
            now = time.time()
            if int(now) != self._second:
                self._second, self._time = int(now), time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            self._lines.append(f"{self._time},{int(now * 1000) % 1000:03d} INFO    {name} [{about}] {message}\n")
        if self.gathers is not None and len(self._lines) == 1:
            self.gathers.set()

    def emit(self, record: logging.LogRecord) -> None:
        self._write_lines()
        super().emit(record)

    def flush(self) -> None:
        """Writes what waits; called at the end of the process too."""
        self.acquire()
        try:
            self._write_lines()
        finally:
            self.release()
        super().flush()

    def _write_lines(self) -> None:
        """Any thread may call. What cannot be written is gone, as a record would be."""
        taken: list[str] = []
        while self._lines:
            taken.append(self._lines.popleft())
        if taken:
            with suppress(OSError, ValueError):
                self.stream.write("".join(taken))


def _ours() -> _Handler | None:
    """Returns the handler that `begin` made; None where there is another."""
    first = logging.root.handlers[0] if logging.root.handlers else None
    return first if isinstance(first, _Handler) else None


class _JournalFormatter(logging.Formatter):
    """The journal has times of its own, and reads a priority off the start of each line."""

    def __init__(self) -> None:
        super().__init__("%(name)s [%(request)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def _add_request(record: logging.LogRecord) -> bool:
    record.request = request.get()
    return True


def _number(level: LogLevel) -> int:
    return int(getattr(logging, level.upper()))


def _is_journal(descriptor: int, env: Mapping[str, str]) -> bool:
    """Returns whether the descriptor is the stream that `JOURNAL_STREAM` names, systemd.exec(5): `device:inode`."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return env.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"

"""Logging to stderr, for a person, a file or the journal. One line a record for people; priorities for the journal."""

import logging
import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar

from rewindd.daemon.config import LogLevel

#: The request that the present task carries out, `op/id`.
request: ContextVar[str] = ContextVar("request", default="-")

#: sd-daemon(3): the priorities that a line may start with.
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def begin(level: LogLevel, env: Mapping[str, str]) -> None:
    """Sends all records from `level` on to stderr."""
    # A log that cannot be written (a full disk, a terminal that is gone) must not become tracebacks of its own.
    logging.raiseExceptions = False
    to_journal = _is_journal(sys.stderr.fileno(), env)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalFormatter() if to_journal else logging.Formatter(_LINE))
    handler.addFilter(_add_request)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)


def set_level(level: LogLevel) -> None:
    """Logs from `level` on; libraries below ours speak up from WARNING on only."""
    logging.getLogger().setLevel(max(logging.WARNING, _number(level)))
    logging.getLogger("rewindd").setLevel(_number(level))


_LINE = "%(asctime)s %(levelname)-7s %(name)s [%(request)s] %(message)s"


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

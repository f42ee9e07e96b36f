"""The daemon's numbers in a file, for a collector that reads files: node_exporter's textfile collector, for one.

https://github.com/prometheus/node_exporter#textfile-collector wants whole files, whose names end in `.prom`: so each is written beside its
place and renamed. Not synced: after a power cut the next one is right again.
"""

import logging
import os
from typing import Protocol

import anyio
import anyio.to_thread

from rewindd import errors
from rewindd.daemon.reload import Tunable

_log = logging.getLogger(__name__)
#: Others read it: it has numbers, and no names of the user's.
MODE = 0o644


class Source(Protocol):
    """Has the numbers."""

    async def exposition(self) -> str:
        """Returns them as text."""
        ...


async def keep_written(tunable: Tunable, source: Source) -> None:
    """Writes the file for as long as the settings want one, until cancelled. That it cannot be written is one warning, and tried again."""
    failed: str | None = None
    while True:
        changed, path, interval_s = tunable.changed, tunable.now.textfile, tunable.now.textfile_interval_s
        if path is not None:
            trouble = await _write(path, source)
            if trouble is not None and failed != path:
                _log.warning("the metrics cannot be written to %s: %s", path, trouble)
            failed = path if trouble is not None else None
        with anyio.move_on_after(interval_s if path is not None else None):
            await changed.wait()


async def _write(path: str, source: Source) -> Exception | None:
    """Returns why the file could not be written; None when it was."""
    try:
        text = await source.exposition()
        await anyio.to_thread.run_sync(write, path, text)
    except (errors.StoreError, OSError) as exc:
        return exc
    return None


def write(path: str, text: str) -> None:
    """Puts the text in the place of what is at `path`, whole. Raises OSError."""
    unfinished = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            os.fchmod(descriptor, MODE)
            file.write(text)
        os.rename(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise

"""Shows by strace that an answer was durable: how often the store was synced between a request and its reply."""

import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import time

#: `[pid] 1700000000.000001 fdatasync(7</path/store.db-wal>) = 0 <0.000123>`; -f, -ttt, -T, -y, see strace(1).
_SYNC = re.compile(r"(?P<at>\d+\.\d+) f(?:data)?sync\(\d+<(?P<path>[^>]*)>(?:\) += 0 <(?P<took>[\d.]+)>|.*unfinished)")
MISSING = "strace is not there, so no sync was counted; on Debian: apt-get install strace"


def command(output: Path) -> list[str] | None:
    """Returns the command that traces another one's syncs into a file; None when strace is not there."""
    strace = shutil.which("strace")
    return None if strace is None else [strace, "-f", "-ttt", "-T", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(output)]


@dataclass(frozen=True, slots=True)
class Span:
    """The time between a request and its reply, in seconds since the epoch, as its caller saw it."""

    what: str
    sent: float
    answered: float


async def timed(what: str, call: Callable[[], Awaitable[object]]) -> Span:
    """Makes a call and returns its span."""
    sent = time()
    await call()
    return Span(what, sent, time())


def count(output: Path, data_dir: Path, spans: list[Span]) -> dict[str, int]:
    """Returns for each kind of call the fewest syncs of the store that ended within one of its spans."""
    ended = [at for at, path in _syncs(output.read_text(errors="replace")) if path.startswith(f"{data_dir}/")]
    found: dict[str, int] = {}
    for span in spans:
        within = sum(1 for at in ended if span.sent < at < span.answered)
        found[span.what] = min(within, found.get(span.what, within))
    return found


def _syncs(text: str) -> list[tuple[float, str]]:
    """Returns when each sync ended, and of what. One that another thread's line interrupted counts by its start."""
    found = []
    for match in _SYNC.finditer(text):
        found.append((float(match["at"]) + float(match["took"] or 0), match["path"]))
    return found

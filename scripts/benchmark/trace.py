"""Shows by strace that an answer was durable: how often the store was synced between a request and its reply."""

import re
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

#: `pid 1700000000.000001 fdatasync(7</path/store.db-wal>) = 0 <0.000123>`: -f, -ttt, -T and -y of strace(1). Where another
#: thread spoke in between there are two lines: `... <unfinished ...>` and `<... fdatasync resumed>) = 0 <0.000123>`.
_BEGUN = re.compile(r"^(?P<pid>\d+) +(?P<at>[\d.]+) f(?:data)?sync\(\d+<(?P<path>.*)>(?:\) += 0 <(?P<took>[\d.]+)>| <unfinished)")
_ENDED = re.compile(r"^(?P<pid>\d+) +(?P<at>[\d.]+) <\.\.\. f(?:data)?sync resumed>\) += 0 ")
MISSING = "strace is not there, so no sync was counted; on Debian: apt-get install strace"


@dataclass(frozen=True, slots=True)
class Span:
    """The time between a request and its reply, in seconds since the epoch, as its caller saw it."""

    what: str
    sent: float
    answered: float


def command(output: Path) -> list[str] | None:
    """Returns the command that traces another one's syncs into a file; None when strace is not there."""
    strace = shutil.which("strace")
    return None if strace is None else [strace, "-f", "-ttt", "-T", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(output)]


async def timed(what: str, call: Callable[[], Awaitable[object]]) -> Span:
    """Makes a call and returns its span."""
    sent = time()
    await call()
    return Span(what, sent, time())


def count(output: Path, data_dir: Path, spans: Sequence[Span]) -> dict[str, int]:
    """Returns for each kind of call the fewest syncs of the store that began and ended within one of its spans."""
    done = [(begun, ended) for begun, ended, path in _syncs(output) if path.startswith(f"{data_dir}/")]
    found: dict[str, int] = {}
    for span in spans:
        within = sum(1 for begun, ended in done if span.sent < begun and ended < span.answered)
        found[span.what] = min(within, found.get(span.what, within))
    return found


def _syncs(output: Path) -> Iterator[tuple[float, float, str]]:
    """Yields when each sync that went well began and ended, and of what."""
    unfinished: dict[str, tuple[float, str]] = {}
    for line in output.read_text(errors="replace").splitlines():
        if begun := _BEGUN.match(line):
            at, took = float(begun["at"]), begun["took"]
            if took is not None:
                yield at, at + float(took), begun["path"]
            else:
                unfinished[begun["pid"]] = at, begun["path"]
        elif (ended := _ENDED.match(line)) and ended["pid"] in unfinished:
            at, path = unfinished.pop(ended["pid"])
            yield at, float(ended["at"]), path

"""Which process makes a request: two may work in one session, and neither ends what the other has begun."""

from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path

#: The process that made the request which is being answered, as the kernel told it; None where it is not known.
asker: ContextVar[int | None] = ContextVar("asker", default=None)


def running(pids: Iterable[int]) -> set[int]:
    """Returns those of some processes that have not ended."""
    return {pid for pid in pids if _is_running(pid)}


def _is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    # proc_pid_stat(5): the state follows the name, which may hold anything. A zombie does nothing any more.
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def is_others(pid: int | None) -> bool:
    """True for what a process began that is known, and is not the one that asks; the asker is known too."""
    return None not in (pid, asker.get()) and pid != asker.get()

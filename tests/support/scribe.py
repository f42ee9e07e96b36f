"""Writers in processes of their own, and the board on which each notes what it has begun and what it has done.

The states of a path are numbered. A writer notes the number of a state before the first system call towards it (`begun`) and after
the last has returned (`done`). So what is on disk at a moment is a state between the two, or, while they differ, a file that is being
made. `expected` says what a path holds in a state: the file's content tells a state's number.
"""

import mmap
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

#: Paths of one writer.
FILES = 10
#: The kinds of writers; one process each.
STYLES = ("in place", "truncated", "renamed over", "nested", "moved")
#: What a file holds: its state's number so many times, so that a mixture of two shows.
REPEATED = 8

#: A path that is not there, and a file that somebody has just made or emptied, in place of a state's number.
ABSENT, EMPTY = -1, -2

_PAIR = struct.Struct("=QQ")
_NUMBER = struct.Struct("=Q")


class Board:
    """A file in memory that processes share: two numbers for each path of each writer."""

    def __init__(self, path: Path) -> None:
        size = _PAIR.size * FILES * len(STYLES)
        with path.open("a+b") as file:
            file.truncate(max(size, path.stat().st_size))
            self._map = mmap.mmap(file.fileno(), size)
        # Written whole: `struct.pack_into` clears the bytes first, and another process would read a zero in between.
        self._cells = memoryview(self._map).cast("Q")

    def begin(self, slot: int, state: int) -> None:
        """What follows leads to this state."""
        self._cells[2 * slot] = state

    def end(self, slot: int, state: int) -> None:
        """The path is in this state; all calls have returned."""
        self._cells[2 * slot + 1] = state

    def begun(self) -> list[int]:
        """The newest state that anybody may have seen, of each path."""
        return list(self._cells[::2])

    def done(self) -> list[int]:
        """The newest state that was complete, of each path."""
        return list(self._cells[1::2])

    def close(self) -> None:
        """Lets go of the memory."""
        self._cells.release()
        self._map.close()


def content(state: int) -> bytes:
    """Returns what a file holds in a state."""
    return _NUMBER.pack(state) * REPEATED


def state_in(data: bytes) -> int:
    """Returns the state that a file's content tells, or EMPTY; fails for what nobody wrote."""
    if not data:
        return EMPTY
    state = int(_NUMBER.unpack_from(data)[0])
    assert data == content(state), f"nobody wrote {data!r}"
    return state


def paths() -> dict[str, int]:
    """Returns every path that is written, relative to the workspace, and its place on the board. A mover has two names in one place."""
    found: dict[str, int] = {}
    for writer, style in enumerate(STYLES):
        for number in range(FILES):
            slot = writer * FILES + number
            if style == "nested":
                found[f"nested/top{number}/a/b/c/file"] = slot
            elif style == "moved":
                found |= {f"moved/here{number}/in/file": slot, f"moved/there{number}/in/file": slot}
            else:
                found[f"{style}/d{number % 3}/file{number}"] = slot
    return found


def expected(path: str, state: int) -> int:
    """Returns the number that a path's content tells in a state, or ABSENT."""
    if path.startswith("moved/"):
        step = state % 4
        if path.startswith("moved/here"):
            return state if step == 1 else ABSENT
        return {2: state - 1, 3: state}.get(step, ABSENT)
    return ABSENT if state % 5 == 0 else state


def can_be(path: str, found: int, done: int, begun: int) -> bool:
    """True if a path may be found so from when `done` was the newest complete state to when `begun` was the newest one begun."""
    if found == EMPTY:
        return begun > done
    return any(expected(path, state) == found for state in range(done, begun + 1))


def main(root: str, board_path: str, writer: int) -> None:
    """Writes until the standard input ends, at full speed."""
    os.nice(10)  # the daemon must get to its work on two processors; there is time enough to write in while it reads
    os.chdir(root)
    os.set_blocking(0, False)
    board = Board(Path(board_path))
    step = _STEPS[STYLES[writer]]
    places: dict[int, list[str]] = {}
    for path, slot in paths().items():
        places.setdefault(slot, []).append(path)
    state = 0
    print("ready", flush=True)
    while _goes_on():
        state += 1
        for slot in range(writer * FILES, (writer + 1) * FILES):
            board.begin(slot, state)
            step(places[slot], state)
            board.end(slot, state)


def _goes_on() -> bool:
    try:
        return os.read(0, 1) != b""
    except BlockingIOError:
        return True


def _in_place(names: list[str], state: int) -> None:
    (name,) = names
    if expected(name, state) == ABSENT:
        os.unlink(name) if os.path.lexists(name) else None
        return
    os.makedirs(os.path.dirname(name), exist_ok=True)
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, content(state))
    os.close(fd)


def _truncated(names: list[str], state: int) -> None:
    (name,) = names
    if expected(name, state) == ABSENT:
        Path(name).unlink(missing_ok=True)
        return
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content(state))


def _renamed_over(names: list[str], state: int) -> None:
    (name,) = names
    if expected(name, state) == ABSENT:
        Path(name).unlink(missing_ok=True)
        return
    beside = Path(f"{name}.beside")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(content(state))
    beside.replace(name)


def _nested(names: list[str], state: int) -> None:
    path = Path(names[0])
    top = path.parents[3]
    if expected(names[0], state) == ABSENT:
        shutil.rmtree(top, ignore_errors=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(state))


def _moved(names: list[str], state: int) -> None:
    here, there = (Path(name) for name in names)
    step = state % 4
    if step == 1:
        here.parent.mkdir(parents=True)
        here.write_bytes(content(state))
    elif step == 2:
        here.parents[1].rename(there.parents[1])
    elif step == 3:
        there.write_bytes(content(state))
    elif state:
        shutil.rmtree(there.parents[1])


_STEPS: dict[str, Callable[[list[str], int], None]] = {
    "in place": _in_place,
    "truncated": _truncated,
    "renamed over": _renamed_over,
    "nested": _nested,
    "moved": _moved,
}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

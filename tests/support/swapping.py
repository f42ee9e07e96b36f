"""A process that swaps directories of a workspace with symlinks to outside, and back, as fast as it can, until it is ended.

Also a program: `swapping.py TREE OUTSIDE SEED`.
"""

import os
import random
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from rewindd.tree.rename import exchange

#: In what is outside and nowhere else: in contents, and in a name.
MARK = b"OUTSIDE"
ONLY = "only-outside"
#: What is swapped, and with which link: at the root, and one level down.
PAIRS = (("d", "link"), ("e/f", "e/link"))
#: A file that is swapped itself, with a link to one outside.
LEAF = ("leaf", "leaf-link")
#: What is inside each of these directories, and outside under the same names. The last is more than is read at once.
NAMES = {"a": 20, "deep/b": 500, "deep/er/c": 20, "large": 3 << 20}
#: Swaps without a pause, and the longest pause after them, in seconds: so that an operation sometimes sees the tree as it should be.
BURST, PAUSE_S = 40, 0.004


def furnish(tree: Path, outside: Path) -> None:
    """Makes both: directories of the workspace, links beside them, and what the links lead to."""
    for number, (directory, link) in enumerate(PAIRS):
        there = outside / str(number)
        for name, size in NAMES.items():
            for top, mark in ((tree / directory, b"inside "), (there, MARK + b" ")):
                (top / name).parent.mkdir(parents=True, exist_ok=True)
                (top / name).write_bytes((mark * (size // len(mark) + 1))[:size])
        (there / ONLY).write_bytes(MARK)
        target = there if number % 2 else os.path.relpath(there, (tree / link).parent)
        (tree / link).symlink_to(target)
    (tree / LEAF[0]).write_bytes(b"inside")
    (outside / "leaf").write_bytes(MARK + b" leaf")
    (tree / LEAF[1]).symlink_to(outside / "leaf")


def traces(outside: Path) -> list[bytes]:
    """What must not be found in the store: the digests of what is outside, and the name."""
    return [ONLY.encode(), *(blake3(path.read_bytes()).digest() for path in outside.rglob("*") if path.is_file())]


def untouched(outside: Path) -> dict[str, tuple[object, ...]]:
    """Everything outside, with what any write, chmod, rename or new name would change."""
    return {str(path): _state(path.lstat()) for path in (outside, *outside.rglob("*"))}


def _state(found: os.stat_result) -> tuple[object, ...]:
    return found.st_ino, found.st_mode, found.st_uid, found.st_nlink, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def swapping(tree: Path, outside: Path, seed: int) -> Iterator[None]:
    """Swaps for as long as the block lasts, from its beginning to its end."""
    command = [sys.executable, __file__, str(tree), str(outside), str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"swapping\n"
        try:
            yield
        finally:
            process.stdin.close()
        tried, swapped = map(int, process.stdout.readline().split())
    assert process.returncode == 0
    assert swapped > tried // 10, f"only {swapped} swaps of {tried}: nothing was left to swap"


def _swap(tree: Path, dice: random.Random) -> None:
    """Until standard input is at its end. A pair of which an operation took a half away is left alone until it is back."""
    above = [(os.open((tree / directory).parent, os.O_PATH), Path(directory).name, Path(link).name) for directory, link in (*PAIRS, LEAF)]
    tried = swapped = 0
    print("swapping", flush=True)
    while not select.select([0], [], [], dice.uniform(0, PAUSE_S))[0]:
        for _ in range(BURST):
            dir_fd, directory, link = dice.choice(above)
            tried += 1
            with suppress(FileNotFoundError):
                exchange(dir_fd, directory, dir_fd, link)
                swapped += 1
    print(tried, swapped)


if __name__ == "__main__":
    _swap(Path(sys.argv[1]), random.Random(int(sys.argv[3])))

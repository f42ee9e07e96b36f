"""What a root holds open, and gives back."""

import os
from pathlib import Path

from rewindd.tree.root import LINGERING, Root


def opened(top: Path) -> set[str]:
    """What this process has open below a directory, by name; what was removed has `(deleted)` in it."""
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        target = os.readlink(fd) if fd.is_symlink() else ""
        if target.startswith(f"{top}/"):
            found.add(target)
    return found


def test_removed_files_are_held_until_the_root_is_closed(tmp_path: Path) -> None:
    """A file that lingers loses its name at once and its last descriptor with the root; beyond a number nothing is held."""
    status = tmp_path.stat()
    root = Root.open(str(tmp_path), status.st_dev, status.st_ino)
    top = os.open(tmp_path, os.O_PATH)
    for number in range(LINGERING + 3):
        (tmp_path / str(number)).write_text("old")
        root.linger(top, str(number))
        os.unlink(str(number), dir_fd=top)
    held = opened(tmp_path)
    root.close()
    os.close(top)

    assert held == {f"{tmp_path}/{number} (deleted)" for number in range(LINGERING)}
    assert opened(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []

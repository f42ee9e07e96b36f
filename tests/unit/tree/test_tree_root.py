"""What a root holds open, and gives back; and that no link leads away from it, by either way down."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd.errors import Busy, OutsideWorkspace
from rewindd.paths import RelPath
from rewindd.tree import beneath
from rewindd.tree.root import LINGERING, Root
from support.tree import open_root

DEEP = RelPath("a/b/c/d")


@pytest.fixture(params=["openat2", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """With the kernel's own call, where it is, and without."""
    monkeypatch.setattr(beneath.Missing, "is_so", request.param == "one by one")
    yield str(request.param)
    if request.param == "openat2" and beneath.Missing.is_so:
        pytest.skip("the kernel has no openat2, or it is forbidden here")


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


def test_the_directory_itself(top: Path, root: Root, way: str) -> None:
    """A deep directory is reached, cold, warm, and from what is known above it; it is the one that the path names."""
    (top / DEEP / "e").mkdir(parents=True)
    for path in (DEEP, RelPath(f"{DEEP}/e"), RelPath("a/b"), DEEP):
        assert os.path.samestat(os.fstat(root.directory(path)), os.stat(top / path))


@pytest.mark.parametrize("part", ["a", "a/b", "a/b/c", "a/b/c/d"])
@pytest.mark.parametrize("to", ["outside", "inside", "dangling", "itself"])
def test_a_link_on_the_way(top: Path, root: Root, way: str, part: str, to: str) -> None:
    """A link in any part, wherever it leads, is told by its name; into a magic link of /proc too."""
    for where in (top.parent / "outside", top / "inside"):
        (where / "a/b/c/d").mkdir(parents=True)
    (top / part).parent.mkdir(parents=True, exist_ok=True)
    targets = {
        "outside": top.parent / "outside" / part,
        "inside": top / "inside" / part,
        "dangling": Path("no"),
        "itself": Path(Path(part).name),
    }
    (top / part).symlink_to(targets[to])
    with pytest.raises(OutsideWorkspace, match="is a symlink") as raised:
        root.directory(DEEP)
    assert raised.value.fields["path"] == part


def test_a_magic_link_on_the_way(root: Root, way: str) -> None:
    """The links of /proc, which are doors to anywhere, are links too."""
    with open_root(Path("/proc/self")) as proc, pytest.raises(OutsideWorkspace):
        proc.directory(RelPath("root/tmp"))


def test_what_is_no_directory(top: Path, root: Root, way: str) -> None:
    """What is not there, and a file on the way, are told as such."""
    (top / "a").mkdir()
    with pytest.raises(FileNotFoundError):
        root.directory(DEEP)
    (top / "a/b").touch()
    with pytest.raises(NotADirectoryError):
        root.directory(DEEP)


def test_a_kernel_that_does_not_know_it(top: Path, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the call is not there, or a filter forbids it, it is tried once, and the way is gone one by one from then on."""
    monkeypatch.setattr(beneath, "_OPENAT2", 100_000)
    monkeypatch.setattr(beneath.Missing, "is_so", False)
    (top / DEEP).mkdir(parents=True)
    assert os.path.samestat(os.fstat(root.directory(DEEP)), os.stat(top / DEEP))
    assert beneath.Missing.is_so


def test_no_descriptor_left(top: Path) -> None:
    """That the system has none to give says nothing of the workspace: it is busy, and not gone."""
    found, limits = top.stat(), resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        with pytest.raises(Busy, match="too many open files"):
            Root.open(str(top), found.st_dev, found.st_ino)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

"""Looking at one path: every kind, never through a link, never opening what is special."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rewindd.errors import OutsideWorkspace, StoreFull, UnknownWorkspace
from rewindd.model.versions import ABSENT, Directory, File, Symlink
from rewindd.paths import ROOT, RelPath
from rewindd.tree import look as look_module
from rewindd.tree.look import CHANGING, SMALL_BYTES, SPECIAL, TOO_DEEP, Look, Unseen, look
from rewindd.tree.root import CACHED_DIRECTORIES, Root
from support.tree import Memory, index_of, open_root, seen_at, settle_times

NAMES = ["a b", "new\nline", "-rf", "x" * 255, os.fsdecode(b"\xff\xfe"), "*", ":(top)x", "ä", "..."]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_names(root: Root, top: Path, memory: Memory, name: str) -> None:
    """A name is bytes: whatever the file system takes is looked at under exactly that name."""
    (top / name).write_bytes(b"content")
    assert seen_at(root, RelPath(name), memory).version == memory.file(b"content", (top / name).stat().st_mode & 0o7777)


def test_every_kind_has_a_version(root: Root, top: Path, memory: Memory) -> None:
    """Files, links (dangling, to directories, in a loop), directories and nothing are versions; links are not followed."""
    (top / "empty").touch(mode=0o600)
    (top / "dangling").symlink_to("nowhere")
    (top / "loop").symlink_to("loop")
    (top / "to-directory").symlink_to("directory")
    (top / "directory").mkdir()
    (top / "directory").chmod(0o2750)
    assert seen_at(root, RelPath("empty"), memory).version == memory.file(b"", 0o600)
    for name, target in (("dangling", "nowhere"), ("loop", "loop"), ("to-directory", "directory")):
        seen = seen_at(root, RelPath(name), memory).version
        assert isinstance(seen, Symlink)
        assert seen.target == target
    assert seen_at(root, RelPath("directory"), memory).version == Directory(0o2750)
    assert isinstance(seen_at(root, ROOT, memory).version, Directory)
    for gone in ("nothing", "nothing/below", "empty/below"):
        assert seen_at(root, RelPath(gone), memory) == Look(path=RelPath(gone), version=ABSENT, signature=None, content=None)


def test_a_link_on_the_way_leads_nowhere(root: Root, top: Path, memory: Memory) -> None:
    """A first look through a symlink is refused; a known path whose parent became one is absent."""
    (top / "real").mkdir()
    (top / "real" / "file").write_bytes(b"x")
    known = index_of(root, [RelPath("real/file")], memory)[RelPath("real/file")]
    (top / "real").rename(top / "moved")
    (top / "real").symlink_to("moved")
    root.forget(ROOT)
    with pytest.raises(OutsideWorkspace):
        look(root, RelPath("real/file"), None, memory)
    seen = look(root, RelPath("real/file"), known, memory)
    assert isinstance(seen, Look)
    assert seen.version == ABSENT


def test_special_files_are_never_opened(root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO, a socket and a device are unseen with a reason, and no open call is made for them."""
    os.mkfifo(top / "fifo")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.relpath(top / "socket"))
    listening.close()
    opened: list[object] = []
    true_open = os.open

    def recording_open(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return true_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", recording_open)
    for name in ("fifo", "socket"):
        assert look(root, RelPath(name), None, memory) == Unseen(path=RelPath(name), reason=SPECIAL)
    assert opened == []


def test_unchanged_is_not_read_again(root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An equal signature that is not racy proves that nothing changed, without opening the file."""
    (top / "file").write_bytes(b"x")
    settle_times(top)
    known = index_of(root, [RelPath("file")], memory)[RelPath("file")]
    assert known.signature is not None
    assert not known.signature.racy
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    seen = look(root, RelPath("file"), known, memory)
    assert seen == Look(path=RelPath("file"), version=known.version, signature=known.signature, content=None)


def test_a_fresh_signature_proves_nothing(root: Root, top: Path, memory: Memory) -> None:
    """A change of the same size in the same tick, with the same mtime, is seen all the same: hundreds of times."""
    file = top / "file"
    for number in range(300):
        file.write_bytes(b"%04d" % number)
        stamp = file.stat()
        known = index_of(root, [RelPath("file")], memory)[RelPath("file")]
        file.write_bytes(b"%04d" % (number + 5000))
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        seen = look(root, RelPath("file"), known, memory)
        assert isinstance(seen, Look)
        assert seen.content == b"%04d" % (number + 5000)


def test_large_files_stream(root: Root, top: Path, memory: Memory) -> None:
    """Content over the bound goes through the sink and does not come back as bytes; at the bound it does."""
    (top / "small").write_bytes(b"s" * SMALL_BYTES)
    (top / "large").write_bytes(b"l" * (SMALL_BYTES + 1))
    small, large = seen_at(root, RelPath("small"), memory), seen_at(root, RelPath("large"), memory)
    assert small.content == b"s" * SMALL_BYTES
    assert large.content is None
    assert memory.streamed == 1
    assert isinstance(large.version, File)
    assert memory.blobs[large.version.digest] == b"l" * (SMALL_BYTES + 1)


def test_a_file_that_keeps_changing_is_unseen(root: Root, top: Path) -> None:
    """A file that is appended to at each read is given up after a few attempts, and said to be changing."""
    (top / "log").write_bytes(b"l" * (SMALL_BYTES + 1))

    class Appending(Memory):
        def stream_in(self, read: Callable[[int], bytes]) -> tuple[bytes, int]:
            found = super().stream_in(read)
            with (top / "log").open("ab") as log:
                log.write(b"more")
            return found

    sink = Appending()
    assert look(root, RelPath("log"), None, sink) == Unseen(path=RelPath("log"), reason=CHANGING)
    assert sink.streamed == look_module.ATTEMPTS


def test_the_stores_trouble_is_not_the_paths(root: Root, top: Path) -> None:
    """A full store while a large file streams raises the store's error; it does not make the file unseen."""
    (top / "large").write_bytes(b"l" * (SMALL_BYTES + 1))

    class Full(Memory):
        def stream_in(self, read: Callable[[int], bytes]) -> tuple[bytes, int]:
            raise StoreFull("no room")

    with pytest.raises(StoreFull):
        look(root, RelPath("large"), None, Full())


def test_deep_and_too_deep(root: Root, top: Path, memory: Memory, request: pytest.FixtureRequest) -> None:
    """A path of 1,500 directories is looked at without recursion and with few descriptors; past PATH_MAX it is too deep."""
    # pytest removes what earlier runs left with shutil.rmtree, which recurses: it would end such a run with a RecursionError.
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", top / "d"], check=True))
    fd = os.open(top, os.O_PATH)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
    os.close(fd)
    path = RelPath("d/" * 1500 + "file")
    assert seen_at(root, path, memory).version == memory.file(b"", 0o644 & ~_umask())
    assert len(os.listdir("/proc/self/fd")) < CACHED_DIRECTORIES + 30
    too_deep = RelPath("d/" * 2100 + "file")
    assert look(root, too_deep, None, memory) == Unseen(path=too_deep, reason=TOO_DEEP)


def test_the_root_must_be_the_one_that_was_made_a_workspace(top: Path) -> None:
    """Gone, a file, or another directory under the same name: unknown workspace."""
    found = top.stat()
    top.rename(top.with_name("old"))
    with pytest.raises(UnknownWorkspace):
        Root.open(str(top), found.st_dev, found.st_ino)
    top.mkdir()
    with pytest.raises(UnknownWorkspace):
        Root.open(str(top), found.st_dev, found.st_ino)
    open_root(top).close()


def test_a_directory_below_a_file_system_error_is_unseen(root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses is said in its words."""
    (top / "file").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert look(root, RelPath("file"), None, memory) == Unseen(path=RelPath("file"), reason="permission denied")


def test_a_gigabyte_takes_constant_memory(root: Root, top: Path) -> None:
    """A sparse file of 1 GB is hashed in chunks."""
    with (top / "huge").open("wb") as huge:
        huge.truncate(1 << 30)
    before = _peak_kib()
    began = time.monotonic()
    seen = look(root, RelPath("huge"), None, look_module.Hasher())
    assert isinstance(seen, Look)
    assert isinstance(seen.version, File)
    assert seen.version.size == 1 << 30
    assert _peak_kib() - before < 32 * 1024
    assert time.monotonic() - began < 30


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

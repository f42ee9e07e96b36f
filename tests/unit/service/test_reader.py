"""The process that reads: what it tells of, what it leaves to the daemon, and that it is ended."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3
from msgspec import structs

from rewindd.errors import StoreFull
from rewindd.model.ids import WorkspaceId
from rewindd.model.log import IndexEntry
from rewindd.model.session import Workspace
from rewindd.paths import RelPath
from rewindd.service.capture.reader import Reader
from rewindd.service.capture.reader_program import ALONE_BYTES, TOGETHER_BYTES, Part
from rewindd.store.packs import MEMBER_BYTES
from rewindd.tree.look import Hasher, Look
from rewindd.tree.root import Root
from rewindd.tree.survey import look_inside


@pytest.fixture
def reader() -> Iterator[Reader]:
    started = Reader.start()
    assert started is not None
    yield started
    started.end()
    assert not Path(f"/proc/{started.pid}").exists()


def workspace(root: Path) -> Workspace:
    found = root.stat()
    return Workspace(id=WorkspaceId("w"), root=str(root), device=found.st_dev, inode=found.st_ino)


def kept(parts: Iterable[Part]) -> Counter[bytes]:
    """How often each content is in these parts, by digest."""
    found: Counter[bytes] = Counter()
    for part in parts:
        found.update(digest for pack in part.packs for digest, _ in pack.members)
        found.update(one.digest for one in part.inline)
    return found


def sized(root: Path, *names: str) -> list[tuple[RelPath, int]]:
    return [(RelPath(name), (root / name).lstat().st_size) for name in names]


def bare(entry: IndexEntry) -> IndexEntry:
    """Without what depends on the moment of the look."""
    assert entry.signature is not None
    return structs.replace(entry, signature=structs.replace(entry.signature, racy=False))


def test_what_it_tells_of(tmp_path: Path, reader: Reader) -> None:
    """Each file is as a look in this process sees it, in each of many portions; its content is kept once."""
    contents = {f"f{number}": os.urandom(number % 7) * 1000 for number in range(300)} | {"larger": os.urandom(MEMBER_BYTES + 1)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    place, names = workspace(tmp_path), list(contents)
    with Root.open(place.root, place.device, place.inode) as root:
        looks = {name: look_inside(root, RelPath(name), None, Hasher()) for name in names}
    for start in range(0, len(names), 50):
        parts: list[Part] = []
        portion = names[start : start + 50]
        found = reader.read(place, sized(tmp_path, *portion), parts.append)
        wanted = [seen for name in portion if isinstance(seen := looks[name], Look)]
        assert [bare(one) for one in found] == [
            bare(IndexEntry(path=one.path, version=one.version, signature=one.signature, since=0)) for one in wanted
        ]
        assert kept(parts) == Counter(dict.fromkeys((blake3(contents[name]).digest() for name in portion), 1))


def test_how_much_comes_at_once(tmp_path: Path, reader: Reader) -> None:
    """Contents come in parts of a bounded size, which is about what one transaction takes; nothing of them is lost between two parts."""
    small = {f"s{number}": os.urandom(MEMBER_BYTES) for number in range(3 * TOGETHER_BYTES // MEMBER_BYTES)}
    large = {f"z{number}": os.urandom(ALONE_BYTES // 2) for number in range(9)}
    for name, content in (small | large).items():
        (tmp_path / name).write_bytes(content)
    parts: list[Part] = []
    found = reader.read(workspace(tmp_path), sized(tmp_path, *small, *large), parts.append)
    assert len(found) == len(small) + len(large)
    assert kept(parts) == Counter({blake3(content).digest(): 1 for content in (small | large).values()})
    assert max(sum(pack.size for pack in part.packs) for part in parts) == TOGETHER_BYTES
    assert max(sum(one.size for one in part.inline) for part in parts) == ALONE_BYTES


def test_what_it_leaves(tmp_path: Path, reader: Reader) -> None:
    """No word of what has grown, is a link, lies behind one, is no file, or is gone; and none of a root that is another directory now."""
    for name in ("it", "grown", "other"):
        (tmp_path / name).write_text("a word\n")
    (tmp_path / "link").symlink_to("it")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_text("a word\n")
    (tmp_path / "behind").symlink_to("inside")
    os.mkfifo(tmp_path / "pipe")
    asked = [(RelPath(name), 7) for name in ("it", "link", "behind/file", "inside", "pipe", "gone", "other")]
    found = reader.read(workspace(tmp_path), [*asked, (RelPath("grown"), 6)], lambda part: None)
    assert [one.path for one in found] == ["it", "other"]
    assert reader.read(replace(workspace(tmp_path), inode=1), asked, lambda part: None) == []
    assert [one.path for one in reader.read(workspace(tmp_path), asked, lambda part: None)] == ["it", "other"]


def test_what_it_was_to_keep_fails(tmp_path: Path, reader: Reader) -> None:
    """Who cannot keep the contents is told by their own error. What was not heard of that answer is never taken for the next one."""
    (tmp_path / "it").write_text("a word\n")

    def fail(part: Part) -> None:
        raise StoreFull("no room")

    with pytest.raises(StoreFull):
        reader.read(workspace(tmp_path), sized(tmp_path, "it"), fail)
    assert reader.read(workspace(tmp_path), sized(tmp_path, "it"), lambda part: None) == []


def test_it_is_gone(tmp_path: Path, reader: Reader, caplog: pytest.LogCaptureFixture) -> None:
    """Once it is gone it tells of nothing any more, and that is said once."""
    (tmp_path / "it").write_text("a word\n")
    os.kill(reader.pid, signal.SIGKILL)
    for _ in range(2):
        assert reader.read(workspace(tmp_path), sized(tmp_path, "it"), lambda part: None) == []
    assert len(caplog.records) == 1


def test_there_can_be_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without room for one more process there is none."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert Reader.start() is None
    assert "no process can be started that reads" in caplog.text

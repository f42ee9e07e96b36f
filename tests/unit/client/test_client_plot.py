"""A tree written into an empty directory, when what says which tree is hostile: nothing is written outside, nothing over anything."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from rewindd.client.materialize import Materialized, steps
from rewindd.client.plot import Plot
from rewindd.client.seat import Call
from rewindd.errors import AlreadyExists, InternalError, StoreCorrupt
from rewindd.paths import LinkTarget, RelPath
from rewindd.protocol import requests
from rewindd.protocol.replies import Chunk, Contents, FileVersion, PathVersion, Reply, TreePage
from support.desk import photograph

BODY = b"hello\n"


def file(content: bytes = BODY, mode: int = 0o644, **changes: object) -> FileVersion:
    """A file's version."""
    fields = {"size": len(content), "blob": blake3(content).hexdigest(), **changes}
    return FileVersion(kind="file", mode=mode, **fields)  # type: ignore[arg-type]  # what hostile peers send


def directory(path: str, mode: int = 0o755) -> PathVersion:
    """A directory of a tree."""
    return PathVersion(path=RelPath(path), version=FileVersion(kind="directory", mode=mode))


def link(path: str, target: str) -> PathVersion:
    """A symlink of a tree."""
    return PathVersion(path=RelPath(path), version=FileVersion(kind="symlink", target=LinkTarget(target)))


@pytest.fixture
def plot(tmp_path: Path) -> Iterator[Plot]:
    """An open plot in `to`, with a directory `outside` beside it."""
    (tmp_path / "outside").mkdir()
    plot = Plot(str(tmp_path / "to"))
    plot.open()
    yield plot
    plot.close()


def outside(tmp_path: Path) -> list[str]:
    """What is beside and in the directories around the plot."""
    return sorted(os.listdir(tmp_path)) + os.listdir(tmp_path / "outside")


@pytest.mark.parametrize(
    "path",
    ["../outside/x", "/etc/x", "a/../../outside/x", "..", "", "a//b", "./a", "a/./b", "a/", "x\0y", ".git/hooks/pre-commit", "a/.git"],
)
def test_paths_that_no_workspace_has(plot: Plot, tmp_path: Path, path: str) -> None:
    """They are named as skipped, whatever kind they are of, and nothing is made for them."""
    plot.write([(RelPath(path), file(), BODY)])
    plot.plant([directory(path), link(path, "x")])
    plot.finish()
    assert [one.reason for one in plot.skipped] == ["no path of a workspace"] * 3
    assert (os.listdir(tmp_path / "to"), outside(tmp_path), plot.files) == ([], ["outside", "to"], 0)


def test_a_link_is_never_gone_through(plot: Plot, tmp_path: Path) -> None:
    """A tree that says that `l` is a link, and that there is something below `l`, or that `l` is a file too."""
    plot.plant([link("l", "../outside"), directory("l/d"), link("l/m", "x"), directory("l")])
    plot.write([(RelPath("l/f"), file(), BODY), (RelPath("l"), file(), BODY)])
    plot.finish()
    assert outside(tmp_path) == ["outside", "to"]
    assert os.readlink(tmp_path / "to" / "l") == "../outside"
    assert len(plot.skipped) == 5


def test_what_comes_twice_is_made_once(plot: Plot, tmp_path: Path) -> None:
    """The second of two files of one name is skipped: no file is written over another."""
    plot.write([(RelPath("f"), file(), BODY), (RelPath("f"), file(b"other"), b"other")])
    assert (tmp_path / "to" / "f").read_bytes() == BODY
    assert [(str(one.path), plot.files) for one in plot.skipped] == [("f", 1)]


def test_somebody_who_puts_a_link_in_the_way(plot: Plot, tmp_path: Path) -> None:
    """While the tree is written, in the place of a directory that comes later: it is not followed."""
    (tmp_path / "to" / "d").symlink_to("../outside")
    plot.write([(RelPath("d/f"), file(), BODY)])
    assert outside(tmp_path) == ["outside", "to"]
    assert [str(one.path) for one in plot.skipped] == ["d/f"]


def test_modes(plot: Plot, tmp_path: Path) -> None:
    """Files' and directories' are exact, also where nobody may write or enter; directories that are only implied get the usual one."""
    plot.plant([directory("closed", 0o500), directory("closed/within", 0o111)])
    plot.write([(RelPath("closed/within/f"), file(mode=0o400), BODY), (RelPath("implied/f"), file(mode=0o4755), BODY)])
    plot.finish()
    found = {name: mode for name, (_, mode, _) in photograph(tmp_path / "to").items()}
    (tmp_path / "to/closed/within").chmod(0o700)
    (tmp_path / "to/closed").chmod(0o700)
    expected = {"closed": 0o500, "closed/within": 0o111, "closed/within/f": 0o400, "implied": 0o755, "implied/f": 0o4755}
    assert {name: mode for name, mode in expected.items() if name in found} == found


def test_more_directories_than_are_held_open(plot: Plot, tmp_path: Path) -> None:
    """A deep tree and a wide one, and back to the first."""
    deep = "/".join("d" * 200)
    names = [f"{deep}/f", *(f"w{number}/f" for number in range(200)), "w0/g", f"{deep}/g"]
    plot.write((RelPath(name), file(), BODY) for name in names)
    plot.finish()
    assert plot.files == len(names)
    assert all((tmp_path / "to" / name).read_bytes() == BODY for name in names)


@pytest.mark.parametrize("version", [file(size=5), file(blob="00" * 32), file(blob=None), file(size=None)])
def test_a_content_that_is_another(plot: Plot, version: FileVersion) -> None:
    """Size and digest are checked, and the file is not counted."""
    with pytest.raises(StoreCorrupt):
        plot.write([(RelPath("f"), version, BODY)])
    assert plot.files == 0


class Daemon:
    """Answers what is asked, from pages and contents."""

    def __init__(self, pages: list[list[PathVersion]], contents: dict[str, bytes]) -> None:
        self.pages, self.contents = pages, contents
        self.asked: list[requests.Request] = []

    def answer(self, request: requests.Request) -> Reply:
        self.asked.append(request)
        match request:
            case requests.ListTree():
                entries = self.pages.pop(0)
                return TreePage(position="#7", entries=entries, more=bool(self.pages))
            case requests.ReadBlobs():
                return Contents(contents=[self.contents[request.blobs[0]]])
            case requests.ReadBlob():
                content = self.contents[request.blob]
                return Chunk(data=content[request.offset : request.offset + 1000], size=len(content))
        raise AssertionError(request.op)

    def write(self, to: Path) -> Materialized:
        """Writes its tree."""
        todo = steps("s", "@", str(to), lambda files: None)
        sent: object = None
        try:
            while True:
                step = todo.send(sent)
                sent = self.answer(step.request) if isinstance(step, Call) else step()
        except StopIteration as end:
            written: Materialized = end.value
            return written
        finally:
            todo.close()


def test_pages_and_contents(tmp_path: Path) -> None:
    """The next page is asked for by number, from the last path on; contents are asked for once each, large ones in pieces."""
    large = b"x" * ((1 << 20) + 1)
    pages = [
        [directory(".", 0o700), PathVersion(path=RelPath("a"), version=file()), PathVersion(path=RelPath("b"), version=file())],
        [
            PathVersion(path=RelPath("c"), version=file(large)),
            PathVersion(path=RelPath("d"), version=FileVersion(kind="unknown")),
            PathVersion(path=RelPath("e"), version=file(b"", 0o600)),
        ],
    ]
    daemon = Daemon(pages, {blake3(one).hexdigest(): one for one in (BODY, large, b"")})
    written = daemon.write(tmp_path / "to")
    assert (written.files, written.bytes) == (4, 2 * len(BODY) + len(large))
    assert [(str(one.path), one.reason) for one in written.skipped] == [("d", "not known at that point")]
    listed = [(one.position, one.after) for one in daemon.asked if isinstance(one, requests.ListTree)]
    assert listed == [("@", None), ("#7", "b")]
    assert [one.blobs for one in daemon.asked if isinstance(one, requests.ReadBlobs)] == [
        [blake3(BODY).hexdigest()],
        [blake3(b"").hexdigest()],
    ]
    assert {name: body for name, (_, _, body) in photograph(tmp_path / "to").items()} == {"a": BODY, "b": BODY, "c": large, "e": b""}


def test_a_daemon_that_sends_nothing(tmp_path: Path) -> None:
    """No contents at all would be asked for for ever: it is an error."""
    daemon = Daemon([[PathVersion(path=RelPath("a"), version=file())]], {})
    daemon.answer = lambda request: (  # type: ignore[method-assign]  # a peer that goes wrong
        TreePage(position="#1", entries=[PathVersion(path=RelPath("a"), version=file())], more=False)
        if isinstance(request, requests.ListTree)
        else Contents(contents=[])
    )
    with pytest.raises(InternalError):
        daemon.write(tmp_path / "to")


def test_what_is_in_the_directory_stays(tmp_path: Path) -> None:
    """One that is not empty is refused before anything is written."""
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(AlreadyExists):
        Daemon([[PathVersion(path=RelPath("a"), version=file())]], {}).write(tmp_path)
    assert os.listdir(tmp_path) == ["mine"]

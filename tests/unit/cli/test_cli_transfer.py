"""`export` and `import`: the files and the requests."""

from pathlib import Path

import msgspec
import pytest

from rewindd.errors import AlreadyExists, BadRequest, RefusedRoot
from rewindd.legacy.format import decode, encode
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests
from support.cli import FakeDaemon, Rewindctl, one_session, rewindctl

ORIGINALS = sorted((Path(__file__).parents[2] / "data" / "checkpoint-json").glob("*.json"))
FIRST, SECOND = (decode(file.read_bytes()) for file in ORIGINALS)


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    one_session(fake)
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The reference's own files, in a directory of their own."""
    found = tmp_path / "checkpoints"
    found.mkdir()
    for file in ORIGINALS:
        (found / file.name).write_bytes(file.read_bytes())
    return found


def test_export_writes_the_references_bytes(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """One file a checkpoint, in a directory that is made; again is fine, another content is `already-exists`."""
    both = [replies.Exported(checkpoint=one, skipped=[]) for one in (FIRST, SECOND)]
    daemon.tell(requests.Export, *both, *both, replies.Exported(checkpoint=msgspec.structs.replace(FIRST, user_prompts=[]), skipped=[]))
    for _ in range(2):
        said = run("-C", str(tmp_path), "export", "@~1", "@", "--to", "new/dir", "--json")
        assert said.json == {"exported": [FIRST.id, SECOND.id], "skipped": []}
    assert [(tmp_path / "new/dir" / file.name).read_bytes() for file in ORIGINALS] == [file.read_bytes() for file in ORIGINALS]
    assert daemon.asked[-1] == requests.Export(session="s1", position="@")
    assert run("-C", str(tmp_path), "export", "@~1", "--to", "new/dir").status == 4


def test_export_tells_what_it_left_out(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """With `--skip-binary`; the refusal without it is the daemon's."""
    left = [replies.PathReason(path=RelPath("logo.png"), reason="binary")]
    daemon.tell(requests.Export, replies.Exported(checkpoint=FIRST, skipped=left), BadRequest("logo.png is binary"))
    said = run("export", "c1", "--to", str(tmp_path), "--skip-binary", "--json")
    assert said.json["skipped"] == [{"id": FIRST.id, "path": "logo.png", "reason": "binary"}]
    refused = run("export", "c1", "--to", str(tmp_path))
    assert (refused.status, "logo.png" in refused.err) == (2, True)


def test_export_into_what_is_no_directory(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """The file system's refusal is `io-error`, with the path."""
    (tmp_path / "file").write_text("")
    daemon.tell(requests.Export, replies.Exported(checkpoint=FIRST, skipped=[]))
    said = run("export", "c1", "--to", str(tmp_path / "file"), "--json")
    assert (said.status, said.error["code"]) == (1, "io-error")
    assert "file" in said.err


def test_import_sends_oldest_first_into_one_session(daemon: FakeDaemon, run: Rewindctl, directory: Path, tmp_path: Path) -> None:
    """The first makes the session, the others name it."""
    daemon.tell(requests.Import, replies.Imported(session_id="s-imported", skipped=[]))
    said = run("-C", str(tmp_path), "import", "checkpoints", "--json")
    assert said.json == {"imported": [FIRST.id, SECOND.id], "skipped": [], "session_id": "s-imported"}
    here = tmp_path.stat()
    first = requests.Import(directory=FsText(tmp_path), device=here.st_dev, inode=here.st_ino, checkpoint=FIRST)
    assert daemon.asked == [first, msgspec.structs.replace(first, session="s-imported", checkpoint=SECOND)]


def test_import_names_what_it_skips(daemon: FakeDaemon, run: Rewindctl, directory: Path) -> None:
    """Bad files, refused checkpoints and paths outside; the status is 0 while anything was imported."""
    (directory / "bad.json").write_text("{")
    outside = [replies.PathReason(path=RelPath("elsewhere"), reason="outside the workspace")]
    daemon.tell(
        requests.Import,
        AlreadyExists("it is there"),
        replies.Imported(session_id="s", skipped=outside),
        replies.Imported(session_id="s", skipped=[]),
    )
    said = run("import", str(directory), "--json")
    assert said.status == 0
    assert said.json["imported"] == [SECOND.id]
    found = [(entry["file"], str(entry["reason"]).split(":")[0]) for entry in said.objects("skipped")]
    assert found == [
        ("bad.json", "not a checkpoint file"),
        (ORIGINALS[0].name, "it is there"),
        (ORIGINALS[1].name, "outside the workspace"),
    ]


def test_import_of_nothing(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """An empty directory is nothing to do; only bad files is a failure; no directory is one too."""
    said = run("import", str(tmp_path), "--json")
    assert (said.status, said.json) == (0, {"imported": [], "skipped": [], "session_id": None})
    (tmp_path / "bad.json").write_text("{")
    assert run("import", str(tmp_path)).status == 1
    assert run("import", str(tmp_path / "none")).status == 1
    assert daemon.asked == []


def test_import_ends_where_the_workspace_is_refused(daemon: FakeDaemon, run: Rewindctl, directory: Path) -> None:
    """What is wrong with the workspace is no fault of a file's."""
    daemon.tell(requests.Import, RefusedRoot("not /"))
    assert run("import", str(directory)).status == 77
    assert len(daemon.asked) == 1


def test_what_is_exported_again_is_the_same(directory: Path) -> None:
    """The files of the directory survive decode and encode."""
    assert [encode(decode(file.read_bytes())) for file in sorted(directory.iterdir())] == [file.read_bytes() for file in ORIGINALS]

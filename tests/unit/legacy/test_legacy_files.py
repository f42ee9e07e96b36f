"""Checkpoint files on disk."""

import os
from pathlib import Path

import anyio
import msgspec
import pytest

from rewindd.errors import AlreadyExists, BadRequest
from rewindd.legacy import files
from rewindd.legacy import format as layout

DATA = Path(__file__).parents[2] / "data" / "checkpoint-json"
ORIGINALS = sorted(DATA.glob("*.json"))
FIRST = layout.decode(ORIGINALS[0].read_bytes())


def test_a_file_is_written_whole_and_read_again(tmp_path: Path) -> None:
    """The directory is made, the bytes are the reference's, nothing else is left in it."""
    directory = tmp_path / "a" / "b"
    file = anyio.run(files.write, directory, FIRST)
    assert file.read_bytes() == ORIGINALS[0].read_bytes()
    assert anyio.run(files.read, file) == FIRST
    assert os.listdir(directory) == ["20261122-100000.json"]


def test_the_same_again_is_fine_something_else_is_refused(tmp_path: Path) -> None:
    """A file that is there is never overwritten."""
    file = anyio.run(files.write, tmp_path, FIRST)
    inode = file.stat().st_ino
    anyio.run(files.write, tmp_path, FIRST)
    with pytest.raises(AlreadyExists, match="holds something else"):
        anyio.run(files.write, tmp_path, msgspec.structs.replace(FIRST, user_prompts=["other"]))
    assert file.read_bytes() == ORIGINALS[0].read_bytes()
    assert file.stat().st_ino == inode
    assert os.listdir(tmp_path) == [file.name]


def test_without_hard_links_nothing_is_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no hard links gets the file by rename."""

    async def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("aiofiles.os.link", refuse)
    anyio.run(files.write, tmp_path, FIRST)
    with pytest.raises(AlreadyExists):
        anyio.run(files.write, tmp_path, msgspec.structs.replace(FIRST, user_prompts=["other"]))
    assert os.listdir(tmp_path) == ["20261122-100000.json"]


def test_a_dangling_link_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    """The name is taken, whatever it leads to."""
    (tmp_path / "20261122-100000.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AlreadyExists):
        anyio.run(files.write, tmp_path, FIRST)
    assert not (tmp_path / "elsewhere").exists()


def test_a_survey_orders_by_time_and_says_what_it_skipped(tmp_path: Path) -> None:
    """Checkpoints come oldest first; what is none is named with its reason; other names are not looked at."""
    later = msgspec.structs.replace(FIRST, id="a-later-one", timestamp_ns=FIRST.timestamp_ns + 1)
    anyio.run(files.write, tmp_path, later)
    anyio.run(files.write, tmp_path, FIRST)
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "double.json").write_bytes(layout.encode(FIRST))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.json").write_text("x")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "dir.json").mkdir()
    found, skipped = anyio.run(files.survey, tmp_path)
    assert [entry.id for entry in found] == ["20261122-100000", "a-later-one"]
    assert [entry.file.name for entry in skipped] == ["bad.json", "dir.json", "double.json", "pipe.json"]
    assert "missing required field" in skipped[0].reason


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    """Opening it does not block."""
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(BadRequest, match="no regular file"):
        anyio.run(files.read, tmp_path / "pipe.json")

"""Where a directory is: what cannot be looked at for now is not taken for what is not there."""

import errno
import os
from pathlib import Path

import pytest

from rewindd.errors import Busy, OutsideWorkspace, UnknownWorkspace
from rewindd.service import places


def failing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Lets every look at a directory's birth fail so."""

    def fail(path: str) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(places, "birth_of", fail)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_no_room_for_a_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """It passes; a workspace above is not left out for it, and so no other one made inside."""
    failing(monkeypatch, number)
    for look in (lambda: places.look(str(tmp_path), None, None), lambda: places.upwards(str(tmp_path))):
        with pytest.raises(Busy):
            look()


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a directory that is gone nor one that may not be searched is one, and what is above it is found."""
    with pytest.raises(UnknownWorkspace):
        places.look(str(tmp_path / "gone"), None, None)
    assert str(tmp_path.resolve()) in places.upwards(str(tmp_path.resolve() / "gone"))
    failing(monkeypatch, errno.EACCES)
    with pytest.raises(UnknownWorkspace):
        places.look(str(tmp_path), None, None)


@pytest.mark.parametrize("is_left", [True, False], ids=["by a link left behind", "not any more"])
def test_a_path_of_a_root_that_was_moved(tmp_path: Path, is_left: bool) -> None:
    """Where the root was moved and a link to it left, a path by its new name is the workspace's; without one it is outside."""
    root, moved = tmp_path / "root", tmp_path / "moved"
    (root / "src").mkdir(parents=True)
    root.rename(moved)
    if is_left:
        root.symlink_to("moved")
        for named in (root, moved):
            assert places.locate(str(named / "src/gone"), str(root)) == "src/gone"
            assert places.locate(str(named), str(root)) == "."
    else:
        with pytest.raises(OutsideWorkspace):
            places.locate(str(moved / "src/gone"), str(root))

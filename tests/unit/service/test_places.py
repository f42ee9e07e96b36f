"""Where a directory is: what cannot be looked at for now is not taken for what is not there."""

import errno
import os
from pathlib import Path

import pytest

from rewindd.errors import Busy, UnknownWorkspace
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

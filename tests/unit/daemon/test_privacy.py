"""What must be the user's alone: mended where that is enough, refused where somebody else has a part in it."""

import logging
import os
import stat
from pathlib import Path

import pytest

from rewindd import errors
from rewindd.daemon import privacy

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_open_data_is_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Modes that let others in are mended, two levels deep, and it is said; the owner's own bits stay."""
    data = tmp_path / "data"
    (data / "blobs" / "ab").mkdir(parents=True)
    (data / "store.db").touch()
    for path, was in ((data, 0o755), (data / "blobs", 0o777), (data / "blobs/ab", 0o750), (data / "store.db", 0o644)):
        path.chmod(was)
    with caplog.at_level(logging.WARNING):
        privacy.private_data(str(data))
    assert [mode(path) for path in (data, data / "blobs", data / "blobs/ab", data / "store.db")] == [0o700, 0o700, 0o700, 0o600]
    assert f"others could use {data} and 3 more" in caplog.text
    caplog.clear()
    privacy.private_data(str(data))
    assert caplog.text == ""


def test_a_new_data_directory(tmp_path: Path) -> None:
    """It is made, closed to others, whatever the umask."""
    privacy.private_data(str(tmp_path / "a" / "data"))
    assert mode(tmp_path / "a" / "data") == 0o700


def test_our_own_link(tmp_path: Path) -> None:
    """Contents that the user put on another disk by a link are looked at there."""
    data, disk = tmp_path / "data", tmp_path / "disk"
    data.mkdir(mode=0o700)
    disk.mkdir()
    disk.chmod(0o755)
    (data / "blobs").symlink_to(disk)
    privacy.private_data(str(data))
    assert mode(disk) == 0o700


@needs_root
@pytest.mark.parametrize("name", ["store.db", "blobs", "blobs/ab", "."])
def test_anothers_data(tmp_path: Path, name: str) -> None:
    """What belongs to another user is refused by name, and left as it is: the directory itself, a database, a directory of contents."""
    data = tmp_path / "data"
    (data / "blobs" / "ab").mkdir(parents=True)
    (data / "store.db").touch()
    os.chown(data / name, NOBODY, -1)
    before = mode(data / name)
    with pytest.raises(errors.NotPermitted, match="belongs to another user") as raised:
        privacy.private_data(str(data))
    assert Path(str(raised.value.fields["path"])) == data / name
    assert mode(data / name) == before


@needs_root
def test_anothers_link(tmp_path: Path) -> None:
    """A link in the data that another user made is refused, wherever it leads; so is one of ours to what is theirs."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", NOBODY, -1)
    (data / "blobs").symlink_to(tmp_path / "theirs")
    with pytest.raises(errors.NotPermitted):
        privacy.private_data(str(data))
    (data / "blobs").unlink()
    (data / "blobs").symlink_to(tmp_path / "ours")
    os.chown(data / "blobs", NOBODY, -1, follow_symlinks=False)
    with pytest.raises(errors.NotPermitted):
        privacy.private_data(str(data))


def test_a_way_that_is_ours(tmp_path: Path) -> None:
    """Our own directories, root's, /tmp with its sticky bit, our own links, and what is not there yet."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    for place in ("real/deep", "link/deep", "link/../real", "not/there/yet"):
        privacy.check_way(str(tmp_path / place))
    assert Path("/tmp").stat().st_mode & stat.S_ISVTX
    privacy.check_way("/tmp/not-there")


def test_a_way_that_is_open(tmp_path: Path) -> None:
    """A directory above that all may write is refused, but not with the sticky bit; nor is the place itself asked for its mode."""
    shared = tmp_path / "shared"
    (shared / "place").mkdir(parents=True)
    (tmp_path / "link").symlink_to("shared/place")
    shared.chmod(0o777)
    for way in (shared / "place", tmp_path / "link" / "deep"):
        with pytest.raises(errors.NotPermitted, match="chmod go-w") as raised:
            privacy.check_way(str(way))
        assert raised.value.fields["path"] == str(shared)
    privacy.check_way(str(shared))
    shared.chmod(0o1777)
    privacy.check_way(str(shared / "place"))


@needs_root
def test_a_way_open_to_a_group(tmp_path: Path) -> None:
    """A group that is ours first may write above, as on systems where each user has one; no other group."""
    shared = tmp_path / "shared"
    (shared / "place").mkdir(parents=True)
    shared.chmod(0o775)
    privacy.check_way(str(shared / "place"))
    os.chown(shared, -1, NOBODY)
    with pytest.raises(errors.NotPermitted):
        privacy.check_way(str(shared / "place"))


@needs_root
@pytest.mark.parametrize("what", ["directory", "link"])
def test_a_way_that_is_anothers(tmp_path: Path, what: str) -> None:
    """Who owns a directory above, or a link on the way, could put another thing there."""
    (tmp_path / "directory" / "place").mkdir(parents=True)
    (tmp_path / "link").symlink_to("directory")
    os.chown(tmp_path / what, NOBODY, -1, follow_symlinks=False)
    with pytest.raises(errors.NotPermitted, match=f"belongs to another user .uid {NOBODY}") as raised:
        privacy.check_way(str(tmp_path / what / "place"))
    assert raised.value.fields["path"] == str(tmp_path / what)


def test_a_way_in_circles(tmp_path: Path) -> None:
    """Links that lead to themselves end the look, as they end the kernel's."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    privacy.check_way(str(tmp_path / "a" / "place"))

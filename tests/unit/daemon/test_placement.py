"""Which file systems a data directory may be on, by the number that statfs(2) gives, and what becomes of a daemon on each."""

import logging
import subprocess
from pathlib import Path

import pytest

from rewindd.daemon import placement
from rewindd.errors import BadConfig
from rewindd.model.filesystems import Fitness, fitness

NFS, CIFS, TMPFS, OVERLAY, FUSE = 0x6969, 0xFF534D42, 0x01021994, 0x794C7630, 0x65735546
EXT4, XFS, BTRFS, ZFS = 0xEF53, 0x58465342, 0x9123683E, 0x2FC12FC1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, Fitness.FIT) for kind in (EXT4, XFS, BTRFS, ZFS, 0)),
        *((kind, Fitness.WARNED) for kind in (TMPFS, OVERLAY, FUSE)),
        *((kind, Fitness.REFUSED) for kind in (NFS, CIFS, CIFS - (1 << 32))),
    ],
)
def test_kinds(kind: int, expected: Fitness) -> None:
    """Disks are fit, what goes away is warned of, another machine's is refused; also where the number came as a negative one."""
    found, words = fitness(kind)
    assert found is expected
    assert bool(words) is (expected is not Fitness.FIT)


def test_a_network_s_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The error names the directory, the file system and the setting; with the setting it is only told."""
    monkeypatch.setattr(placement, "kind_of", lambda path: NFS)
    with pytest.raises(BadConfig, match=r"nfs.*allow_network_data_dir = true in \[daemon\]") as refused:
        placement.check(str(tmp_path), allows_network=False)
    assert str(tmp_path) in str(refused.value)
    with caplog.at_level(logging.WARNING):
        placement.check(str(tmp_path), allows_network=True)
    assert f"{tmp_path} is on nfs" in caplog.text


def test_memory_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A real tmpfs is taken, with a warning, also for a directory that is not there yet."""
    table = Path("/proc/self/mounts").read_text().splitlines()
    place = next(line.split()[1] for line in table if line.split()[2] == "tmpfs")
    assert placement.kind_of(f"{place}/not/there/yet") == TMPFS
    with caplog.at_level(logging.WARNING):
        placement.check(f"{place}/not/there/yet", allows_network=False)
    assert "is on tmpfs: memory" in caplog.text


def test_the_number_is_the_kernel_s(tmp_path: Path) -> None:
    """It is what stat(1) says of the same directory."""
    said = subprocess.run(["stat", "--file-system", "--format=%t", str(tmp_path)], check=True, capture_output=True, text=True).stdout
    assert placement.kind_of(str(tmp_path)) & 0xFFFFFFFF == int(said, 16)

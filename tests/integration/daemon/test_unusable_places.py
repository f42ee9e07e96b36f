"""Places that the system does not let the daemon write to: it says which, why, and what else can be done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.mounting import unshared


@pytest.mark.parametrize(("place", "name", "other"), [("data", "lock", "--data-dir"), ("run", "d.sock.lock", "--socket")])
def test_a_place_that_is_mounted_read_only(tmp_path: Path, place: str, name: str, other: str) -> None:
    """Neither a traceback nor a bare number of an error, and nothing is left running."""
    for directory in ("data", "run"):
        (tmp_path / directory).mkdir(mode=0o700)
    where = tmp_path / place
    command = [sys.executable, "-m", "rewindd.daemon", "--socket", str(tmp_path / "run" / "d.sock"), "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        [*unshared(f"mount --bind {where} {where} && mount -o remount,ro,bind {where}"), *command],
        env={name: value for name, value in os.environ.items() if not name.startswith("REWINDD_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"cannot be used: read-only file system ({where / name})" in line
    assert line.endswith(f"or name another with {other} or REWINDD_{'DATA_DIR' if place == 'data' else 'SOCKET'}")

"""What the figures depend on: versions, processors, and the file system with the state that it is in."""

import os
import platform
import sqlite3
from pathlib import Path

import rewindd
from benchmark import place

#: A file system with fewer files was made for the run; one with more has been lived in, and is slower to make files in.
FRESH_FILES = 10_000


def of(directory: Path) -> dict[str, str]:
    """Returns what the figures depend on."""
    return {
        "rewindd": rewindd.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "file_system": place.file_system(directory),
        "directory": str(directory),
    }


def state_of_file_system(directory: Path) -> str:
    """Returns whether the file system is fresh or used, and how much. Ask before anything is made in it."""
    found = os.statvfs(directory)
    files = found.f_files - found.f_ffree
    full = 1 - found.f_bfree / found.f_blocks
    written = _written_bytes(directory)
    told = [f"{full:.0%} of {found.f_blocks * found.f_frsize / 1e9:,.0f} GB full", f"{files:,} inodes in use"]
    if written is not None:
        told.append(f"{written / 1e9:,.0f} GB written in its life")
    return f"{'fresh' if files < FRESH_FILES else 'used'} ({', '.join(told)})"


def _written_bytes(directory: Path) -> int | None:
    """Returns what was ever written to an ext4 (Documentation/ABI/testing/sysfs-fs-ext4); None for others."""
    device = directory.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    try:
        return int((Path("/sys/fs/ext4") / block.resolve().name / "lifetime_write_kbytes").read_text()) * 1024
    except OSError:
        return None

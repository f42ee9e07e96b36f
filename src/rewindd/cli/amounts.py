"""Times and sizes as people type them: `12h`, `1G`."""

import re

import click

#: Seconds of each unit of time; bytes of each of size, in steps of 1024, as ls(1) and du(1) have them.
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TIME = re.compile(r"(\d{1,9})([smhd])")
_SIZE = re.compile(r"(\d{1,9})([KMGT]?)(?:i?B)?")


def seconds(given: str) -> float:
    """Returns a time in seconds. Raises click.BadParameter where it is none."""
    found = _TIME.fullmatch(given)
    if found is None:
        raise click.BadParameter("write a number and a unit: 45m, 12h, 7d")
    return float(int(found[1]) * _SECONDS[found[2]])


def size_bytes(given: str) -> int:
    """Returns a size in bytes. Raises click.BadParameter where it is none."""
    found = _SIZE.fullmatch(given)
    if found is None:
        raise click.BadParameter("write a number and a unit of 1024: 500M, 1G")
    return int(found[1]) * _BYTES[found[2]]

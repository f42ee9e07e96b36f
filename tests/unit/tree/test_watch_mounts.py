"""The mount table: its lines taken apart, and a real one that changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rewindd.tree.watch import mounts
from rewindd.tree.watch.mounts import Mount, Mounts, below, parsed
from support.mounting import unshared

#: Mounts and unmounts in its own namespace, and says what is told of it.
PROGRAM = """
import subprocess, sys
from rewindd.tree.watch.mounts import Mounts
mounts, top = Mounts(), sys.argv[1]
def told():
    before = mounts.changed(), mounts.changed()
    if before[0]:
        mounts.read()
    return before, mounts.changed(), sorted(mounts.take()), sorted(mounts.take())
def run(*command):
    subprocess.run(command, check=True)
    print(told())
print(told())
run("mount", "-t", "tmpfs", "none", f"{top}/a b")
run("mount", "--bind", f"{top}/one", f"{top}/c")
subprocess.run(["umount", f"{top}/c"], check=True)
run("mount", "--bind", f"{top}/two", f"{top}/c")
run("umount", f"{top}/a b")
run("true")
mounts.close()
"""


def test_lines_are_taken_apart() -> None:
    """Each line is a mount with its id, device, directory and point; what is cut short is none."""
    table = (
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n"
        b"37 36 0:44 / / rw - tmpfs a\\040b rw\n"
        b"38 36 0:45 / /cut\n\n"
    )
    assert parsed(table) == {Mount("/mnt2", b"36", b"98:0", b"/mnt1"), Mount("/", b"37", b"0:44", b"/")}


@pytest.mark.parametrize(
    ("written", "point"),
    [
        (rb"/a\040b", "/a b"),
        (rb"/a\011b\012c", "/a\tb\nc"),
        (rb"/a\134040b", r"/a\040b"),
        (rb"/a\043b", "/a#b"),
        (b"/\xff", os.fsdecode(b"/\xff")),
    ],
)
def test_a_point_is_its_path(written: bytes, point: str) -> None:
    """Escapes are undone once, and bytes that are not UTF-8 stay what they are."""
    assert [mount.point for mount in parsed(b"37 36 0:44 / %s rw - tmpfs a rw\n" % written)] == [point]


def test_below() -> None:
    """The directory itself and what lies in it, not what begins with the same letters or lies around it."""
    points = ["/", "/a", "/a/b", "/a/b/c", "/a/bc"]
    assert below(points, "/a/b") == ["/a/b", "/a/b/c"]
    assert below(points, "/") == points


def test_a_table_that_changes(tmp_path: Path) -> None:
    """A mount, a bind mount in another's place and an unmount are told until they are read, each point once; else there is nothing."""
    for name in ("a b", "c", "one", "two"):
        (tmp_path / name).mkdir()
    command = [*unshared("true"), sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    nothing: tuple[object, ...] = ((False, False), False, [], [])
    expected = [nothing] + [((True, True), False, [f"{tmp_path}/{name}"], []) for name in ("a b", "c", "c", "a b")] + [nothing]
    assert done.stdout.splitlines() == [str(one) for one in expected], done.stderr


def test_no_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no /proc that is an OSError."""
    monkeypatch.setattr(mounts, "MOUNTINFO", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        Mounts()

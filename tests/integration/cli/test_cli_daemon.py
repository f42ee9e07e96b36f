"""`rewindctl` against the real daemon, as processes."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

COMMAND = [sys.executable, "-c", "from rewindd.cli.main import main; main()"]
ORIGINALS = Path(__file__).parents[2] / "data" / "checkpoint-json"


class Place:
    """A workspace, and a daemon of its own that the first command starts."""

    def __init__(self, directory: Path) -> None:
        self.tree = directory / "tree"
        self.tree.mkdir()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "REWINDD_SOCKET": str(directory / "s" / "sock"),
            "XDG_DATA_HOME": str(directory / "data"),
            "TERM": "xterm",
        }

    def run(self, *args: str, status: int = 0) -> str:
        done = subprocess.run([*COMMAND, *args], env=self.env, cwd=self.tree, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stderr
        return done.stdout

    def json(self, *args: str, status: int = 0) -> dict[str, object]:
        found = json.loads(self.run(*args, "--json", status=status))
        assert isinstance(found, dict)
        return found

    def objects(self, field: str, *args: str) -> list[dict[str, object]]:
        return msgspec.convert(self.json(*args)[field], list[dict[str, object]])

    def on_terminal(self, answer: str, *args: str) -> tuple[int, str]:
        """Runs it on a terminal where a person gives the answer; returns its status and what was shown."""
        master, slave = pty.openpty()
        child = subprocess.Popen([*COMMAND, *args], env=self.env, cwd=self.tree, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        shown = b""
        try:
            while True:
                shown += os.read(master, 4096)
                if shown.endswith(b"[y/N] "):
                    os.write(master, f"{answer}\n".encode())
        except OSError:  # EIO: it has ended
            return child.wait(30), shown.decode()
        finally:
            os.close(master)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.run("daemon", "stop")
    assert found.json("daemon", "stop") == {"pid": None, "stopped": False}


def test_a_person_saves_rewinds_and_undoes(place: Place) -> None:
    """The whole way, with nothing but `save` to begin with."""
    file = place.tree / "a.txt"
    file.write_text("one\n")
    place.run("snapshot", "a.txt", "new.txt")
    file.write_text("one\ntwo\n")
    first = place.json("save", "-m", "first")
    place.run("snapshot", "a.txt")
    file.write_text("one\ntwo\nthree\n")
    (place.tree / "new.txt").write_text("new\n")
    assert {change["path"] for change in place.objects("changes", "pending")} == {"a.txt", "new.txt"}
    place.run("save", "-m", "second", "--id", "mine")
    assert [entry["is_head"] for entry in place.objects("checkpoints", "list")] == [False, True]
    place.run("rewind", "first", status=2)
    assert place.json("rewind", "first", "--dry-run")["removed"] == ["new.txt"]
    status, shown = place.on_terminal("n", "rewind", "first")
    # 4 while the last edit is no two seconds old, 1 on a machine that took longer to come here.
    assert (status in {1, 4}, file.read_text()) == (True, "one\ntwo\nthree\n"), shown
    status, shown = place.on_terminal("y", "rewind", "first")
    assert (status, file.read_text(), (place.tree / "new.txt").exists()) == (0, "one\ntwo\n", False), shown
    assert place.json("undo")["head"] == "mine"
    assert (file.read_text(), (place.tree / "new.txt").read_text()) == ("one\ntwo\nthree\n", "new\n")
    assert place.json("redo")["head"] == first["id"]
    place.run("undo")
    place.run("undo", status=3)
    assert place.run("log").count("\n") >= 5


def test_the_references_files_go_in_and_come_out(place: Place, tmp_path: Path) -> None:
    """Imported checkpoints of this workspace's paths export to the same bytes; paths of elsewhere are skipped, and named."""
    there = tmp_path / "in"
    there.mkdir()
    for file in ORIGINALS.iterdir():
        (there / file.name).write_text(file.read_text().replace("/home/user/project", str(place.tree)))
    imported = place.json("import", str(there))
    ids = ["20261122-100000", "20261122-110000"]
    assert (imported["imported"], imported["skipped"]) == (ids, [])
    place.run("--session", str(imported["session_id"]), "export", *ids, "--to", str(tmp_path / "out"))
    for file in there.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert len(place.objects("skipped", "import", str(ORIGINALS))) == 3


def test_the_daemon_is_started_once_and_restarted(place: Place) -> None:
    """`start` says whether it did; `restart` makes another process of it."""
    first = place.json("daemon", "start")
    assert first["started"] is True
    assert place.json("daemon", "start") == {"pid": first["pid"], "started": False}
    again = place.json("daemon", "restart")
    assert again["stopped"] is True
    assert again["pid"] != first["pid"]
    assert place.json("status")["pid"] == again["pid"]


def another_protocol(place: Place, version: int) -> "subprocess.Popen[bytes]":
    """A daemon that speaks another version of the protocol, and listens."""
    speaks = f"from rewindd.protocol import wire; wire.PROTOCOL_VERSION = {version}; from rewindd.daemon.main import main; main()"
    found = subprocess.Popen([sys.executable, "-c", speaks], env=place.env, stderr=subprocess.PIPE)
    assert found.stderr is not None
    while b"ready on" not in (line := found.stderr.readline()):
        assert line, "it ended"
    return found


def test_an_older_daemon_makes_room(place: Place) -> None:
    """One of an older protocol is named as such by every command and by doctor; `daemon restart` has it drain and end; sessions stay."""
    place.run("session", "open", "--id", "open")
    place.run("daemon", "stop")
    with another_protocol(place, 0) as old:
        try:
            said = msgspec.convert(place.json("status", status=2)["error"], dict[str, object])
            assert (said["code"], said["supported"]) == ("unsupported-version", "0")
            told = msgspec.convert(place.json("doctor", status=1)["findings"], list[dict[str, object]])
            assert ("daemon", "rewindctl daemon restart") in [(one["check"], one["remedy"]) for one in told]
            assert place.json("daemon", "restart")["stopped"] is True
            assert old.wait(20) == 0
        finally:
            old.kill()
    assert [one["id"] for one in place.objects("sessions", "session", "list")] == ["open"]


def test_a_newer_daemon_goes_on(place: Place) -> None:
    """One of a later protocol is not ended by a program that is older than it, which says so."""
    with another_protocol(place, 2) as new:
        try:
            for command in ("stop", "restart"):
                said = msgspec.convert(place.json("daemon", command, status=2)["error"], dict[str, object])
                assert (said["code"], said["supported"]) == ("unsupported-version", "2")
            assert new.poll() is None
        finally:
            new.kill()


def test_recording_counts(place: Place) -> None:
    """Events from stdin are in the next checkpoint."""
    place.run("session", "open", "--id", "s")
    lines = b'{"kind":"user_prompt","text":"hi","tokens":3}\n{"kind":"tool_call","tool_name":"t","arguments":"{}","result":"r"}\n'
    done = subprocess.run([*COMMAND, "record", "--json"], env=place.env, cwd=place.tree, input=lines, capture_output=True, check=True)
    assert json.loads(done.stdout)["recorded"] == 2
    saved = place.json("save")
    shown = place.json("show", str(saved["id"]))
    assert shown["user_prompts"] == ["hi"]
    assert shown["tool_calls"] == [{"tool_name": "t", "arguments": "{}", "result": "r", "success": True}]

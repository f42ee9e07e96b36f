"""`config`, `logs`, `metrics` and `doctor` against the real daemon, as processes: on a healthy setup, and on deliberately sick ones."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from rewindd.cli.doctor.kernel import mount_of
from support.yard import until

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
COMMAND = [sys.executable, "-c", "from rewindd.cli.main import main; main()"]
Finding = dict[str, str | None]


class Place:
    """A workspace and a home of its own, and the daemon that the first command starts there."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.tree = directory, directory / "tree"
        self.data, self.run_dir = directory / "share" / "rewindd", directory / "run" / "rewindd"
        self.config = directory / "config" / "rewindd" / "config.toml"
        for made in (self.tree, self.config.parent, self.run_dir.parent):
            made.mkdir(parents=True)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "XDG_DATA_HOME": str(directory / "share"),
            "XDG_CONFIG_HOME": str(directory / "config"),
        }

    def ran(self, *args: str, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        command = [*prefix, *COMMAND, *args]
        return subprocess.run(
            command, env={**self.env, **(env or {})}, cwd=self.tree, capture_output=True, text=True, check=False, timeout=60
        )

    def run(self, *args: str, status: int = 0, prefix: tuple[str, ...] = ()) -> str:
        done = self.ran(*args, prefix=prefix)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout

    def json(self, *args: str, status: int = 0) -> dict[str, object]:
        found = json.loads(self.run(*args, "--json", status=status))
        assert isinstance(found, dict)
        return found

    def pid(self) -> int:
        return msgspec.convert(self.json("status")["pid"], int)

    def doctor(self, status: int | None = None) -> dict[str, Finding]:
        """What is no `ok`, by check, but what this machine has: no systemd, and a file system of a container."""
        done = self.ran("doctor", "--json")
        told = json.loads(done.stdout)
        found: list[Finding] = [one for one in told["findings"] if one["state"] != "ok"]
        problems = [one for one in found if one["state"] == "problem"]
        assert done.returncode == (1 if problems else 0), done.stderr
        assert told["healthy"] is (not problems)
        assert all(one["remedy"] for one in problems)
        theirs = {"unit", "lingering", *({"file system"} if self.is_fleeting() else set()), *({"disk"} if self.is_full() else set())}
        assert status is None or status == (1 if [one for one in problems if one["check"] not in theirs] else 0), found
        return {str(one["check"]): one for one in found if one["check"] not in theirs}

    def is_fleeting(self) -> bool:
        return mount_of(str(self.directory))[0] in ("overlay", "tmpfs")

    def is_full(self) -> bool:
        return shutil.disk_usage(self.directory).free < max(2 << 30, shutil.disk_usage(self.directory).total // 20)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path.resolve())
    try:
        yield found
    finally:
        found.config.unlink(missing_ok=True)
        found.run("daemon", "stop")


def test_config_without_a_daemon(place: Place) -> None:
    """`show` tells each value and where it comes from, `check` what is wrong and where, with 78; neither starts a daemon."""
    assert "there is no configuration" in place.ran("config", "check").stderr
    place.config.write_text("[capture]\nmax_files = 5\n")
    (place.config.parent / "config.d").mkdir()
    drop_in = place.config.parent / "config.d" / "10.toml"
    drop_in.write_text("[store]\nmax_bytes = 7\n")
    told = place.json("config", "show")
    assert told["files"] == [str(place.config), str(drop_in)]
    settings = {one["name"]: one for one in msgspec.convert(told["settings"], list[dict[str, object]])}
    assert settings["capture.max_files"] == {
        "name": "capture.max_files",
        "value": 5,
        "unit": "files",
        "origin": str(place.config),
        "reloads": True,
    }
    assert (settings["store.max_bytes"]["value"], settings["store.max_bytes"]["origin"]) == (7, str(drop_in))
    assert (settings["daemon.data_dir"]["value"], settings["daemon.data_dir"]["reloads"]) == (str(place.data), False)
    assert "store.max_bytes = 7" in place.run("config", "show")
    assert place.json("config", "check")["files"] == told["files"]
    drop_in.write_text("[store]\nmax_byte = 7\n")
    error = msgspec.convert(place.json("config", "check", status=78)["error"], dict[str, object])
    assert (error["code"], error["path"], error["key"], error["line"]) == ("bad-config", str(drop_in), "store.max_byte", 2)
    place.run("config", "show", status=78)
    place.run("config", "check", str(place.config))
    place.run("config", "check", "../config/rewindd/config.d/10.toml", status=78)
    place.run("config", "check", "nothing.toml", status=78)
    assert not place.run_dir.exists()
    drop_in.unlink()


@pytest.mark.parametrize("kind", ["device", "fifo", "directory"])
def test_a_configuration_that_is_no_file(place: Place, kind: str) -> None:
    """A drop-in that has no end, or no beginning, is named and refused at once, with 78, and so it is where it is what is to be checked."""
    drop_in = place.config.parent / "config.d" / "10-odd.toml"
    drop_in.parent.mkdir()
    if kind == "device":
        drop_in.symlink_to("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(drop_in)
    else:
        drop_in.mkdir()
    for which in ((), (str(drop_in),)):
        error = msgspec.convert(place.json("config", "check", *which, status=78)["error"], dict[str, object])
        assert (error["code"], error["path"]) == ("bad-config", str(drop_in))
        assert "it is no regular file" in str(error["message"])


def test_logs_of_the_file(place: Place) -> None:
    """The log of a daemon that a command started is the file beside its socket: its last lines, and with -f what comes."""
    place.run("logs", status=1)
    place.config.write_text("[daemon]\nlog_level = 'info'\n")
    place.run("status")
    until(lambda: "request op=status" in place.run("logs"))
    assert place.run("logs", "-n", "1").count("\n") == 1
    assert "line" in json.loads(place.run("logs", "-n", "1", "--json"))
    following = subprocess.Popen([*COMMAND, "logs", "-f", "-n", "0"], env=place.env, cwd=place.tree, stdout=subprocess.PIPE)
    assert following.stdout is not None
    try:
        until(lambda: _follows(following.pid, place.run_dir / "rewindd.log"))
        place.run("session", "list", "--all")
        assert any("op=session.list" in line.decode() for line in iter(following.stdout.readline, b""))
    finally:
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=30)
    assert following.returncode == 130
    place.run("daemon", "stop")
    assert "ended" in place.run("logs", "-n", "1")


def _follows(pid: int, path: Path) -> bool:
    return any(os.path.realpath(f"/proc/{pid}/fd/{name}") == str(path) for name in os.listdir(f"/proc/{pid}/fd"))


def test_logs_of_a_daemon_that_was_started_by_hand(place: Place) -> None:
    """Its standard error is followed where it leads, into whatever file; where that is none, it is said."""
    command = [sys.executable, "-m", "rewindd.daemon"]
    for target, status in ((place.directory / "mine.log", 0), (Path(os.devnull), 69)):
        with target.open("wb") as sink:
            process = subprocess.Popen(command, env=place.env, cwd="/", stderr=sink)
        try:
            until(lambda: place.ran("status", env={"REWINDD_AUTOSTART": "0"}).returncode == 0)
            assert ("ready on" in place.run("logs", status=status)) == (status == 0)
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_metrics(place: Place) -> None:
    """The numbers are what was done; no daemon is started for them; and the text names nothing of the user's."""
    place.run("metrics", status=69)
    assert not place.run_dir.exists()
    (place.tree / "a-secret-name").write_text("1\n")
    place.run("session", "open", "--id", "a-secret-session")
    place.run("save")
    place.run("save", "--session", "nobody", status=3)
    text = place.run("metrics")
    assert json.loads(place.run("metrics", "--json"))["text"].startswith("# HELP rewindd_")
    found = {(one.name, *sorted(one.labels.values())): one.value for family in parse(text) for one in family.samples}
    assert found["rewindd_requests_total", "ok", "save"] == 1
    assert found["rewindd_requests_total", "save", "unknown-session"] == 1
    assert found["rewindd_request_duration_seconds_count", "save"] == 2
    assert found["rewindd_requests_in_flight",] == 1
    assert (found["rewindd_store_checkpoints",], found["rewindd_store_blobs",]) == (1, 1)
    assert (found["rewindd_sessions_open",], found["rewindd_sessions_active",]) == (1, 1)
    assert found["rewindd_workspaces", "on"] == 1
    assert found["rewindd_watched_directories",] >= 1
    assert found["rewindd_resident_memory_bytes",] > 1 << 20
    assert found["rewindd_open_descriptors",] < found["rewindd_max_descriptors",]
    told = {f"{family.name}_total" if family.type == "counter" else family.name: family.type for family in parse(text)}
    assert told == dict(re.findall(r"^\| `(rewindd_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert "secret" not in text
    assert str(place.directory) not in text


def test_doctor_of_a_healthy_daemon(place: Place) -> None:
    """Before the first daemon, beside one, and after it nothing is a problem."""
    assert set(place.doctor(0)) == {"daemon"}
    (place.tree / "a.txt").write_text("1\n")
    place.run("save")
    assert place.doctor(0) == {}
    assert "nothing is missing" in place.run("doctor", status=1 if place.is_fleeting() or place.is_full() else 0)
    place.run("daemon", "stop")
    assert set(place.doctor(0)) == {"daemon"}


def test_doctor_of_what_a_crash_left(place: Place) -> None:
    """A socket on which nobody listens is a problem; the remedy that is told cures it."""
    pid = place.pid()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2])
    found = place.doctor(1)
    assert found["socket"]["state"] == "problem"
    assert found["socket"]["remedy"] == "rewindctl daemon start"
    place.run("daemon", "start")
    assert place.doctor(0) == {}


def test_doctor_of_a_daemon_that_hangs(place: Place) -> None:
    """A daemon that is stopped listens and does not answer: that is told, and who holds the locks; doctor itself comes to an end."""
    pid = place.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        found = place.doctor(1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "does not answer" in (found["daemon"]["message"] or "")
    assert f"kill -USR1 {pid}" in (found["daemon"]["remedy"] or "")


def test_doctor_of_wrong_modes(place: Place) -> None:
    """What others could use is named, each with the command that closes it; the commands do."""
    place.run("save")
    (place.data / "store.db").chmod(0o644)
    place.config.write_text("")
    place.config.chmod(0o666)
    found = place.doctor(1)
    assert str(place.data / "store.db") in (found["permissions"]["message"] or "")
    assert set(found) == {"permissions", "config"}
    for one in found.values():
        subprocess.run(["sh", "-c", one["remedy"] or "false"], check=True)
    assert place.doctor(0) == {}
    place.data.chmod(0o755)
    assert place.doctor(1)["permissions"]["remedy"] == f"chmod 700 {place.data}"
    place.data.chmod(0o700)


def test_doctor_of_a_bad_configuration(place: Place) -> None:
    """A file that could not be taken over is told with its place, with a daemon and without."""
    place.config.write_text("")
    pid = place.pid()
    place.config.write_text("[stroe]\n")
    assert "did you mean store?" in (place.doctor(1)["config"]["message"] or "")
    os.kill(pid, signal.SIGHUP)
    until(lambda: "not taken over" in place.run("status"))
    place.config.write_text("")
    assert "did not take it over" in (place.doctor(1)["config"]["message"] or "")
    os.kill(pid, signal.SIGHUP)
    until(lambda: "not taken over" not in place.run("status"))
    assert place.doctor(0) == {}


def test_doctor_of_low_limits(place: Place) -> None:
    """A daemon with few descriptors, and none to raise them to, is a problem: each client needs one."""
    place.run("daemon", "start", prefix=("prlimit", "--nofile=300:300"))
    found = place.doctor(1)
    assert "of 300 are in use" in (found["descriptors"]["message"] or "")


def test_doctor_of_a_gap(place: Place) -> None:
    """What limits leave out is worth to know, and what could not be read is a problem; both name the path."""
    place.config.write_text("[capture]\nmax_file_bytes = 100\n")
    (place.tree / "large").write_bytes(bytes(200))
    place.run("save")
    found = place.doctor(0)
    assert found["gaps"]["state"] == "note"
    assert "large (limit: " in (found["gaps"]["message"] or "")


def test_a_damaged_store(place: Place) -> None:
    """A page whose rows are not in order keeps the daemon from starting where there is no backup to come back from; the log says so."""
    place.run("save")
    place.run("daemon", "stop")
    _spoil(place.data / "store.db")
    place.doctor(0)  # nobody looks into the store without a daemon
    done = place.ran("daemon", "start")
    assert done.returncode == 69
    assert "rewindd.log" in done.stderr
    assert "store.db is damaged: " in (place.run_dir / "rewindd.log").read_text()


def _spoil(path: Path) -> None:
    """Swaps two cells of the root page of `answers`: its rows are not in order any more, and everything else is as it was."""
    db = sqlite3.connect(path)
    (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'answers'").fetchone()
    (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    data = bytearray(path.read_bytes())
    start = (root - 1) * page_bytes
    header = 12 if data[start] in (2, 5) else 8
    first, second = start + header, start + header + 2
    data[first : first + 2], data[second : second + 2] = data[second : second + 2], data[first : first + 2]
    path.write_bytes(data)


FEW_WATCHES = """
echo 3 > /proc/sys/user/max_inotify_watches
"$@" save >/dev/null 2>&1
"$@" doctor --json
"$@" daemon stop
"""


def test_doctor_of_few_watches(place: Place) -> None:
    """Where the user may watch three directories and has ten, the budget is told to be used up, and what it means."""
    if subprocess.run(["unshare", "--user", "--map-root-user", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no user namespace is to be had here")
    for number in range(10):
        (place.tree / str(number)).mkdir()
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", FEW_WATCHES, "sh")
    found = {one["check"]: one for one in json.loads(place.run(prefix=prefix))["findings"]}
    assert found["inotify"]["state"] == "problem"
    assert "of 3 watches" in found["inotify"]["message"]
    assert found["watching"]["state"] == "note"
    assert "watched in part" in found["watching"]["message"]


SYSTEMCTL = """#!/bin/sh
case "$*" in
*rewindd.service*) printf 'LoadState=loaded\\nActiveState=%s\\nUnitFileState=enabled\\nResult=exit-code\\nMainPID=0\\n' "$SERVICE" ;;
*) printf 'LoadState=loaded\\nActiveState=active\\nUnitFileState=enabled\\nResult=success\\nMainPID=0\\n' ;;
esac
"""
JOURNALCTL = """#!/bin/sh
printf '%s\\n' "$*"
exit "$STATUS"
"""


def test_where_systemd_has_the_daemon(place: Place) -> None:
    """With the units installed the log is the journal's, and doctor tells what the units are in; programs of a test stand for systemd's."""
    bin_dir = place.directory / "bin"
    bin_dir.mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL), ("loginctl", "#!/bin/sh\necho no\n")):
        (bin_dir / name).write_text(text)
        (bin_dir / name).chmod(0o755)
    env = {"PATH": f"{bin_dir}:{place.env['PATH']}", "STATUS": "0", "SERVICE": "failed"}
    shown = place.ran("logs", "-f", "-n", "7", env=env)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split()[:3] == ["--user", "--unit=rewindd.service", "--lines=7"]
    assert "--follow" in shown.stdout
    assert place.ran("logs", env={**env, "STATUS": "3"}).returncode == 69
    told = {one["check"]: one for one in json.loads(place.ran("doctor", "--json", env=env).stdout)["findings"]}
    assert told["unit"]["state"] == "problem"
    assert "rewindd.service has failed (exit-code)" in told["unit"]["message"]
    assert told["lingering"]["remedy"] == "loginctl enable-linger"
    told = {one["check"]: one for one in json.loads(place.ran("doctor", "--json", env={**env, "SERVICE": "inactive"}).stdout)["findings"]}
    assert told["unit"]["state"] == "ok"

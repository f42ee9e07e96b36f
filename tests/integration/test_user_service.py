"""rewindd as a service, against a real `systemd --user`: installed, started by the first request, watched over, taken away.

One systemd and one installation for all of it, so it is one test for pytest-xdist, which else spreads it over its workers.
"""

import json
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd import __version__
from support.user_manager import PATIENCE_S, RUNTIME, UserManager, user_manager, why_not

ROOT = Path(__file__).parents[2]
REASON = why_not()
#: The version that is upgraded to, and what of the project installing takes.
ANOTHER = "999.0.0"
_SHIPPED = {"LICENSE", "README.md", "docs", "pyproject.toml", "scripts", "src", "systemd"}


class Place(UserManager):
    """The inside, with rewindd's own words."""

    def install(self, *arguments: str) -> str:
        return self.run(str(ROOT / "scripts" / "install"), *arguments)

    def uninstall(self, *arguments: str) -> str:
        return self.run(str(ROOT / "scripts" / "uninstall"), *arguments)

    def pid(self) -> str:
        """Asks the daemon; returns the process that answered, as systemd knows it."""
        found = json.loads(self.output("rewindctl", "status", "--json", env={"REWINDD_AUTOSTART": "0"}))
        assert self.shown("MainPID") == str(found["pid"])
        return str(found["pid"])

    def drop_in(self, name: str, text: str) -> None:
        """Adds settings to the service, in force from its next start on."""
        directory = self.home / ".config/systemd/user/rewindd.service.d"
        directory.mkdir(exist_ok=True)
        (directory / name).write_text(text)
        self.systemctl("daemon-reload")

    def configure(self, text: str) -> None:
        file = self.home / ".config/rewindd/config.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def log(self) -> str:
        return (self.home.parent / "daemon.log").read_text()

    def until_logged(self, text: str) -> None:
        """Waits until the daemon has said it: SIGHUP was sent when `systemctl reload` returns, not yet heard."""
        end_s = time.monotonic() + PATIENCE_S
        while text not in self.log():
            assert time.monotonic() < end_s, self.log()
            select.select([], [], [], 0.02)

    def everything(self) -> set[str]:
        """All paths below the home directory."""
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}

    def installed(self) -> set[str]:
        """Those that are neither the daemon's data nor in an environment."""
        return {path for path in self.everything() if "/env-" not in path and not path.startswith(".local/share/rewindd/")}


@pytest.fixture
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with user_manager(tmp_path_factory.mktemp("service"), Place) as found:
        found.log_in()
        found.install("--strict")
        yield found


def ready(inside: Place) -> Place:
    """The socket listens, nothing has failed, and no setting is left of another step."""
    shutil.rmtree(inside.home / ".config/systemd/user/rewindd.service.d", ignore_errors=True)
    shutil.rmtree(inside.home / ".config/rewindd", ignore_errors=True)
    inside.drop_in("log.conf", f"[Service]\nStandardError=append:{inside.home.parent}/daemon.log\n")
    inside.systemctl("stop", "rewindd.service")
    inside.systemctl("reset-failed")
    inside.systemctl("start", "rewindd.socket")
    (inside.home.parent / "daemon.log").write_text("")
    return inside


def units_are_clean(place: Place) -> None:
    """`systemd-analyze verify` has nothing to say about the installed units, with the strict drop-in too."""
    place.drop_in("strict.conf", (ROOT / "systemd/strict.conf").read_text())
    units = place.home / ".config/systemd/user"
    assert place.run("systemd-analyze", "--user", "verify", str(units / "rewindd.socket"), str(units / "rewindd.service")) == ""


def the_first_request_starts_it(place: Place) -> None:
    """Installed is the socket alone; a request starts the daemon, which says that it is ready, and what it is at."""
    assert place.shown("ActiveState") == "inactive"
    assert place.shown("ActiveState", "rewindd.socket") == "active"
    assert place.systemctl("is-enabled", "rewindd.socket") == "enabled"
    place.pid()
    place.until("ActiveState", "active")
    assert place.shown("StatusText").startswith("answering requests")


def it_works_strict(place: Place) -> None:
    """With the strict drop-in too."""
    it_works_hardened(place, strict=True)


def it_works_hardened(place: Place, strict: bool = False) -> None:
    """Hardened it still saves, merges by git and rewinds, in no namespace of its own, and set-group-id bits come back unless strict."""
    if strict:
        place.drop_in("strict.conf", (ROOT / "systemd/strict.conf").read_text())
    pid = place.pid()
    assert place.namespaces(pid) == place.namespaces("self")
    assert {"NoNewPrivs:\t1", "Seccomp:\t2"} <= set(place.run("cat", f"/proc/{pid}/status").splitlines())
    tree = place.home.parent / f"tree-{strict}"
    (tree / "shared").mkdir(parents=True)
    (tree / "shared").chmod(0o2775)
    (tree / "shared/a.txt").write_text("one\n\ntwo\n\nthree\n")

    def ctl(*arguments: str) -> dict[str, object]:
        found = json.loads(place.output("rewindctl", "-C", str(tree), "--json", *arguments))
        assert isinstance(found, dict)
        return found

    ctl("session", "open", "--id", f"s-{strict}", "--agent", "a")
    first = ctl("save")["id"]
    place.run("rewindctl", "-C", str(tree), "run", "--", "sed", "-i", "s/one/ONE/", "shared/a.txt")
    ctl("save")
    place.run("sed", "-i", "s/three/THREE/", str(tree / "shared/a.txt"))
    assert ctl("rewind", str(first), "--yes")["merged"] == ["shared/a.txt"]
    assert (tree / "shared/a.txt").read_text() == "one\n\ntwo\n\nTHREE\n"
    if not strict:
        place.run("rewindctl", "-C", str(tree), "run", "--", "rm", "-r", "shared")
        ctl("restore", "--", str(tree / "shared"))
        assert (tree / "shared").stat().st_mode & 0o7777 == 0o2775
    ctl("session", "close")


def a_stop_is_clean_and_the_socket_stays(place: Place) -> None:
    """Stopped, it ended well; its socket listens on, and the next request is answered by another process."""
    before = place.pid()
    place.systemctl("stop", "rewindd.service")
    assert (place.shown("ActiveState"), place.shown("Result")) == ("inactive", "success")
    assert "ending: SIGTERM" in place.log()
    assert place.pid() != before


def requests_wait_while_it_restarts(place: Place) -> None:
    """None of the requests that come while it is restarted, again and again, fails."""
    place.pid()
    for _ in range(3):
        asked = [place.start("rewindctl", "status", "--json", env={"REWINDD_AUTOSTART": "0"}) for _ in range(4)]
        place.systemctl("restart", "rewindd.service")
        for each in asked:
            out, err = each.communicate(timeout=60)
            assert each.returncode == 0, err
            assert json.loads(out)["pid"]


def commands_restart_it(place: Place) -> None:
    """`rewindctl daemon restart` and `stop` are obeyed, and systemd takes them for what they are: no failure, no second daemon."""
    before = place.pid()
    place.run("rewindctl", "daemon", "restart")
    after = place.pid()
    assert after != before
    place.run("rewindctl", "daemon", "stop")
    place.until("ActiveState", "inactive")
    assert (place.shown("Result"), place.shown("NRestarts")) == ("success", "0")


def killed_it_comes_back(place: Place) -> None:
    """After SIGKILL the request that comes next is answered by another process."""
    before = place.pid()
    place.kill(signal.SIGKILL)
    place.run("rewindctl", "status", env={"REWINDD_AUTOSTART": "0"})
    assert place.pid() != before
    assert place.shown("ActiveState", "rewindd.socket") == "active"


def the_watchdog_ends_what_hangs(place: Place) -> None:
    """It is fed while all is well; a daemon that hangs is ended and started again, and says where it was."""
    place.drop_in("watchdog.conf", "[Service]\nWatchdogSec=3\n")
    before = place.pid()
    place.until("ActiveState", "active")
    fed = place.shown("WatchdogTimestampMonotonic")
    while place.shown("WatchdogTimestampMonotonic") == fed:
        select.select([], [], [], 0.1)
    assert place.pid() == before
    place.kill(signal.SIGSTOP)
    place.until("NRestarts", "1")
    place.until("ActiveState", "active")
    assert place.pid() != before
    assert "Fatal Python error: Aborted" in place.log()


def reload(place: Place) -> None:
    """A reload ends when the configuration was read; a wrong one changes nothing, and the daemon goes on."""
    before = place.pid()
    place.until("ActiveState", "active")
    place.configure("[daemon]\nlog_level = 'debug'\n")
    place.systemctl("reload", "rewindd.service")
    place.until_logged("/.config/rewindd/config.toml")
    place.until("ActiveState", "active")
    place.configure("[daemon]\nlog_lvel = 'error'\n")
    place.systemctl("reload", "rewindd.service")
    place.until_logged("did you mean daemon.log_level?")
    place.until("ActiveState", "active")
    assert place.pid() == before


def a_bad_configuration(place: Place) -> None:
    """It does not start, ends with 78 and is not tried again and again; who asks is told why; corrected, the next request starts it."""
    place.configure("[daemon]\nlog_lvel = 'error'\n")
    place.systemctl("start", "rewindd.service", status=1)
    assert (place.shown("ExecMainStatus"), place.shown("ActiveState")) == ("78", "failed")
    said = place.run("rewindctl", "status", status=69, env={"REWINDD_AUTOSTART": "0"})
    assert "did you mean daemon.log_level?" in said
    place.until("ActiveState", "failed")
    assert place.shown("NRestarts") == "0"
    place.configure("[daemon]\nlog_level = 'error'\n")
    place.pid()


def logout_and_login(place: Place) -> None:
    """The daemon ends with the last logout; after the next login the first request starts it, and sessions are still there."""
    tree = place.home.parent / "kept"
    tree.mkdir()
    place.run("rewindctl", "-C", str(tree), "session", "open", "--id", "kept")
    before = place.pid()
    place.log_out()
    assert place.run("sh", "-c", f"test -e /proc/{before} || echo gone") == "gone\n"
    assert "no systemd of this user's can be asked" in place.install("--dry-run")
    place.log_in()
    assert place.shown("ActiveState") == "inactive"
    assert "kept" in place.run("rewindctl", "-C", str(tree), "session", "show", "kept", env={"REWINDD_AUTOSTART": "0"})
    place.pid()


def another_version(place: Place) -> Path:
    """This program as another version, whose socket's unit is another too."""
    tree = place.home.parent / "another"
    shutil.copytree(ROOT, tree, ignore=lambda at, names: set(names) - _SHIPPED if Path(at) == ROOT else {"__pycache__"} & set(names))
    for file, word, new in (
        ("pyproject.toml", f'version = "{__version__}"', f'version = "{ANOTHER}"'),
        ("src/rewindd/__init__.py", f'__version__ = "{__version__}"', f'__version__ = "{ANOTHER}"'),
        ("systemd/rewindd.socket", "Backlog=256", "Backlog=257"),
    ):
        text = (tree / file).read_text()
        assert text.count(word) == 1
        (tree / file).write_text(text.replace(word, new))
    return tree


def an_upgrade_in_place(place: Place) -> None:
    """Another version over the one that runs, while sessions ask: nothing they ask fails, and a command that runs ends as it would have.

    Only the environment and the process are others. What was hardened stays so, unless that is taken back.
    """
    tree, go = place.home.parent / "upgraded", place.home.parent / "go"
    tree.mkdir()
    place.run("rewindctl", "-C", str(tree), "session", "open", "--id", "open")
    place.drop_in("strict.conf", (ROOT / "systemd/strict.conf").read_text())
    before, old = place.pid(), (place.home / ".local/lib/rewindd/current").readlink()
    paths = place.installed()
    ctl = f"rewindctl -C {tree} --session open"
    running = place.start("sh", "-c", f"exec {ctl} run -- sh -c 'touch begun; until [ -e {go} ]; do sleep 0.1; done; exit 7'")
    asking = [place.start("sh", "-ec", f"until [ -e {go} ]; do {ctl} --quiet save -m {n} >>{go}.{n}; sleep 0.1; done") for n in range(2)]
    while not (tree / "begun").exists():
        assert running.poll() is None
        select.select([], [], [], 0.02)
    install = str(another_version(place) / "scripts/install")
    strict = place.home / ".config/systemd/user/rewindd.service.d/strict.conf"
    rehearsed = place.run(install, "--dry-run")
    assert f"the service stays hardened further, by {strict}" in rehearsed
    assert f"would keep {place.home}/.config/systemd/user/rewindd.service, which is the same" in rehearsed
    said = place.run(install, "--no-strict")
    assert f"kept {place.home}/.config/systemd/user/rewindd.service, which is the same" in said
    assert f"removed {strict}" in said
    assert str(strict) not in (place.home / ".local/lib/rewindd/written").read_text()
    assert place.installed() == paths - {str(strict.relative_to(place.home))}
    new = (place.home / ".local/lib/rewindd/current").readlink()
    assert new != old
    assert place.pid() != before
    assert str(new) in place.run("cat", f"/proc/{place.pid()}/cmdline")
    assert json.loads(place.output("rewindctl", "status", "--json"))["version"] == ANOTHER
    # The command's own environment is still there, and so it ends as it would have.
    assert f"kept {place.home}/.local/lib/rewindd/{old}: a program of it runs" in said
    go.touch()
    for number, each in enumerate(asking):
        _, err = each.communicate(timeout=60)
        assert each.returncode == 0, err
        assert Path(f"{go}.{number}").read_text()
    _, err = running.communicate(timeout=60)
    assert running.returncode == 7, err
    assert f"would have removed {place.home}/.local/lib/rewindd/{old}" in place.run(install, "--dry-run")
    assert "open" in place.run("rewindctl", "-C", str(tree), "session", "list")


def what_installing_says(place: Place) -> None:
    """A dry run names what would be written, and writes nothing; so does that of uninstalling."""
    before = place.everything()
    said = place.install("--dry-run", "--strict")
    for path in (".local/bin/rewindd", ".config/systemd/user/rewindd.service.d/strict.conf", ".local/share/man/man1/rewindctl.1"):
        assert f"{place.home}/{path}" in said
    assert "would run systemctl --user --quiet enable --now rewindd.socket" in said
    assert f"would have removed {place.home}/.local/bin/rewindd" in place.uninstall("--dry-run", "--purge")
    assert place.everything() == before
    assert place.systemctl("is-active", "rewindd.socket") == "active"


def uninstalled_the_data_is_left(place: Place) -> None:
    """What was installed is gone, and so is the daemon; the data is there until it is purged. While a command runs nothing is touched."""
    place.pid()
    tree, go = place.home.parent / "ended", place.home.parent / "ended-go"
    tree.mkdir()
    place.run("rewindctl", "-C", str(tree), "session", "open", "--id", "last")
    command = f"rewindctl -C {tree} --session last run -- sh -c 'touch begun; until [ -e {go} ]; do sleep 0.1; done; exit 7'"
    running = place.start("sh", "-c", f"exec {command}")
    while not (tree / "begun").exists():
        assert running.poll() is None
        select.select([], [], [], 0.02)
    before = place.installed()
    assert "nothing was removed; end it, then run this again" in place.run(str(ROOT / "scripts/uninstall"), status=1)
    assert place.installed() == before
    go.touch()
    _, err = running.communicate(timeout=60)
    assert running.returncode == 7, err
    shutil.rmtree(place.home / ".config/systemd/user/rewindd.service.d")
    place.uninstall()
    left = {path for path in place.everything() if path.startswith((".local", ".config"))}
    assert {path for path in left if not path.startswith(".local/share/rewindd")} <= {".local", ".local/share"}
    assert (place.home / ".local/share/rewindd/store.db").exists()
    assert place.systemctl("is-active", "rewindd.socket", status=None) == "inactive"
    assert "No such file" in place.run("ls", f"{RUNTIME}/rewindd", status=2)
    place.uninstall("--purge", "--yes")
    assert not [path for path in place.everything() if "rewindd" in path]


#: In this order; each finds the service as `ready` leaves it.
STEPS = (
    units_are_clean,
    the_first_request_starts_it,
    it_works_hardened,
    it_works_strict,
    a_stop_is_clean_and_the_socket_stays,
    requests_wait_while_it_restarts,
    commands_restart_it,
    killed_it_comes_back,
    the_watchdog_ends_what_hangs,
    reload,
    a_bad_configuration,
    logout_and_login,
    an_upgrade_in_place,
    what_installing_says,
    uninstalled_the_data_is_left,
)


@pytest.mark.skipif(REASON is not None, reason=f"no systemd --user of a test's own: {REASON}")
@pytest.mark.timeout(600)
def test_the_service(inside: Place, subtests: pytest.Subtests) -> None:
    """Each step's docstring says what it shows."""
    for step in STEPS:
        with subtests.test(step.__name__):
            step(ready(inside))

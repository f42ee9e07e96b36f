"""`watch` as a process, and what other commands say of notices."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd.client.blocking_session import Session
from support.daemon import PATIENCE_S, RealDaemon

RUN = "from rewindd.cli.main import main; main()"


@pytest.fixture
def pair(running: RealDaemon, tree: Path) -> Iterator[tuple[Session, Session]]:
    """Two sessions of a workspace with the file `f`, which both work on; each has been told of nothing."""
    (tree / "f").write_text("0\n")
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client:
        with client.session(tree, agent="a", capture="snapshots", exact=True) as a:
            with client.session(tree, agent="b", capture="snapshots", exact=True) as b:
                a.snapshot("f")
                yield a, b
                a.close()
                b.close()


def change(session: Session, tree: Path, content: str) -> None:
    """The session changes `f` in a bracket."""
    with session.editing("f"):
        (tree / "f").write_text(content)


def start(running: RealDaemon, tree: Path, *args: str) -> "subprocess.Popen[str]":
    """A `rewindctl` in the workspace."""
    env = {"PATH": "/usr/bin:/bin", "REWINDD_SOCKET": running.socket, "REWINDD_AUTOSTART": "0", "PYTHONUTF8": "1"}
    out = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", RUN, *args], cwd=tree, env=env, stdout=out, stderr=out, text=True)


def run(running: RealDaemon, tree: Path, *args: str) -> tuple[int, str, str]:
    """Its exit status, stdout and stderr."""
    with start(running, tree, *args) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err


def test_once(running: RealDaemon, tree: Path, pair: tuple[Session, Session]) -> None:
    """`--once` prints what there is and acknowledges it; with `--keep` it does not; `--json` is a line each; `--diff` has patches."""
    a, b = pair
    change(b, tree, "1\n")
    text = f"f, which you work on, was changed by session {b.id} (agent b) at "
    status, out, err = run(running, tree, "watch", "--once", "--keep", "--session", a.id)
    assert (status, out.startswith(text), out.count("\n"), err) == (0, True, 1, "")
    status, out, _ = run(running, tree, "watch", "--once", "--keep", "--json", "--diff", "--session", a.id)
    told = json.loads(out)
    assert (status, told["told"], told["path"], told["session_id"], told["kind"]) == (0, a.id, "f", b.id, "changed")
    assert told["patch"].endswith("-0\n+1\n")
    status, out, _ = run(running, tree, "watch", "--once", "--diff", "--session", a.id)
    assert (status, out.startswith(text), out.endswith("-0\n+1\n")) == (0, True, True)
    assert run(running, tree, "watch", "--once", "--session", a.id) == (0, "", "")


def test_other_commands_say_so(running: RealDaemon, tree: Path, pair: tuple[Session, Session]) -> None:
    """Any command of a session with notices says so on stderr, with the command that shows them; stdout stays as it is."""
    a, b = pair
    change(b, tree, "1\n")
    said = f"1 notice: f; `rewindctl watch --once --session {a.id}` shows them\n"
    assert run(running, tree, "pending", "--json", "--session", a.id) == (0, '{"changes": [], "unowned": 0}\n', said)
    assert run(running, tree, "pending", "--session", b.id)[2].count("notice") == 0
    assert run(running, tree, "pending", "-q", "--session", a.id)[2] == ""
    status, _, err = run(running, tree, "show", "nowhere", "--session", a.id)
    assert (status, err.endswith(said)) == (3, True)


def test_it_follows_until_it_is_interrupted(running: RealDaemon, tree: Path, pair: tuple[Session, Session]) -> None:
    """Without `--once` each notice is printed as it comes; SIGINT ends it with 130."""
    a, b = pair
    with start(running, tree, "watch", "--json", "--session", a.id) as process:
        for number in range(3):
            change(b, tree, f"{number + 1}\n")
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["path"] == "f"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130


def test_it_ends_with_its_session(running: RealDaemon, tree: Path, pair: tuple[Session, Session]) -> None:
    """When the session is closed there is nothing more to come."""
    a, b = pair
    with start(running, tree, "watch", "--session", a.id) as process:
        change(b, tree, "1\n")
        assert process.stdout is not None
        assert process.stdout.readline()
        a.close()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, err) == (0, f"session {a.id} was closed\n")
    assert run(running, tree, "watch", "--once", "--session", "nobody")[0] == 3


def test_a_snapshot_warns_of_an_overlap(running: RealDaemon, tree: Path, pair: tuple[Session, Session]) -> None:
    """`snapshot` of what another session changed and did not save warns on stderr, and lists it in JSON."""
    a, b = pair
    change(b, tree, "1\n")
    status, _, err = run(running, tree, "snapshot", "f", "--session", a.id)
    assert (status, err.startswith(f"warning: f was changed by session {b.id} (agent b) at ")) == (0, True)
    _, out, _ = run(running, tree, "snapshot", "f", "--json", "--session", a.id)
    assert [one["session_id"] for one in json.loads(out)["overlaps"]] == [b.id]

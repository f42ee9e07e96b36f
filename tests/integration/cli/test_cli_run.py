"""`run` as a process: the streams, the exit status and the signals are the command's, and what it changed is the session's."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd.client.blocking_session import Session
from rewindd.protocol import replies, requests
from support.daemon import PATIENCE_S, RealDaemon

#: `rewindctl`, which looks after an agent's session so often that a test need not wait.
RUN = "from rewindd.cli import tending as t; t.POLL_S, t.QUIET_S = 0.05, 0.3; from rewindd.cli.main import main; main()"


@pytest.fixture
def session(running: RealDaemon, tree: Path) -> Iterator[Session]:
    """The one session of a covered workspace with the file `old`, and no claim on it."""
    (tree / "old").write_text("0\n")
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client:
        with client.session(tree, agent="tester", capture="snapshots", exact=True) as one:
            one.snapshot(".")
            one.release()
            yield one
            if one.info is not None and one.info.closed_at is None:
                one.close()


class Here:
    """Runs `rewindctl` in a workspace."""

    def __init__(self, daemon: RealDaemon, tree: Path) -> None:
        self.tree = tree
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REWINDD_")}
        self.env = {**clean, "REWINDD_SOCKET": daemon.socket, "REWINDD_AUTOSTART": "0", "PYTHONUTF8": "1"}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-c", RUN, *args]

    def run(self, *args: str, given: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        """Runs `rewindctl run` with these arguments."""
        return subprocess.run(
            self.command("run", *args),
            cwd=self.tree,
            env={**self.env, **env},
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def owners(self, session: Session, path: str) -> list[str | None]:
        """Whose the changes of a path are, oldest first."""
        with rewindd.blocking.connect(socket=self.env["REWINDD_SOCKET"], autostart=False) as client:
            found = client.ask(requests.ReadLog(session=session.id), replies.Edits).edits
        return [one.session_id for one in found if one.path == path and one.source in ("tool", "command", "external")]

    @contextmanager
    def started(self, *args: str, own_group: bool = False) -> Iterator["subprocess.Popen[str]"]:
        """`rewindctl run` on its way; killed in the end if it still runs."""
        with subprocess.Popen(
            self.command("run", *args),
            cwd=self.tree,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0 if own_group else None,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def here(running: RealDaemon, tree: Path) -> Here:
    return Here(running, tree)


def test_what_it_changes_is_the_session_s(here: Here, session: Session) -> None:
    """Inside: the session's, told on stderr. After it: nobody's. stdin and stdout are the command's alone."""
    done = here.run("--", "sh", "-c", "cat; echo 1 > old; echo 1 > new", given="to the command\n")
    assert (done.returncode, done.stdout) == (0, "to the command\n")
    assert done.stderr.splitlines() == ["A  new  +1", "M  old  +1 -1", "2 paths changed +2 -1"]
    (here.tree / "old").write_text("2\n")
    assert here.owners(session, "old") == [session.id, None]
    assert here.owners(session, "new") == [session.id]


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -INT $$", 130), ("kill -KILL $$", 137)]
)
def test_the_exit_status(here: Here, session: Session, script: str, status: int) -> None:
    """The command's own, or 128 and the number of the signal that ended it."""
    done = here.run("--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "nothing changed\n")


def test_what_cannot_be_run(here: Here, session: Session) -> None:
    """127 for what is not there, 126 for what is no program, as a shell has it; one line says why. A script without `#!` runs."""
    script = here.tree / "script"
    script.write_text("echo shell $1\nexit 4\n")
    for command, status in (("no-such-command", 127), ("./old", 126), (".", 126)):
        done = here.run("-q", "--", command)  # nobody's `script` is a notice
        assert (done.returncode, done.stderr.count("\n")) == (status, 1)
        assert done.stderr.startswith(f"rewindctl: {command}: ")
    script.chmod(0o755)
    done = here.run("-q", "--", "./script", "word")
    assert (done.returncode, done.stdout) == (4, "shell word\n")


def test_many_paths(here: Here, session: Session) -> None:
    """Twenty are named, the rest is counted; `-q` says nothing of it."""
    done = here.run("--", "sh", "-c", "for i in $(seq 10 40); do echo > f$i; done")
    lines = done.stderr.splitlines()
    assert (len(lines), lines[0], lines[19:]) == (22, "A  f10  +1", ["A  f29  +1", "and 11 paths more", "31 paths changed +31"])
    assert here.run("-q", "--", "sh", "-c", "rm f*").stderr == ""


def test_json(here: Here, session: Session) -> None:
    """One object, as the last line of stderr: stdout is the command's."""
    done = here.run("--json", "--", "sh", "-c", "echo words; echo more >&2; echo 1 > old; exit 3")
    assert (done.stdout, done.stderr.splitlines()[0]) == ("words\n", "more")
    told = json.loads(done.stderr.splitlines()[-1])
    assert (told["session_id"], told["exit_status"], told["unowned"], told["contested"]) == (session.id, 3, 0, 0)
    (change,) = told["changes"]
    assert (change["path"], change["change"], "patch" in change, "text" in change["after"]) == ("old", "modified", False, False)


def test_its_environment(here: Here, session: Session, running: RealDaemon) -> None:
    """The command's own `rewindctl` finds the session and the daemon; a signal that Python ignores is as usual."""
    done = here.run("--socket", running.socket, "--", "sh", "-c", "echo $REWINDD_SESSION $REWINDD_SOCKET")
    assert done.stdout.split() == [session.id, running.socket]
    done = here.run("--", "grep", "SigIgn", "/proc/self/status")
    assert int(done.stdout.split()[1], 16) & (1 << signal.SIGPIPE - 1) == 0


def test_another_directory(here: Here, session: Session) -> None:
    """With `-C` the command runs there."""
    (here.tree / "sub").mkdir()
    assert here.run("-C", "sub", "--", "pwd").stdout.strip() == str(here.tree / "sub")


def test_no_session(here: Here, tree: Path) -> None:
    """Where none is open it opens one of agent `you`, as `save` does."""
    done = here.run("--", "sh", "-c", "echo $REWINDD_SESSION")
    assert done.stderr.startswith(f"opened session {done.stdout.strip()}")
    with rewindd.blocking.connect(socket=here.env["REWINDD_SOCKET"], autostart=False) as client:
        (found,) = client.sessions(tree)
        assert (found.agent, found.attribution) == ("you", "sole")


def test_without_a_daemon(here: Here) -> None:
    """Nothing runs, and the exit status says so; with `--best-effort` it runs, with one warning, and its status is passed on."""
    nowhere = str(here.tree / "none")
    refused = here.run("--", "sh", "-c", "echo ran", REWINDD_SOCKET=nowhere)
    assert (refused.returncode, refused.stdout) == (69, "")
    done = here.run("--best-effort", "--", "sh", "-c", "echo ran; exit 3", REWINDD_SOCKET=nowhere)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "ran\n", 1)
    around = here.run("--best-effort", "--session", "--", "sh", "-c", "echo ran; exit 4", REWINDD_SOCKET=nowhere)
    assert (around.returncode, around.stdout, around.stderr.count("\n")) == (4, "ran\n", 1)


def test_nobody_reads_stderr(here: Here, session: Session) -> None:
    """The exit status is the command's all the same."""
    reads, writes = os.pipe()
    os.close(reads)
    command = here.command("run", "--", "sh", "-c", "echo 1 > old; exit 3")
    done = subprocess.run(command, cwd=here.tree, env=here.env, stderr=writes, stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False)
    os.close(writes)
    assert done.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_to_rewindctl_is_the_command_s(here: Here, session: Session, number: signal.Signals) -> None:
    """What is sent to `rewindctl` alone reaches the command, which decides; the window is closed and told of all the same."""
    script = f"trap 'echo 1 > old; echo caught; exit 7' {number.name[3:]}; echo ready; while :; do sleep 0.02; done"
    with here.started("--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (7, "caught\n", "M  old  +1 -1\n1 path changed +1 -1\n")


def test_the_terminal(here: Here, session: Session) -> None:
    """^C on a terminal reaches the command once, and not `rewindctl`."""
    script = "trap 'n=x$n; echo caught $n' INT; echo ready; while [ -z \"$n\" ]; do sleep 0.02; done; sleep 0.1; exit 7"
    said, status = on_a_terminal(here.command("run", "-q", "--", "sh", "-c", script), here)
    assert (status, said.count("caught"), "caught x\r\n" in said) == (7, 1, True)


def on_a_terminal(command: Sequence[str], here: Here) -> tuple[str, int]:
    """Runs a command on a terminal of its own and types ^C when it says `ready`; returns what it said, and its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(here.tree)
        os.execve(command[0], list(command), here.env)
    said, typed = "", False
    while select.select([terminal], [], [], PATIENCE_S)[0]:
        try:
            read = os.read(terminal, 4096).decode()
        except OSError:  # Linux: EIO when the other side is closed
            break
        said += read
        if "ready" in said and not typed:
            typed = True
            os.write(terminal, b"\x03")
        if not read:
            break
    os.close(terminal)
    return said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_stopped_and_continued(here: Here, session: Session) -> None:
    """^Z stops both, as a shell's job, and both go on together."""
    with here.started("-q", "--", "sh", "-c", "echo $$; read word; echo $word", own_group=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGTSTP)
        until_state(process.pid, "T")
        until_state(child, "T")
        os.killpg(process.pid, signal.SIGCONT)
        out, _ = process.communicate("on\n", timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "on\n")


def until_state(pid: int, state: str) -> None:
    """Returns when a process is in a state, as proc_pid_stat(5) names it."""
    for _ in range(int(PATIENCE_S / 0.01)):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == state:
            return
        select.select([], [], [], 0.01)
    raise AssertionError(f"{pid} is not in state {state}")


def test_around_an_agent(here: Here, session: Session, tree: Path) -> None:
    """The agent has a session of its own, saved when it was quiet for a while and at its end; the session stays open."""
    script = 'echo 1 > old; echo 1 > new; echo "$REWINDD_SESSION"; read word; echo 2 > old; exit 5'
    with here.started("--session", "-m", "the end", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        own = process.stdout.readline().strip()
        with rewindd.blocking.connect(socket=here.env["REWINDD_SOCKET"], autostart=False) as client:
            with client.session(tree, session_id=own) as agents:
                for _ in range(int(PATIENCE_S / 0.02)):
                    if agents.list():
                        break
                    select.select([], [], [], 0.02)
                (quiet,) = agents.list()
                assert (quiet.files, quiet.label) == (2, None)
                _, err = process.communicate("on\n", timeout=PATIENCE_S)
                assert [(one.files, one.label) for one in agents.list()] == [(2, None), (1, "the end")]
                assert agents.info is not None
                assert agents.info.agent == "sh"
            with client.session(tree, session_id=own) as agents:
                first = agents.rewind(quiet.id, before=True)
                assert (sorted(first.restored), sorted(first.removed)) == (["old"], ["new"])
                assert "." not in first.not_quiet
                assert [one.id for one in client.sessions(tree) if one.closed_at is None and one.id == own] == [own]
    assert process.returncode == 5
    assert err.splitlines()[0] == f"session {own}"
    assert f"rewindctl --session {own} list" in err
    assert session.pending() == []
    assert session.id != own


def test_around_an_agent_json(here: Here, session: Session) -> None:
    """`--agent` names the agent; the last line of stderr is an object that names the session and its checkpoints."""
    done = here.run("--json", "--session", "--agent", "me", "--", "sh", "-c", "echo 1 > old")
    told = json.loads(done.stderr.splitlines()[-1])
    with rewindd.blocking.connect(socket=here.env["REWINDD_SOCKET"], autostart=False) as client:
        with client.session(here.tree, session_id=told["session_id"]) as one:
            assert [checkpoint.id for checkpoint in one.list()] == told["saved"]
            assert one.info is not None
            assert one.info.agent == "me"


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--"],
        ["--session", "--"],
        ["--session", "s", "--agent", "a", "--", "true"],
        ["-m", "label", "--", "true"],
        ["--no-such-option", "--", "true"],
    ],
)
def test_usage(here: Here, args: list[str]) -> None:
    """A command line that says nothing to run, or what goes with a new session without one, is exit 2."""
    assert here.run(*args).returncode == 2


def test_the_session_that_is_named(here: Here, session: Session) -> None:
    """`--session ID`, before or after the command's name, is the session as everywhere; with a new one it is a contradiction."""
    named = here.run("-q", "--session", session.id, "--", "sh", "-c", "echo $REWINDD_SESSION")
    assert (named.returncode, named.stdout.strip()) == (0, session.id)
    command = here.command("--session", session.id, "run", "--session", "--", "true")
    both = subprocess.run(command, cwd=here.tree, env=here.env, capture_output=True, timeout=PATIENCE_S, check=False)
    assert both.returncode == 2


def test_the_end_of_children_is_ignored(here: Here, session: Session) -> None:
    """Started by one who ignores the end of its children, it waits for the command all the same."""
    command = ["sh", "-c", 'trap "" CHLD; exec "$@"', "sh", *here.command("run", "-q", "--", "sh", "-c", "exit 3")]
    assert subprocess.run(command, cwd=here.tree, env=here.env, timeout=PATIENCE_S, check=False).returncode == 3


def test_the_daemon_starts_anew_meanwhile(here: Here, session: Session, running: RealDaemon) -> None:
    """The agent goes on, in a new window: what it changes afterwards is its session's too."""
    script = 'echo "$REWINDD_SESSION"; read word; echo 1 > old'
    with here.started("--session", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        own = process.stdout.readline().strip()
        running.restart()
        for _ in range(int(PATIENCE_S / 0.02)):
            if "." in session.rewind("#1", dry_run=True).not_quiet:
                break
            select.select([], [], [], 0.02)
        process.communicate("on\n", timeout=PATIENCE_S)
    assert process.returncode == 0
    assert here.owners(session, "old") == [own]


@pytest.mark.parametrize("options", [("--json",), ()], ids=["json", "words"])
def test_a_command_whose_window_did_not_last(here: Here, session: Session, running: RealDaemon, options: tuple[str, ...]) -> None:
    """The daemon started anew beneath it: what the command changed after that is nobody's, and nobody says that nothing changed."""
    with here.started(*options, "--", "sh", "-c", "echo 1 > old; echo ready; read word; echo 2 > new") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        running.restart()
        _, err = process.communicate("on\n", timeout=PATIENCE_S)
    assert process.returncode == 0
    if options:
        assert json.loads(err.splitlines()[-1])["ended"] is True
    else:
        assert "there was no window for a while" in err
        assert "nothing changed" not in err
    assert (here.owners(session, "old"), here.owners(session, "new")) == ([session.id], [None])

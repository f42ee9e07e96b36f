"""`rewindctl` as a process: its streams, a terminal, what it imports."""

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from rewindd.cli.main import main; main()"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Nothing of the person's own, and no daemon to be had."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "REWINDD_AUTOSTART": "0",
        "TERM": "xterm",
    }


LONG = """
import sys
from support.cli import FakeDaemon, one_session, summary
from rewindd.cli.program import execute
from rewindd.protocol import replies, requests
daemon = FakeDaemon()
one_session(daemon)
daemon.tell(requests.ListCheckpoints, replies.Checkpoints(checkpoints=[summary(label="x" * 1000)] * 500))
sys.exit(execute(sys.argv[1:], {}, daemon.connect))
"""


@pytest.mark.parametrize("args", [("completions", "zsh"), ("--help",), ("list",), ("list", "--json")])
def test_a_closed_pipe_is_quiet(env: dict[str, str], args: tuple[str, ...]) -> None:
    """Who reads no further has had enough: no traceback, no message, whether it is noticed at once or at the end."""
    reader, writer = os.pipe()
    os.close(reader)
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", LONG, *args], env=env, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_said(env: dict[str, str]) -> None:
    """Data that did not arrive is a failure."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, "completions", "zsh"], env=env, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_without_any_stream_it_works(env: dict[str, str]) -> None:
    """Streams that the caller closed are done without."""
    shell = "exec 0<&- 1>&- 2>&-; " + f'"{sys.executable}" -c "from rewindd.cli.main import main; main()" completions zsh'
    assert subprocess.run(["/bin/sh", "-c", shell], env=env, check=False).returncode == 0


def test_without_a_daemon_it_is_69(env: dict[str, str]) -> None:
    """And the next step is named."""
    done = subprocess.run([*COMMAND, "status", "--json"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 69
    assert '"code": "unavailable"' in done.stdout
    assert "rewindctl daemon start" in done.stderr


def test_stopping_what_does_not_run_is_done(env: dict[str, str]) -> None:
    """Nothing to do, and it says so."""
    done = subprocess.run([*COMMAND, "daemon", "stop"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no daemon runs\n")


def test_a_deleted_directory_is_no_obstacle(env: dict[str, str], tmp_path: Path) -> None:
    """It starts there, and asks about the directory that `$PWD` names."""
    gone = tmp_path / "gone"
    script = f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && exec "$@"'
    done = subprocess.run(["/bin/sh", "-c", script, "sh", *COMMAND, "list"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 69
    assert "Traceback" not in done.stderr


def test_colours_and_the_question_are_for_terminals(env: dict[str, str]) -> None:
    """On a terminal the error is coloured, unless NO_COLOR or a dumb terminal says otherwise; a rewind does not want --yes."""
    shown = [on_terminal({**env, **more}, "rewind", "c1") for more in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"})]
    assert [b"\x1b[31m" in output for output in shown] == [True, False, False]
    assert all(b"no daemon" in output for output in shown)


def on_terminal(env: dict[str, str], *args: str) -> bytes:
    """Returns what a terminal showed of the command."""
    master, slave = pty.openpty()
    child = subprocess.Popen([*COMMAND, *args], env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while select.select([master], [], [], 20)[0]:
            try:
                content = os.read(master, 4096)
            except OSError:  # EIO: nobody has the other end any more
                break
            shown += content
    finally:
        os.close(master)
        child.send_signal(signal.SIGKILL) if child.poll() is None else None
        child.wait(10)
    return shown


def test_the_common_commands_load_no_event_loop() -> None:
    """Start-up is what a person waits for: neither asyncio, anyio nor rich is loaded, and a command loads no other's module."""
    script = (
        "import sys; import rewindd.cli.program, rewindd.cli.commands.status, rewindd.cli.commands.query, rewindd.cli.commands.rewind,"
        "rewindd.client.blocking; print(*sorted({'asyncio', 'anyio', 'aiofiles', 'rich', 'rewindd.legacy.files'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"

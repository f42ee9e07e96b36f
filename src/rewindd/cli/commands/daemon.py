"""`daemon start`, `stop`, `restart`."""

import os
import select
import signal
import socket
import time
from contextlib import suppress

import click

from rewindd import places
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Group
from rewindd.cli.render.json import line
from rewindd.errors import Timeout, Unavailable, UnsupportedVersion
from rewindd.protocol.replies import Pong, Stopping
from rewindd.protocol.requests import Ping, Stop

#: The daemon drains for 10 s at most before it ends; then it closes its store.
STOP_S = 20.0
_POLL_S = 0.02


@click.group("daemon", cls=Group)
def daemon_command() -> None:
    """Start, stop or restart the daemon."""


@daemon_command.command("start")
@click.pass_obj
def _start(run: Invocation) -> None:
    """Start the daemon, and wait until it answers."""
    pid = _pid(run)
    if pid is not None:
        _tell(run, f"a daemon runs already, as process {pid}", {"pid": pid, "started": False})
        return
    pid = _started(run)
    _tell(run, f"the daemon runs as process {pid}", {"pid": pid, "started": True})


@daemon_command.command("stop")
@click.pass_obj
def _stop(run: Invocation) -> None:
    """Stop the daemon, and wait until it has ended."""
    pid = _stopped(run)
    if pid is None:
        _tell(run, "no daemon runs", {"pid": None, "stopped": False})
        return
    _tell(run, f"the daemon, process {pid}, has ended", {"pid": pid, "stopped": True})


@daemon_command.command("restart")
@click.pass_obj
def _restart(run: Invocation) -> None:
    """Stop the daemon where one runs, and start one."""
    stopped = _stopped(run)
    pid = _started(run)
    _tell(run, f"the daemon runs as process {pid}", {"pid": pid, "started": True, "stopped": stopped is not None})


def _tell(run: Invocation, words: str, fields: dict[str, int | None]) -> None:
    if run.screen.json:
        run.screen.print(line({**fields}))
    else:
        run.screen.say(words)


def _pid(run: Invocation) -> int | None:
    """Returns the running daemon's process id, None where none runs."""
    try:
        return run.ask(Ping(), Pong, autostart=False).pid
    except Unavailable:
        return None


def _started(run: Invocation) -> int:
    run.hang_up()
    return run.ask(Ping(), Pong, autostart=True).pid


def _stopped(run: Invocation) -> int | None:
    """Stops the daemon, and returns its process id when it has ended; None where none ran.

    Raises:
        Timeout: it has not ended in `STOP_S`.
        UnsupportedVersion: it speaks a later protocol; an older one is ended by a signal.
    """
    try:
        pid = _pid(run)
    except UnsupportedVersion as exc:
        return _ended_by_signal(run, exc)
    if pid is None:
        return None
    # Held before it is told, so that the number cannot be another process's by the time we wait for it.
    handle = _handle(pid)
    try:
        pid = run.ask(Stop(), Stopping, autostart=False).pid
    except Unavailable:
        pass  # it ended in this moment
    finally:
        run.hang_up()
    until_s = time.monotonic() + STOP_S
    ended = _ended(handle, STOP_S) if handle is not None else _silent(run, until_s)
    if not ended:
        raise _endless(pid)
    return pid


def _ended_by_signal(run: Invocation, refusal: UnsupportedVersion) -> int:
    """Ends an older daemon, which does not understand `stop` of this protocol, as systemd does: by SIGTERM, at which it drains too.

    Raises:
        UnsupportedVersion: `refusal`, where it is the newer one, or who holds the socket's lock cannot be seen.
        Timeout: it has not ended in `STOP_S`.
    """
    from rewindd.cli import versions
    from rewindd.cli.doctor import kernel

    lock = f"{_socket(run)}.lock"
    pid = kernel.lock(lock).holder
    handle = _handle(pid) if pid and versions.is_older(str(refusal.fields.get("supported"))) else None
    if pid is None or handle is None:
        raise refusal
    run.hang_up()
    is_still_it = kernel.lock(lock).holder == pid  # with the handle open the number cannot become another process's
    if is_still_it:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    if not _ended(handle, STOP_S if is_still_it else 0) and is_still_it:
        raise _endless(pid)
    return pid


def _endless(pid: int) -> Timeout:
    return Timeout(f"the daemon, process {pid}, was told to stop and has not ended in {STOP_S:g} s; look at its log")


def _socket(run: Invocation) -> str:
    return os.path.abspath(run.socket or places.socket_path(run.env, os.getuid()))


def _handle(pid: int) -> int | None:
    """Returns a descriptor of the process, None where it is not ours to see (ended, or of another process namespace)."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _ended(handle: int, timeout_s: float) -> bool:
    try:
        return bool(select.select([handle], [], [], timeout_s)[0])
    finally:
        os.close(handle)


def _silent(run: Invocation, until_s: float) -> bool:
    """Waits until nothing listens on the socket."""
    path = _socket(run)
    while _listens(path):
        if time.monotonic() > until_s:
            return False
        time.sleep(_POLL_S)
    return True


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True

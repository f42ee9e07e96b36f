"""A command in the foreground, as a shell runs one: the terminal, the streams and the signals are the command's.

What the terminal sends (^C, ^\\, a hang-up) reaches the command by itself, as it is in the same process group, and ^Z stops
both; what a process sends to us alone (`kill`, a supervisor's SIGTERM) is handed on. We outlive the command.
"""

import errno
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence

#: As shells say it (POSIX.1-2024, Shell, 2.8.2): there is no such command, it cannot be run, it was ended by a signal.
NOT_FOUND, NOT_EXECUTABLE, BY_SIGNAL = 127, 126, 128
_LEFT = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
#: Python ignores these, and what is ignored stays so in a new program; a command expects them as they usually are.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

#: Called while the command runs; returns in how many seconds it is to be called again. It may be called sooner.
Meanwhile = Callable[[], float]


class NotStarted(Exception):
    """The command could not be started; `status` is the exit status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def run(command: Sequence[str], env: Mapping[str, str], meanwhile: Meanwhile | None = None) -> int:
    """Runs a command until it ends and returns its exit status, 128 and the signal's number where a signal ended it.

    Signals that came meanwhile were the command's, and have no effect on us afterwards.

    Raises:
        NotStarted: there is no such command, or it cannot be run.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, the end of a child cannot be waited for (wait(2))
    awaited = {*_LEFT, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    try:
        return _wait(_start(command, env, before), awaited, meanwhile)
    finally:
        while signal.sigtimedwait(awaited, 0) is not None:
            continue
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(command: Sequence[str], env: Mapping[str, str], mask: set[signal.Signals | int]) -> int:
    name = command[0]
    try:
        return _spawn(command, env, mask)
    except FileNotFoundError as exc:
        raise NotStarted(f"{name}: no such command", NOT_FOUND) from exc
    except OSError as exc:
        if exc.errno == errno.ENOEXEC:  # a script that does not say by what: execvp(3) gives it to the shell
            return _spawn(["/bin/sh", shutil.which(name) or name, *command[1:]], env, mask)
        raise NotStarted(f"{name}: {exc.strerror}", NOT_EXECUTABLE) from exc


def _spawn(command: Sequence[str], env: Mapping[str, str], mask: set[signal.Signals | int]) -> int:
    return os.posix_spawnp(command[0], list(command), env, setsigmask=mask, setsigdef=_IGNORED_BY_PYTHON)


def _wait(child: int, awaited: set[signal.Signals], meanwhile: Meanwhile | None) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else BY_SIGNAL - code
        got = signal.sigwaitinfo(awaited) if meanwhile is None else signal.sigtimedwait(awaited, meanwhile())
        if got is not None and got.si_signo in _LEFT and _was_sent_to_us(got, child):
            os.kill(child, got.si_signo)


def _was_sent_to_us(got: signal.struct_siginfo, child: int) -> bool:
    """True for a signal that another process sent (si_code up to 0, sigaction(2)); the kernel's own went to the command too."""
    return got.si_code <= 0 and got.si_pid != child

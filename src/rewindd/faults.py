"""Named effects: the points at which a test can make the process die or a system call fail.

`effect(name)` stands right before each effect on disk in `store` and `tree`. Unarmed it does nothing. The daemon arms it
from `REWINDD_FAULTS`, so that tests of promises run against the real process.
"""

import errno
import os
import signal
from collections.abc import Callable


def _nothing(name: str) -> None:
    return None


_hook: Callable[[str], None] = _nothing


def effect(name: str) -> None:
    """Announces the effect that comes next.

    Raises:
        OSError: a test armed a failure for this one.
    """
    _hook(name)


def arm(hook: Callable[[str], None] | None) -> None:
    """Calls `hook` at each effect from now on; None disarms."""
    global _hook
    _hook = hook or _nothing


def from_spec(spec: str) -> Callable[[str], None]:
    """Returns the hook for a specification: `ACTION:N[:NAME]`, for the nth effect (whose name starts with NAME).

    ACTION is `die` (SIGKILL to ourselves), `trace` (append each name to the file N), or an errno's name such as `ENOSPC`.

    Raises:
        ValueError: the specification is none of these.
    """
    action, _, rest = spec.partition(":")
    if action == "trace":
        return lambda name: _trace(rest, name)
    number, _, prefix = rest.partition(":")
    if action != "die" and not hasattr(errno, action):
        raise ValueError(f"REWINDD_FAULTS: {spec!r} is not ACTION:N[:NAME]")
    return _Countdown(action, int(number), prefix)


class _Countdown:
    """Counts effects down to the one that is hit."""

    def __init__(self, action: str, number: int, prefix: str) -> None:
        self._action, self._left, self._prefix = action, number, prefix

    def __call__(self, name: str) -> None:
        if not name.startswith(self._prefix):
            return
        self._left -= 1
        if self._left != 0:
            return
        if self._action == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        number = int(getattr(errno, self._action))
        raise OSError(number, f"{os.strerror(number)} (armed at {name})")


def _trace(path: str, name: str) -> None:
    with open(path, "a") as file:  # noqa: PTH123 - as plain as it gets, in a hook
        file.write(name + "\n")

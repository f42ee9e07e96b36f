"""What to say when the daemon is another version than this program: after an upgrade the old one may still run."""

from collections.abc import Mapping

from rewindd import __version__
from rewindd.cli.invocation import Invocation
from rewindd.errors import RewinddError
from rewindd.protocol.wire import PROTOCOL_VERSION

#: Who reads an error waits no longer for what else is to say about it.
_TIMEOUT_S = 2.0
_RESTART = "`rewindctl daemon restart` starts the installed one; sessions stay open"


def differing(version: str) -> str | None:
    """Returns what to say of a daemon of that version, None where it is this program's."""
    if version == __version__:
        return None
    if _key(version) > _key(__version__):
        return f"the daemon is rewindd {version}, newer than this rewindctl, {__version__}: use the one that was installed with it"
    return f"the daemon is rewindd {version}, older than this rewindctl, {__version__}: {_RESTART}"


def is_older(supported: str) -> bool:
    """Returns whether a daemon that speaks this version of the protocol, by its `unsupported-version`, is older than this program."""
    return supported.isdecimal() and int(supported) < PROTOCOL_VERSION


def other_protocol(supported: str) -> str:
    """Returns what to say of a daemon that speaks another version of the protocol, by its `unsupported-version`."""
    if is_older(supported):
        return f"the daemon is older than this rewindctl, {__version__}: {_RESTART}"
    return f"the daemon is newer than this rewindctl, {__version__}: use the one that was installed with it"


def after(run: Invocation, code: str, fields: Mapping[str, object]) -> str:
    """Returns what to say after `unsupported-version` or `unknown-op`, by which two versions show that they differ."""
    if code == "unsupported-version":
        return other_protocol(str(fields.get("supported")))
    return differing(_asked(run)) or f"the daemon that runs is older than this rewindctl: {_RESTART}"


def _asked(run: Invocation) -> str:
    """Returns the daemon's version; this program's where it does not say."""
    from rewindd.protocol.replies import Status
    from rewindd.protocol.requests import GetStatus

    try:
        return run.ask(GetStatus(), Status, autostart=False, timeout_s=_TIMEOUT_S).version
    except RewinddError:
        return __version__


def _key(version: str) -> tuple[int, ...]:
    """Returns what versions are compared by: the numbers of the release, whatever stands behind them."""
    numbers = version.partition("+")[0].split(".")
    return tuple(int("".join(letter for letter in number if letter.isdecimal()) or 0) for number in numbers)

"""What the exit status says: one number a kind of trouble, as sysexits.h has them where it has them."""

import enum


class Exit(enum.IntEnum):
    """The exit statuses of `rewindctl`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_SUCH_THING = 3
    MOVED = 4
    NO_DAEMON = 69
    TRY_AGAIN = 75
    NOT_ALLOWED = 77
    BAD_CONFIG = 78
    #: 128 + SIGINT, as shells say it.
    INTERRUPTED = 130


_CODES = {
    Exit.USAGE: ("bad-request", "unknown-op", "too-large", "unsupported-version"),
    Exit.NO_SUCH_THING: (
        "unknown-checkpoint",
        "unknown-session",
        "unknown-workspace",
        "unknown-path",
        "ambiguous-checkpoint",
        "ambiguous-session",
        "nothing-to-undo",
    ),
    Exit.MOVED: ("conflict", "head-moved", "git-head-moved", "already-exists", "not-quiet"),
    Exit.NO_DAEMON: ("unavailable", "timeout"),
    Exit.TRY_AGAIN: ("busy", "expired", "shutting-down", "over-quota"),
    Exit.NOT_ALLOWED: ("outside-workspace", "refused-root", "not-permitted"),
    Exit.BAD_CONFIG: ("bad-config",),
}
_BY_CODE = {code: status for status, codes in _CODES.items() for code in codes}


def status_of(code: str) -> Exit:
    """Returns the exit status for an error's code; whatever is not in the table has failed."""
    return _BY_CODE.get(code, Exit.FAILED)

"""Ids that the daemon chooses: unique across machines, short enough to type the first characters of."""

import secrets
import time

#: Crockford's alphabet without letters that are taken for digits (https://www.crockford.com/base32.html), in lower case.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

#: No random id starts so: the alphabet has no hyphen.
_IMPORT = "import-"


def _token(digits: int) -> str:
    number = secrets.randbits(5 * digits)  # one call of the system's; a call a digit took 40 us for a save's two ids
    return "".join(_ALPHABET[number >> 5 * digit & 31] for digit in range(digits))


def workspace_id() -> str:
    """Returns a random id: 80 bits."""
    return _token(16)


def import_id() -> str:
    """Returns the id of a workspace entry that holds imported checkpoints only; `is_import` knows it again."""
    return f"{_IMPORT}{_token(16)}"


def is_import(workspace: str) -> bool:
    """True for the id of an entry that holds imported checkpoints."""
    return workspace.startswith(_IMPORT)


def session_id() -> str:
    """Returns an id that starts with the day, so that a listing can be read, and is random after it: 60 bits."""
    return f"{time.strftime('%m%d', time.gmtime())}-{_token(12)}"


def checkpoint_id() -> str:
    """Returns a random id: 50 bits in a session's name space; its first four characters usually tell it from the others."""
    return _token(10)


def barrier_id() -> str:
    """Returns a random id: 50 bits, typed like a checkpoint's."""
    return _token(10)


def grant_id() -> str:
    """Returns a random id: 50 bits, short, as a socket's path is."""
    return _token(10)


def operation_id() -> str:
    """Returns a random id: 80 bits."""
    return _token(16)


def uid() -> str:
    """Returns a random id: 130 bits, for what must stay unique when stores are brought together."""
    return _token(26)

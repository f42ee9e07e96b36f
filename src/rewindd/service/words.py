"""The closed sets of words that requests choose from."""

import enum
from typing import TypeVar

from rewindd.errors import BadRequest

E = TypeVar("E", bound=enum.Enum)


def choice(kind: type[E], word: str, field: str) -> E:
    """Returns the member that a word names. Raises BadRequest, naming the words there are."""
    try:
        return kind(word)
    except ValueError as exc:
        known = ", ".join(str(member.value) for member in kind)
        raise BadRequest(f"{field}={word[:80]!r}; it is one of {known}", field=field) from exc

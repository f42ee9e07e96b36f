"""Notices and overlaps as people read them, or programs by lines."""

from collections.abc import Mapping, Sequence

from rewindd.cli.render.json import line, plain, without
from rewindd.cli.render.patch import coloured
from rewindd.cli.render.words import count, visible
from rewindd.cli.screen import Screen
from rewindd.protocol.replies import Notice, Overlap

#: Paths that the line about notices names.
_NAMED = 3


def notice(found: Notice, screen: Screen) -> str:
    """Returns a notice: as one line of JSON, or its text with the patch below it where there is one."""
    if screen.json:
        return line(without(plain(found), "after", "patch"))
    text = visible(found.text)
    if found.patch is None:
        return text
    patch = coloured(found.patch, screen.paint) if screen.out_is_terminal else found.patch
    return f"{text}\n{patch}{'(cut)' if found.cut else ''}".rstrip("\n")


def waiting(found: Mapping[str, Sequence[Notice]]) -> list[str]:
    """Returns a line for each session that has notices, with the command that shows them."""
    return [f"{_counted(told)}; `rewindctl watch --once --session {session}` shows them" for session, told in found.items()]


def overlaps(found: Sequence[Overlap], more: int) -> str:
    """Returns a warning for each path, and one about how many more there are."""
    rest = [f"warning: so are {more} more"] if more else []
    return "\n".join([*(f"warning: {visible(one.text)}" for one in found), *rest])


def _counted(told: Sequence[Notice]) -> str:
    paths = list(dict.fromkeys(visible(one.path) for one in told))
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"{count(len(told), 'notice')}: {', '.join(paths[:_NAMED])}{more}"

"""Notices and overlaps in words that can be handed to a model as they are. Pure.

They name the path, who, when, and what to do about it. Times are UTC and say so: the reader's zone is not known. A path is made
printable, so that no file name can pass for words of ours on a line of its own.
"""

import shlex
from collections.abc import Mapping

from rewindd.model.ids import SessionId
from rewindd.model.log import Owner
from rewindd.model.notice import Notice, NoticeKind
from rewindd.service.asking import render

_AGAIN = "read it again before you edit it"
#: What was done to a path, by the word for the change; "" where that is not one of these.
_DONE = {
    "added": "was made",
    "modified": "was changed",
    "deleted": "was deleted",
    "type": "was replaced by something of another kind",
    "mode": "got another mode",
}
_OPERATION = {
    NoticeKind.REWOUND: "a rewind",
    NoticeKind.RESTORED: "a restore",
    NoticeKind.UNDONE: "an undo",
    NoticeKind.REDONE: "a redo",
}


def words(notice: Notice, agents: Mapping[SessionId, str], told: SessionId) -> str:
    """Returns what `told` is told; `agents` names the agents of the sessions."""
    path, at = printable(notice.path), _at(notice.at_ns)
    if notice.kind is NoticeKind.GAP:
        return (
            f"more was changed in the workspace than was followed for you (positions {(notice.after or 0) + 1} to {notice.seq} "
            "of its log); read what you work on again before you edit it"
        )
    who = _who(notice.by, agents, told)
    if notice.kind is NoticeKind.CLAIM_TAKEN:
        return (
            f"{path} was claimed by {who} at {at}, who is about to change it; your claim on it ended: "
            "read it and snapshot it again before you edit it"
        )
    done = _DONE.get(notice.change, "was changed")
    advice = "it is not there any more" if notice.change == "deleted" else _AGAIN
    if notice.kind is NoticeKind.CHANGED:
        return f"{path}, which you work on, {done} by {who} at {at}; {advice}"
    command = f"rewindctl restore '#{notice.before}' -- {shlex.quote(path)}"
    is_lost = notice.before is not None and told in notice.losing
    back = f"; your work on it went with that: `{command}` brings back what was there" if is_lost else ""
    return f"{path}, which you work on, {done} by {_OPERATION[notice.kind]} of {who} at {at}; {advice}{back}"


def overlap(path: str, session: SessionId, agent: str | None, at_ns: int, change: str) -> str:
    """Returns the warning before a path is changed that another session has changed and not saved yet."""
    who = _who((session,), {session: agent} if agent is not None else {}, None)
    return (
        f"{printable(path)} {_DONE.get(change, 'was changed')} by {who} at {_at(at_ns)} and is not saved by it yet: "
        "it may still be at work on it; read it before you change it, and change no more than you must"
    )


def printable(text: str) -> str:
    """Returns text in which whatever is not printable is spelled out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _who(by: Owner, agents: Mapping[SessionId, str], told: SessionId | None) -> str:
    if not by:
        return "somebody who announced nothing (a person or another program)"
    named = ["you" if one == told else _session(one, agents) for one in sorted(by, key=lambda one: one != told)]
    if len(named) == 1:
        return named[0]
    return f"one of {', '.join(named[:-1])} and {named[-1]} (which one cannot be told)"


def _session(session: SessionId, agents: Mapping[SessionId, str]) -> str:
    agent = agents.get(session)
    return f"session {session}" if agent is None or agent == session else f"session {session} (agent {printable(agent)})"


def _at(at_ns: int) -> str:
    return render.moment(at_ns).strftime("%H:%M UTC")

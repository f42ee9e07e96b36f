"""What is told through a grant: the root as the sandbox calls it, the sessions' own, and of others nothing but that they are there."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from rewindd.errors import BY_CODE, InternalError, NothingToUndo, RewinddError, StoreError, UnknownPath, UnknownSession
from rewindd.errors import FieldValue as Value
from rewindd.model.grant import Grant, Through
from rewindd.paths import FsText
from rewindd.plan.naming import STRANGERS
from rewindd.protocol import replies
from rewindd.protocol.replies import Reply

#: The fields of each answer that are told. Overlaps, barriers and what nobody owns are others'.
TOLD: dict[type[Reply], frozenset[str]] = {
    replies.Pong: frozenset({"pid"}),
    replies.SessionReply: frozenset({"session", "created"}),
    replies.Sessions: frozenset({"sessions", "root"}),
    replies.Recorded: frozenset({"recorded", "stats", "head", "event"}),
    replies.Snapshots: frozenset({"snapshots", "skipped", "edit"}),
    replies.Released: frozenset({"released"}),
    replies.Window: frozenset({"window", "incomplete"}),
    replies.Changes: frozenset({"changes", "unowned", "contested"}),
    replies.WindowChanges: frozenset({"changes", "unowned", "contested", "ended"}),
    replies.Saved: frozenset({"checkpoint", "event"}),
    replies.Checkpoints: frozenset({"checkpoints"}),
    replies.CheckpointReply: frozenset({"checkpoint"}),
    replies.Chunk: frozenset({"data", "size"}),
    replies.Contents: frozenset({"contents"}),
    replies.RewindResult: frozenset(
        {
            *("operation_id", "plan_id", "checkpoint_id", "dry_run", "head", "event", "stats", "restored", "removed", "merged", "kept"),
            *("conflicts", "steps", "left", "not_quiet", "git_heads", "not_restored", "moved", "not_members", "children", "dependents"),
        }
    ),
}
#: Fields of errors that say nothing of others.
_FIELDS = frozenset({"path", "conflicts", "candidates", "position", "field", "limit", "op", "then", "now", "plan", "head", "event"})
#: What looks like an absolute path in a message.
_ABSOLUTE = re.compile(r"(?<![\w./~-])/[^\s'\"`,;:()]+")
#: A session as messages name it.
_SESSION = re.compile(r"session '([^']{1,128})'")


def tell(reply: Reply, grant: Grant, through: Through) -> Reply:
    """Returns a reply as it is told in the sandbox.

    Raises:
        InternalError: it is of a kind that no grant lets out.
    """
    fields = TOLD.get(type(reply))
    if fields is None:
        raise InternalError(f"{type(reply).__name__} is told through no grant")
    return _mapped_reply(_only(reply, fields), grant, through)


def _mapped_reply(reply: Reply, grant: Grant, through: Through) -> Reply:
    match reply:
        case replies.SessionReply():
            return msgspec.structs.replace(reply, session=_session(reply.session, grant))
        case replies.Sessions():
            root = None if reply.root is None else FsText(grant.inside)
            return replies.Sessions(sessions=[_session(one, grant) for one in reply.sessions], root=root)
        case replies.Saved():
            return msgspec.structs.replace(reply, checkpoint=_summary(reply.checkpoint))
        case replies.Checkpoints():
            return replies.Checkpoints(checkpoints=[_summary(one) for one in reply.checkpoints])
        case replies.CheckpointReply(checkpoint=told):
            label = None if told.automatic else told.label
            missing = [_reason(one) for one in told.incomplete]
            return replies.CheckpointReply(checkpoint=msgspec.structs.replace(told, label=label, incomplete=missing))
        case replies.RewindResult():
            return _result(reply, through)
        case _:
            return reply


def _only(reply: Reply, told: frozenset[str]) -> Reply:
    """Returns a reply with all other fields at their defaults: those that a later version adds, too."""
    others = [one for one in msgspec.structs.fields(reply) if one.name not in told]
    bare = {one.name: one.default_factory() if one.default_factory is not msgspec.NODEFAULT else one.default for one in others}
    return msgspec.structs.replace(reply, **bare)


def blobs_in(reply: Reply) -> Iterator[str]:
    """Yields the contents that a reply names."""
    if isinstance(reply, replies.Snapshots):
        yield from (one.blob for one in reply.snapshots if one.blob is not None)
    diffs = reply.changes if isinstance(reply, replies.Changes) else []
    diffs = reply.checkpoint.file_diffs if isinstance(reply, replies.CheckpointReply) else diffs
    for diff in diffs:
        yield from (side.blob for side in (diff.before, diff.after) if side is not None and side.blob is not None)


def without_label(reply: replies.CheckpointReply) -> replies.CheckpointReply:
    """Returns a checkpoint without its label."""
    return replies.CheckpointReply(checkpoint=msgspec.structs.replace(reply.checkpoint, label=None))


def told_error(error: RewinddError, grant: Grant, through: Through, root: str | None) -> RewinddError:
    """Returns an error as it is told in the sandbox: of the same code. `root`: as it is called outside; None: not known."""
    message = _message(error, grant, through, root)
    fields: dict[str, Value] = {name: _field(name, value, grant, through, root) for name, value in error.fields.items() if name in _FIELDS}
    return BY_CODE[error.code](message, **fields)


def _message(error: RewinddError, grant: Grant, through: Through, root: str | None) -> str:
    if isinstance(error, (StoreError, InternalError)):
        return "the daemon could not do it; its log says why"
    if isinstance(error, UnknownSession):
        return "no such session; `rewindctl session list --all` names those there are"
    if isinstance(error, UnknownPath):
        return "nothing of this session's own is known there and then"
    if isinstance(error, NothingToUndo):
        return "nothing of this session's own is there to take back or do again"
    return _mapped(error.message, grant, through, root)


def _mapped(text: str, grant: Grant, through: Through, root: str | None) -> str:
    """Returns a text with the root's path as the sandbox has it, without any other absolute path, and without any other session."""

    def inner(found: re.Match[str]) -> str:
        path = found[0]
        return path if f"{path}/".startswith(f"{grant.inside}/") else "(elsewhere)"

    named = _SESSION.sub(lambda found: found[0] if found[1] in through.sessions else "another session", text)
    within = named if root is None else re.sub(rf"{re.escape(root.rstrip('/'))}(?![\w.-])", lambda _: grant.inside, named)
    return _ABSOLUTE.sub(inner, within)


def _field(name: str, value: Value, grant: Grant, through: Through, root: str | None) -> Value:
    if isinstance(value, str):
        is_relative = name == "path" and not value.startswith("/")
        return value if is_relative else _mapped(value, grant, through, root)
    if isinstance(value, list):
        return [_item(name, item, grant, through, root) for item in value]  # type: ignore[return-value]  # a list of one kind or the other
    return value


def _item(name: str, item: str | dict[str, str], grant: Grant, through: Through, root: str | None) -> str | dict[str, str]:
    if isinstance(item, str):
        return str(_field(name, item, grant, through, root))
    return {inner: str(_field(inner, text, grant, through, root)) for inner, text in item.items()}


def _session(told: replies.SessionInfo, grant: Grant) -> replies.SessionInfo:
    return msgspec.structs.replace(told, root=FsText(grant.inside))


def _summary(told: replies.Summary) -> replies.Summary:
    """What a rewind or a barrier of somebody else made of the session has a label of theirs."""
    foreign = told.automatic or told.barrier_id is not None
    missing = replies.Incomplete(count=told.incomplete.count, first=[_reason(one) for one in told.incomplete.first])
    return msgspec.structs.replace(told, label=None if foreign else told.label, barrier_id=None, incomplete=missing)


def _reason(told: replies.PathReason) -> replies.PathReason:
    """Why a path was not captured; where a session holds it, not which."""
    return told if "session" not in told.reason.split() else msgspec.structs.replace(told, reason=f"held by {STRANGERS}")


def _result(told: replies.RewindResult, through: Through) -> replies.RewindResult:
    return msgspec.structs.replace(
        told,
        steps=[msgspec.structs.replace(step, sessions=_own(step.sessions, through)) for step in told.steps],
        left=None,
        moved=[one for one in told.moved if one.session_id in through.sessions],
        not_members=_own(told.not_members, through),
        children=told.children if told.children is not None and through.sessions.issuperset(told.children.sessions) else None,
        dependents=[one for one in told.dependents if one.session_id in through.sessions],
    )


def _own(sessions: Iterable[str], through: Through) -> list[str]:
    return [one for one in sessions if one in through.sessions]

"""What a grant lets in, and in which form it goes on: decided before anything is done, and pure.

Whatever is not named here is refused: an operation, a field that is not at its default, a word. Paths are mapped here and in
`doortelling`, and nowhere else: behind it all are relative to the workspace's root.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from rewindd.errors import BadRequest, NotPermitted, RefusedRoot, UnknownSession
from rewindd.model.grant import Grant, GrantedOps, Through
from rewindd.model.ids import check_chosen
from rewindd.paths import FsText, relative
from rewindd.protocol import replies, requests
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request
from rewindd.service.asking.positions import BARRIER

#: What every request may carry.
_COMMON = frozenset({"session", "key", "deadline_ms", "progress", "noticed"})
#: What to do about work of others that is in the way: not to overwrite it.
_ON_CONFLICT = ("merge", "fail", "keep")


@dataclass(frozen=True, slots=True)
class Offer:
    """An operation that a grant lets in: by which word (None: by any), its answer, which of its fields, and whether it adds content."""

    word: GrantedOps | None
    reply: type[Reply]
    fields: frozenset[str] = frozenset()
    adds: bool = False


def _offer(word: GrantedOps | None, reply: type[Reply], *fields: str, adds: bool = False) -> Offer:
    return Offer(word, reply, frozenset(fields), adds)


_SNAPSHOT, _SAVE, _LIST, _DIFF, _REWIND = GrantedOps.SNAPSHOT, GrantedOps.SAVE, GrantedOps.LIST, GrantedOps.DIFF, GrantedOps.REWIND
_OPENING = ("directory", "device", "inode", "agent", "id", "parent", "capture", "exact", "from_position")
_AIM = ("position", "before", "restore", "on_conflict", "paths", "plan", "dry_run", "base", "across_head")

#: All that any grant lets in.
OFFERED: dict[type[Request], Offer] = {
    requests.Ping: _offer(None, replies.Pong),
    requests.OpenSession: _offer(None, replies.SessionReply, *_OPENING, adds=True),
    requests.ListSessions: _offer(None, replies.Sessions, "directory", "all"),
    requests.ShowSession: _offer(None, replies.SessionReply),
    requests.CloseSession: _offer(None, replies.SessionReply),
    requests.TakeSnapshot: _offer(_SNAPSHOT, replies.Snapshots, "paths", adds=True),
    requests.BeginEdit: _offer(_SNAPSHOT, replies.Snapshots, "paths", adds=True),
    requests.EndEdit: _offer(_SNAPSHOT, replies.Released, "edit"),
    requests.OpenWindow: _offer(_SNAPSHOT, replies.Window, "kind", "pid", adds=True),
    requests.CloseWindow: _offer(_SNAPSHOT, replies.WindowChanges, "window"),
    requests.Release: _offer(_SNAPSHOT, replies.Released, "paths"),
    requests.Record: _offer(_SAVE, replies.Recorded, "events", "stats", "base", adds=True),
    requests.Save: _offer(_SAVE, replies.Saved, "label", "id", "events", "stats", "base", "missed", "wait", adds=True),
    requests.ListCheckpoints: _offer(_LIST, replies.Checkpoints, "limit"),
    requests.ShowCheckpoint: _offer(_LIST, replies.CheckpointReply, "position", "content"),
    requests.ListPending: _offer(_DIFF, replies.Changes, "paths", "patch"),
    requests.Diff: _offer(_DIFF, replies.Changes, "a", "b", "paths"),
    requests.ReadBlob: _offer(_DIFF, replies.Chunk, "blob", "offset", "length"),
    requests.ReadBlobs: _offer(_DIFF, replies.Contents, "blobs"),
    requests.Rewind: _offer(_REWIND, replies.RewindResult, *_AIM),
    requests.Restore: _offer(_REWIND, replies.RewindResult, "paths", "position", "overwrite", "plan", "dry_run", "base"),
    requests.Undo: _offer(_REWIND, replies.RewindResult, "operation", "on_conflict", "dry_run", "base"),
    requests.Redo: _offer(_REWIND, replies.RewindResult, "on_conflict", "dry_run", "base"),
}


def enter(request: Request, grant: Grant, through: Through) -> Request:
    """Returns a request as it goes on: its paths relative to the root, and nothing in it that only somebody outside may say.

    Raises:
        NotPermitted: the grant does not let it in, or a field or word of it.
        UnknownSession: it names a session that is not the grant's, or a parent that is not.
        OutsideWorkspace: a path is not at or below the root as the sandbox calls it.
        BadRequest: a path or a directory is none.
    """
    offer = _offered(request, grant)
    _check_fields(request, offer)
    if request.session is not None:
        check_own(request.session, through)
    _check_positions(request)
    changed: dict[str, object] = {"noticed": None}
    if isinstance(request, requests.OpenSession):
        changed |= _opening(request, grant, through)
    elif isinstance(request, requests.ListSessions):
        changed |= {"directory": None if request.directory is None else inner(request.directory, grant)}
    elif isinstance(request, requests.OpenWindow):
        changed |= {"pid": None}
    elif isinstance(request, (requests.Rewind, requests.Undo, requests.Redo)) and request.on_conflict not in _ON_CONFLICT:
        raise refused(request, f"on_conflict={request.on_conflict!r}, which may take others' work back")
    elif isinstance(request, requests.Restore) and request.position is None:
        raise refused(request, "no position, which looks for deletions of others too; name one of your checkpoints")
    elif isinstance(request, requests.ShowCheckpoint) and request.content and GrantedOps.DIFF not in grant.ops:
        raise refused(request, "content, as it does not let in `diff`")
    if hasattr(request, "paths"):
        changed |= {"paths": [inner(path, grant) for path in _paths(request)]}
    return msgspec.structs.replace(request, **changed)


def inner(given: str, grant: Grant) -> FsText:
    """Returns what a path of the sandbox is, relative to the workspace's root.

    Raises:
        OutsideWorkspace, NotPermitted, BadRequest: see `paths.relative`.
    """
    return FsText(relative(given, grant.inside))


def check_own(session: str, through: Through) -> None:
    """Raises UnknownSession for one that is not the grant's, in the words for one that is not there."""
    if session and session not in through.sessions:
        raise UnknownSession(f"no session {session!r}; `rewindctl session list --all` names those there are", session=session)


def refused(request: Request, what: str) -> NotPermitted:
    """Returns the error for what a grant does not let in."""
    return NotPermitted(f"{request.op}: a grant does not let in {what}", op=request.op)


def check_inside(inside: str) -> str:
    """Returns the root as a sandbox calls it, normal. Raises BadRequest where it is none, RefusedRoot for `/`."""
    parts = [part for part in inside.split("/") if part not in ("", ".")]
    if not inside.startswith("/") or "\0" in inside or ".." in parts:
        raise BadRequest(f"{inside!r} is no absolute path; name the root as it is called in the sandbox", field="inside")
    if not parts:
        raise RefusedRoot("a sandbox whose root is the workspace has other things in it; mount the workspace below it", path=inside)
    return f"/{'/'.join(parts)}"


def _offered(request: Request, grant: Grant) -> Offer:
    offer = OFFERED.get(type(request))
    if offer is None:
        raise refused(request, f"`{request.op}`; ask outside the sandbox")
    if offer.word is not None and offer.word not in grant.ops:
        words = ", ".join(sorted(op.value for op in grant.ops))
        raise refused(request, f"`{offer.word.value}`; this one is for {words}")
    return offer


def _check_fields(request: Request, offer: Offer) -> None:
    """A field that a later version adds is refused until somebody thought of what it means here."""
    for field in msgspec.structs.fields(request):
        if field.name in _COMMON or field.name in offer.fields:
            continue
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        if getattr(request, field.name) != default:
            raise refused(request, f"`{field.encode_name}`")


def _check_positions(request: Request) -> None:
    """A barrier is everybody's."""
    for name in ("position", "from_position", "a", "b"):
        position = getattr(request, name, None)
        if isinstance(position, str) and position.startswith(BARRIER):
            raise refused(request, "a barrier as a position")


def _opening(request: requests.OpenSession, grant: Grant, through: Through) -> dict[str, object]:
    """What becomes of the fields: the directory is only checked, as the workspace is the grant's whatever the caller sees there.

    The agent's name is told to others' models in notices: a word, in which there is no room for a sentence.
    """
    inner(request.directory, grant)
    if request.agent is not None:
        check_chosen("agent", request.agent)
    if request.parent is not None:
        check_own(request.parent, through)
    return {"directory": FsText(grant.inside), "device": None, "inode": None, "exact": False}


def _paths(request: Request) -> Iterable[str]:
    paths = getattr(request, "paths", ())
    return [path for path in paths if isinstance(path, str)]

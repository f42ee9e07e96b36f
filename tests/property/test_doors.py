"""A grant's door, over whatever comes: nothing that is not the grant's goes in, and nothing of others comes out."""

import os
import posixpath
from typing import cast, get_args

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewindd import errors
from rewindd.model.grant import Grant, GrantedOps, Through
from rewindd.model.ids import GrantId, SessionId, WorkspaceId
from rewindd.model.log import Scope
from rewindd.model.versions import ABSENT
from rewindd.paths import FsText, RelPath
from rewindd.plan import restore
from rewindd.plan.draft import Aim, Keep, rewind
from rewindd.protocol import replies
from rewindd.protocol.requests import REQUESTS, Request
from rewindd.service.doors import doortelling, doorway, strangers
from support.anything import any_of
from support.log import A, B, Log, text

ROOT = "/home/ada/project"
INSIDE = "/box/work"
OWN, STRANGER = SessionId("own"), SessionId("stranger")
THROUGH = Through(grant=GrantId("g"), workspace=WorkspaceId("w"), sessions=frozenset({OWN}))

_parts = st.sampled_from(
    ["..", ".", "", "a", "b c", ".git", ".rewindd-x", "é", "\udcff", "x" * 256, "\0", "box", "work", "home", "ada", "project"]
)
_below = st.lists(_parts, max_size=5).map("/".join)
#: Paths that a sandbox may name: relative, absolute, of both roots, next to them.
PATHS = st.builds(
    str.__add__, st.sampled_from(["", "/", "./", INSIDE, f"{INSIDE}/", f"{INSIDE}x/", ROOT, f"{ROOT}/", "/proc/self/"]), _below
)
#: Requests of every kind, whose fields are often what would get through.
_SPECIAL: "dict[str, st.SearchStrategy[object]]" = {
    "session": st.sampled_from([None, OWN, STRANGER, ""]),
    "parent": st.sampled_from([None, OWN, STRANGER]),
    "directory": PATHS.map(FsText),
    "path": PATHS.map(FsText),
    "paths": st.lists(PATHS.map(FsText), max_size=3),
    "on_conflict": st.sampled_from(["merge", "fail", "keep", "overwrite", "other"]),
    "scope": st.sampled_from(["session", "workspace"]),
    **dict.fromkeys(("position", "a", "b", "from_position"), st.sampled_from(["@", "first", "#1", "barrier:x", "@{1h}"])),
}


def requests_of(kind: type[Request]) -> "st.SearchStrategy[Request]":
    """Any request of a kind: fields are left at their default, or anything."""
    fields = msgspec.structs.fields(kind)
    chosen = {one.name: _SPECIAL.get(one.name, any_of(one.type)) for one in fields}
    optional = {one.name: chosen[one.name] for one in fields if not one.required}
    required = {one.name: chosen[one.name] for one in fields if one.required}
    # The types of its fields are those that the strategies are made of.
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: kind(**given))  # type: ignore[arg-type]


def granted(ops: frozenset[GrantedOps]) -> Grant:
    """A grant for some operations."""
    times = {"created_at_ns": 1, "ends_at_ns": 2}
    return Grant(id=THROUGH.grant, workspace=THROUGH.workspace, ops=ops, inside=INSIDE, quota_bytes=1, **times)


ALL = granted(frozenset(GrantedOps))


@given(PATHS)
def test_paths(given_path: str) -> None:
    """A path is mapped to what it names below the root; or it is refused, and always where it leaves that, or is git's own."""
    try:
        found = doorway.inner(given_path, ALL)
    except (errors.OutsideWorkspace, errors.NotPermitted, errors.BadRequest):
        named = posixpath.normpath(posixpath.join(INSIDE, given_path)) if given_path else "/"
        parts = given_path.split("/")
        is_odd = ".." in parts or "\0" in given_path or ".git" in parts or ".rewindd-x" in parts or "x" * 256 in parts
        assert is_odd or not f"{named}/".startswith(f"{INSIDE}/")
        return
    assert not found.startswith("/")
    assert ".." not in found.split("/")
    assert ".git" not in found.split("/")
    assert posixpath.normpath(posixpath.join(INSIDE, found)) == posixpath.normpath(posixpath.join(INSIDE, given_path))


@pytest.mark.parametrize("kind", REQUESTS.values(), ids=lambda kind: str(kind.op))
def test_requests(kind: type[Request]) -> None:
    """A request that gets through is of what the grant is for, about its own sessions, and says nothing that only a person may say."""

    @settings(max_examples=40)
    @given(requests_of(kind), st.frozensets(st.sampled_from(GrantedOps), min_size=1))
    def check(request: Request, ops: frozenset[GrantedOps]) -> None:
        try:
            inner = doorway.enter(request, granted(ops), THROUGH)
        except (errors.NotPermitted, errors.UnknownSession, errors.OutsideWorkspace, errors.BadRequest):
            return
        offer = doorway.OFFERED[type(inner)]
        assert offer.word is None or offer.word in ops
        assert inner.session in (None, "", OWN)
        assert inner.noticed is None
        assert getattr(inner, "parent", None) in (None, OWN)
        assert getattr(inner, "scope", "session") == "session"
        assert getattr(inner, "on_conflict", "merge") in ("merge", "fail", "keep")
        assert not any(
            getattr(inner, name, False) for name in ("also", "with_shared", "with_children", "no_ignore", "all_", "replaced", "pid")
        )
        for name in ("position", "a", "b", "from_position"):
            assert not str(getattr(inner, name, None)).startswith("barrier:")
        for path in getattr(inner, "paths", []):
            assert doorway.inner(path, ALL) == path
            assert not path.startswith("/")

    check()


#: What errors say: the root, what is beside it, other places and sessions.
_SAID = [
    *(ROOT, f"{ROOT}/src/a.py", f"'{ROOT}'", f"{ROOT}-old/x", "/etc/passwd", "'/home/ada/.ssh'"),
    *("session 'stranger'", "session 'own'", "a.py", "no", ":"),
]


@given(st.sampled_from(sorted(errors.BY_CODE)), st.lists(st.sampled_from(_SAID)))
def test_errors(code: str, words: list[str]) -> None:
    """An error keeps its code; its words and fields have the root as it is called inside, no other absolute path, and no other session."""
    message = " ".join(words)
    error = errors.BY_CODE[code](
        message, path=f"{ROOT}/a", session=STRANGER, workspace="w", conflicts=[{"path": "a /b", "reason": message}]
    )
    unknown = doortelling.told_error(error, ALL, THROUGH, None)
    assert not [word for word in ("ada", "passwd", STRANGER, "'w'") if word in repr((unknown.message, dict(unknown.fields)))]
    told = doortelling.told_error(error, ALL, THROUGH, ROOT)
    said = repr((told.message, dict(told.fields)))
    assert told.code == code
    assert not [word for word in ("ada", "passwd", STRANGER, "'w'") if word in said]
    if "path" in told.fields:
        assert told.fields["path"] == f"{INSIDE}/a"
        assert cast("list[dict[str, str]]", told.fields["conflicts"])[0]["path"] == "a /b"
    if f"'{ROOT}'" in words and told.message == message.replace(ROOT, INSIDE):
        assert INSIDE in told.message


@pytest.mark.parametrize("kind", get_args(replies.Reply), ids=lambda kind: str(kind.__name__))
def test_answers(kind: type[msgspec.Struct]) -> None:
    """An answer is told without others' sessions, labels and the root's path outside, or not at all."""

    @settings(max_examples=25)
    @given(any_of(kind))
    def check(made: object) -> None:
        reply = cast("replies.Reply", made)
        if kind not in {offer.reply for offer in doorway.OFFERED.values()}:
            with pytest.raises(errors.InternalError):
                doortelling.tell(reply, ALL, THROUGH)
            return
        told = doortelling.tell(reply, ALL, THROUGH)
        assert type(told) is kind
        if isinstance(told, replies.RewindResult):
            named = (
                [one for step in told.steps for one in step.sessions]
                + [one.session_id for one in told.moved]
                + [one.session_id for one in told.dependents]
            )
            assert set(named) | set(told.not_members) <= {OWN}
            assert (told.left, told.barrier_id) == (None, None)
        if isinstance(told, replies.SessionReply):
            assert told.session.root == INSIDE
        if isinstance(told, replies.Snapshots):
            assert told.overlaps == []
        if isinstance(told, replies.Saved) and (
            told.checkpoint.automatic or (isinstance(reply, replies.Saved) and reply.checkpoint.barrier_id)
        ):
            assert told.checkpoint.label is None

    check()


_edits = st.lists(
    st.tuples(st.sampled_from([(A,), (B,), (A, B), ()]), st.sampled_from(["p", "q", "r"]), st.none() | st.integers(0, 4)), max_size=12
)


@given(_edits, st.integers(0, 15), st.booleans())
def test_plans(edits: list[tuple[tuple[SessionId, ...], str, int | None]], position: int, is_restore: bool) -> None:
    """What a plan through a grant changes is its sessions' own work; what it names was theirs too; it never falls back to all of a path."""
    log = Log()
    for path in ("p", "q", "r"):
        log.view(path, text("abcdef"))
    for owner, path, content in edits:
        version = ABSENT if content is None else text("abcdef" + str(content) * 2)
        if log.index[RelPath(path)].version != version:
            log.edit(path, version, *owner)
    assume(position <= log.position)
    timeline = log.timeline()
    aim = Aim(session=A, seq=position, scope=Scope.SESSION)
    wanted = dict.fromkeys(timeline.paths, position)
    drafts = restore.restore(timeline, wanted) if is_restore else rewind(timeline, aim)
    through = Through(grant=GrantId("g"), workspace=WorkspaceId("w"), sessions=frozenset({A}))
    for draft in strangers.leave(timeline, drafts, through):
        owners = [row.owner for row in timeline.rows(draft.path)]
        assert any(A in owner for owner in owners)
        assert draft.fallback is None
        if not isinstance(draft.way, Keep):
            switched = [row.owner for row in timeline.rows(draft.path) if row.seq in draft.live ^ draft.wanted]
            assert all(owner == (A,) for owner in switched)


@given(st.binary(max_size=30).map(os.fsdecode))
def test_the_root_inside(given_root: str) -> None:
    """What the root is called inside is absolute and normal, or refused."""
    try:
        found = doorway.check_inside(given_root)
    except (errors.BadRequest, errors.RefusedRoot):
        return
    assert posixpath.normpath(found) == found
    assert found.startswith("/")
    assert len(found) > 1

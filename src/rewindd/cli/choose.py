"""Which session a command is about: the one named, the environment's, or the only one that is open here."""

from rewindd.cli.invocation import Invocation
from rewindd.cli.where import identity, physical
from rewindd.errors import AmbiguousSession, BadRequest, StoreCorrupt, UnknownSession
from rewindd.protocol.replies import SessionInfo, SessionReply, Sessions
from rewindd.protocol.requests import ListSessions, OpenSession

#: The agent of sessions that a person's `save` and `snapshot` open.
PERSON = "you"


def named(run: Invocation) -> str | None:
    """Returns the session that was named: by `--session`, else by a non-empty `$REWINDD_SESSION`.

    Raises:
        BadRequest: `--session` is empty, which is no way to leave it out.
    """
    if run.settings.session == "":
        raise BadRequest("an empty session id; `rewindctl session list` shows those there are")
    return run.settings.session or run.env.get("REWINDD_SESSION") or None


def to_read(run: Invocation) -> str:
    """Returns the session of a command that only reads; of several, the one seen last, and says so.

    Raises:
        UnknownSession: none is open here.
    """
    given = named(run)
    if given:
        return given
    found = _open_here(run)
    if not found:
        raise _none(run)
    return _newest(run, found).id


def to_change(run: Invocation) -> str:
    """Returns the session of a command that changes something.

    Raises:
        UnknownSession: none is open here.
        AmbiguousSession: several are; `candidates` names them.
        StoreCorrupt: what is stored of one of them is damaged.
    """
    given = named(run) or _only(_sure_here(run))
    if given:
        return given
    raise _none(run)


def to_keep(run: Invocation) -> str:
    """Returns the session of `save` and `snapshot`, and opens one for the person where there is none.

    Raises:
        AmbiguousSession: several are open here; `candidates` names them.
        StoreCorrupt: what is stored of one of them is damaged.
    """
    return named(run) or _only(_sure_here(run)) or _open_own(run)


def any_of_workspace(run: Invocation) -> str:
    """Returns a session through which the workspace is looked at; where none is open, the last closed one does.

    Raises:
        UnknownSession: the workspace never had one.
    """
    given = named(run)
    if given:
        return given
    found = _open_here(run) or run.ask(ListSessions(directory=physical(run.directory), all=True), Sessions).sessions
    if not found:
        raise _none(run)
    return max(found, key=lambda session: session.last_seen_at).id


def _open_here(run: Invocation) -> list[SessionInfo]:
    return run.ask(ListSessions(directory=physical(run.directory)), Sessions).sessions


def _sure_here(run: Invocation) -> list[SessionInfo]:
    """The same, where one of them is to be changed: if one is damaged, it may be the one that was meant."""
    found = run.ask(ListSessions(directory=physical(run.directory)), Sessions)
    if found.damaged:
        raise StoreCorrupt(f"{damage_of(found.damaged)}; name the session that is meant with --session")
    return found.sessions


def damage_of(damaged: list[str]) -> str:
    """Returns what is said of sessions whose rows are damaged."""
    names = ", ".join(damaged)
    return f"what is stored of session {names} is damaged (`rewindctl verify` tells more; `rewindctl forget {damaged[0]}` gives it up)"


def _newest(run: Invocation, found: list[SessionInfo]) -> SessionInfo:
    newest = max(found, key=lambda session: session.last_seen_at)
    if len(found) > 1:
        run.screen.say(f"session {newest.id} ({newest.agent}), the last seen of {len(found)}; choose another with --session")
    return newest


def _only(found: list[SessionInfo]) -> str | None:
    if len(found) <= 1:
        return found[0].id if found else None
    lines = "".join(f"\n  {session.id}  ({session.agent})" for session in found)
    raise AmbiguousSession(
        f"{len(found)} sessions are open here; name one with --session:{lines}", candidates=[session.id for session in found]
    )


def _none(run: Invocation) -> UnknownSession:
    return UnknownSession(
        f"no session is open in {run.directory!r}; `rewindctl session open` opens one, `rewindctl session list --all` shows closed ones"
    )


def _open_own(run: Invocation) -> str:
    directory = physical(run.directory)
    device, inode = identity(directory)
    request = OpenSession(directory=directory, device=device, inode=inode, agent=PERSON, attribution="sole")
    opened = run.ask(request, SessionReply).session
    run.screen.say(f"opened session {opened.id} of {opened.root}")
    return opened.id

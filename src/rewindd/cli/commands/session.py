"""`session open`, `list`, `show`, `close`."""

import click
import msgspec

from rewindd.cli import choose
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Group, text
from rewindd.cli.render import human
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import visible
from rewindd.cli.where import identity, physical
from rewindd.errors import AlreadyExists, BadRequest
from rewindd.protocol.replies import SessionInfo, SessionReply, Sessions
from rewindd.protocol.requests import CloseSession, ListSessions, OpenSession, ShowSession


@click.group("session", cls=Group)
def session_command() -> None:
    """Open, list, show or close sessions."""


@session_command.command("open")
@click.argument("directory", metavar="[DIR]", required=False)
@click.option("--agent", metavar="NAME", type=text, help="Who works in it.")
@click.option("--id", "session_id", metavar="ID", type=text, help="The id to give it; a session that has it is returned.")
@click.option("--parent", metavar="ID", type=text, help="The session it is a sub-agent of, or with --from a fork of.")
@click.option("--from", "from_position", metavar="POS", type=text, help="The checkpoint of its parent that a fork goes on from.")
@click.option("--capture", type=click.Choice(["workspace", "snapshots"]), help="Keep everything, or what is snapshotted.")
@click.option("--attribution", type=click.Choice(["declared", "sole"]), help="sole: changes that nobody declared are its own.")
@click.option("--exact", is_flag=True, help="Take DIR itself, not the git work tree around it.")
@click.option("--adopt", is_flag=True, help="Where DIR is another directory now: the same workspace goes on.")
@click.option("--new", is_flag=True, help="Where DIR is another directory now: a new workspace begins.")
@click.pass_obj
def _open(
    run: Invocation,
    directory: str | None,
    agent: str | None,
    session_id: str | None,
    parent: str | None,
    from_position: str | None,
    capture: str | None,
    attribution: str | None,
    exact: bool,
    adopt: bool,
    new: bool,
) -> int:
    """Open a session on DIR (else the current directory) and print its id."""
    if directory == "":
        raise BadRequest("an empty directory name; leave it out for the current one")
    if from_position is not None and parent is None:
        raise click.UsageError("--from is a checkpoint of the session that is forked; name that with --parent")
    if adopt and new:
        raise click.UsageError("--adopt and --new exclude each other: the old workspace goes on, or a new one begins")
    root = physical(run.paths((directory,))[0] if directory else run.directory)
    device, inode = identity(root)
    request = OpenSession(
        directory=root,
        device=device,
        inode=inode,
        agent=agent,
        id=session_id,
        parent=parent,
        from_position=from_position,
        capture=capture,
        attribution=attribution,
        exact=exact,
        replaced="adopt" if adopt else "new" if new else None,
    )
    reply = _opened(run, request)
    if reply is None:
        run.screen.say("no session was opened")
        return Exit.FAILED
    if run.screen.json:
        run.screen.print(line(plain(reply.session)))
        return Exit.DONE
    run.screen.print(reply.session.id)
    run.screen.say(f"{'opened' if reply.created else 'it was open already'}, workspace {visible(reply.session.root)}")
    return Exit.DONE


def _opened(run: Invocation, request: OpenSession) -> SessionReply | None:
    """Opens the session. On a terminal it asks what a directory is that took the place of a workspace's; None: neither.

    Raises:
        AlreadyExists: it did, and there is nobody to ask.
    """
    try:
        return run.ask(request, SessionReply)
    except AlreadyExists as exc:
        if "workspace" not in exc.fields or not run.screen.is_interactive:
            raise
        run.screen.warn(exc.message)
        answer = run.screen.choose("Which?", ("adopt", "new", "abort"))
        if answer not in ("adopt", "new"):
            return None
    return run.ask(msgspec.structs.replace(request, replaced=answer), SessionReply)


@session_command.command("list")
@click.option("--all", "closed_too", is_flag=True, help="Closed ones too.")
@click.pass_obj
def _list(run: Invocation, closed_too: bool) -> None:
    """List the sessions of the workspace that holds the current directory; of all workspaces where it is in none."""
    found = run.ask(ListSessions(directory=physical(run.directory), all=closed_too), Sessions)
    if found.root is None:
        found = run.ask(ListSessions(all=closed_too), Sessions)
    if found.damaged:
        run.screen.warn(choose.damage_of(found.damaged))
    if run.screen.json:
        run.screen.print(line({"sessions": plain(found.sessions)}))
    elif found.sessions:
        run.screen.page(human.sessions(found.sessions, run.screen.paint, unicode=run.screen.is_unicode))
    else:
        run.screen.say("no sessions" if closed_too else "no open sessions; --all shows closed ones")


@session_command.command("show")
@click.argument("session_id", metavar="[ID]", required=False, type=text)
@click.pass_obj
def _show(run: Invocation, session_id: str | None) -> None:
    """Show a session."""
    _name(run, session_id)
    _print(run, run.ask(ShowSession(session=choose.to_read(run)), SessionReply).session)


@session_command.command("close")
@click.argument("session_id", metavar="[ID]", required=False, type=text)
@click.pass_obj
def _close(run: Invocation, session_id: str | None) -> None:
    """End a session; its checkpoints stay."""
    _name(run, session_id)
    closed = run.ask(CloseSession(session=choose.to_change(run)), SessionReply).session
    if run.screen.json:
        run.screen.print(line(plain(closed)))
    else:
        run.screen.say(f"closed {closed.id}")


def _name(run: Invocation, session_id: str | None) -> None:
    if session_id is not None:
        run.settings.session = session_id


def _print(run: Invocation, found: SessionInfo) -> None:
    run.screen.print(line(plain(found)) if run.screen.json else human.session(found, run.screen.paint))

"""`run`: a command in a window, or a session around a whole agent."""

import gc
import os
import sys

import click

from rewindd.cli import choose, foreground
from rewindd.cli.foreground import NotStarted
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, offer_sessions, text
from rewindd.cli.render.json import Json, line, plain, without
from rewindd.cli.render.patch import change_lines, counts
from rewindd.cli.render.words import count, visible_lines
from rewindd.cli.screen import ReaderGone
from rewindd.cli.tending import Tending
from rewindd.cli.where import identity, physical
from rewindd.errors import RewinddError
from rewindd.protocol.replies import SessionReply, Window, WindowChanges
from rewindd.protocol.requests import CloseWindow, OpenSession, OpenWindow

#: Changed paths that are named before the rest is only counted: they must not push the command's own words off the screen.
SHOWN = 20
#: Said where the window did not last: whatever the command did then, nobody had announced.
LAPSED = "there was no window for a while, as the daemon was started anew or an hour had passed: what was changed then is nobody's"
#: What `--session` without an id means; no argument can be this.
_NEW = "\0"


def _keep_session(ctx: click.Context, _param: click.Parameter, value: str | None) -> bool:
    """Returns whether a new session is asked for; an id is kept as the global option's."""
    run = ctx.find_object(Invocation)
    if run is not None and value not in (None, _NEW):
        run.settings.session = value
    return value == _NEW


@click.command("run", cls=Command, context_settings={"allow_interspersed_args": False})
@click.option(
    "--session",
    metavar="[ID]",
    is_flag=False,
    flag_value=_NEW,
    type=text,
    callback=_keep_session,
    shell_complete=offer_sessions,
    help="Without an ID: open a session around the whole command. With one: as everywhere.",
)
@click.option("--agent", metavar="NAME", type=text, help="Who works in the new session. [default: the program's name]")
@click.option("-m", "--message", "label", metavar="LABEL", type=text, help="The label of the new session's last checkpoint.")
@click.option("--best-effort", is_flag=True, help="Without a daemon run it all the same.")
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True)
@click.pass_obj
def run_command(run: Invocation, session: bool, agent: str | None, label: str | None, best_effort: bool, command: tuple[str, ...]) -> int:
    """Run COMMAND; what it changes is the session's. Its exit status is passed on."""
    if not session and (agent is not None or label is not None):
        raise click.UsageError("--agent and -m are for a new session: `run --session -- AGENT`")
    if session and run.settings.session is not None:
        raise click.UsageError("`run --session` opens a new session; leave the ID out, or run the command in that one")
    if run.settings.directory is not None:
        run.settings.socket, run.settings.directory = run.socket, run.directory
        os.chdir(run.directory)
    if session:
        return _around_an_agent(run, command, agent, label, best_effort=best_effort)
    return _in_a_window(run, command, best_effort=best_effort)


def _in_a_window(run: Invocation, command: tuple[str, ...], *, best_effort: bool) -> int:
    try:
        session = choose.to_keep(run)
        opened = run.ask(OpenWindow(session=session, kind="command", pid=os.getpid()), Window)
    except RewinddError as exc:
        return _alone(run, command, exc, best_effort=best_effort)
    _tell_incomplete(run, opened.incomplete)
    run.hang_up()  # it may take hours
    status, has_run = _run(run, command, session, None)
    changed: WindowChanges | None = None
    try:
        changed = run.ask(CloseWindow(session=session, window=opened.window), WindowChanges)
    except RewinddError as exc:
        _warn(run, f"what it changed is not known: {exc.message}")
    _report(run, session, status, changed if has_run else None)
    return status


def _around_an_agent(run: Invocation, command: tuple[str, ...], agent: str | None, label: str | None, *, best_effort: bool) -> int:
    gc.enable()  # it may take days
    try:
        session = _open(run, agent or os.path.basename(command[0]) or "agent")
        tending = Tending(run.quietly(), session)
        incomplete = tending.begin()
    except RewinddError as exc:
        return _alone(run, command, exc, best_effort=best_effort)
    _say(run, f"session {session}")
    _tell_incomplete(run, incomplete)
    status, _ = _run(run, command, session, tending)
    try:
        tending.finish(label)
    except RewinddError as exc:
        _warn(run, f"the last of its work could not be saved: {exc.message}")
    if tending.lapsed:
        _warn(run, LAPSED)
    if tending.trouble is not None:
        _warn(run, f"for a while nothing was noted: {tending.trouble.message}")
    if run.screen.json:
        _warn_line(run, line({"session_id": session, "exit_status": status, "saved": list(tending.saved)}))
    elif tending.saved:
        goes_back = f"`rewindctl --session {session} list` shows what it can be taken back to"
        _say(run, f"saved {count(len(tending.saved), 'checkpoint')}, the last is {tending.saved[-1]}; {goes_back}")
    return status


def _alone(run: Invocation, command: tuple[str, ...], error: RewinddError, *, best_effort: bool) -> int:
    """Runs the command without a window. Raises the error unless that is what was asked for."""
    if not best_effort:
        raise error
    run.hang_up()
    _warn(run, f"running it all the same, nothing of it is noted: {error.message}")
    status, _ = _run(run, command, None, None)
    _report(run, None, status, None)
    return status


def _run(run: Invocation, command: tuple[str, ...], session: str | None, tending: Tending | None) -> tuple[int, bool]:
    """Runs the command; returns the exit status, and whether there was something to run."""
    env = dict(run.env)
    if session is not None:
        env["REWINDD_SESSION"] = session
    if run.socket is not None:
        env["REWINDD_SOCKET"] = run.socket
    run.screen.flush()
    try:
        return foreground.run(command, env, None if tending is None else tending.look), True
    except NotStarted as exc:
        _warn(run, str(exc))
        return exc.status, False


def _open(run: Invocation, agent: str) -> str:
    directory = physical(run.directory)
    device, inode = identity(directory)
    request = OpenSession(directory=directory, device=device, inode=inode, agent=agent)
    return run.ask(request, SessionReply).session.id


def _tell_incomplete(run: Invocation, paths: int) -> None:
    if paths:
        _say(run, f"{count(paths, 'path')} not captured yet: what is changed there first cannot be taken back")


def _report(run: Invocation, session: str | None, status: int, changed: WindowChanges | None) -> None:
    """Says on stderr what changed: stdout is the command's."""
    if run.screen.json:
        known = changed or WindowChanges(changes=[])
        fields: dict[str, Json] = {
            "session_id": session,
            "exit_status": status,
            "changes": [_change(plain(change)) for change in known.changes],
            "unowned": known.unowned,
            "contested": known.contested,
            "ended": known.ended,
        }
        _warn_line(run, line(fields))
    elif changed is not None:
        for said in _lines(run, changed):
            _say(run, said)


def _change(fields: Json) -> Json:
    """Returns a change without the patch and contents that were not asked for."""
    if not isinstance(fields, dict):
        return fields
    bare = {name: without(value, "text", "base64") if name in ("before", "after") else value for name, value in fields.items()}
    return without(bare, "patch")


def _lines(run: Invocation, changed: WindowChanges) -> list[str]:
    paint, changes = run.screen.paint_err, changed.changes
    lines = change_lines(changes[:SHOWN], paint)
    if len(changes) > SHOWN:
        lines.append(f"and {count(len(changes) - SHOWN, 'path')} more")
    if changes:
        total = counts(sum(one.insertions for one in changes), sum(one.deletions for one in changes), paint)
        lines.append(f"{count(len(changes), 'path')} changed {total}".rstrip())
    if changed.contested:
        lines.append(f"{count(changed.contested, 'path')} changed while another session was at work too; whose it is cannot be told")
    if changed.unowned:
        lines.append(f"{count(changed.unowned, 'path')} changed by nobody known")
    if changed.ended:
        lines.append(f"{LAPSED}; `rewindctl pending` shows what was noted before")
    return lines or ["nothing changed"]


def _say(run: Invocation, words: str) -> None:
    if not run.settings.quiet:
        _warn_line(run, words)


def _warn(run: Invocation, words: str) -> None:
    _warn_line(run, f"{run.screen.paint_err('rewindctl:', 'red')} {visible_lines(words)}")


def _warn_line(run: Invocation, words: str) -> None:
    """Says it; where nobody reads stderr any more the exit status is still the command's."""
    try:
        run.screen.warn(words)
        run.screen.flush()
    except (OSError, ReaderGone):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)

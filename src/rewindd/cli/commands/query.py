"""`pending`, `list`, `show`, `diff`, `log`: what only reads."""

import click

from rewindd.cli import choose, past
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, offer_positions, paths_after_dashes, text
from rewindd.cli.render import edits, human
from rewindd.cli.render.json import Json, line, plain, without
from rewindd.cli.render.patch import change_lines, counts, patches
from rewindd.cli.render.words import count
from rewindd.errors import BadRequest
from rewindd.protocol.replies import Changes, CheckpointReply, Checkpoints, Edits, FileDiff, Sessions
from rewindd.protocol.requests import Diff, ListCheckpoints, ListPending, ListSessions, ReadLog, ShowCheckpoint

_NEWEST = click.option("-n", "limit", metavar="N", type=click.IntRange(min=1), help="The newest N only.")


@click.command("pending", cls=Command, paths=True)
@click.argument("more", metavar="", nargs=-1)
@click.pass_obj
def pending_command(run: Invocation, more: tuple[str, ...]) -> None:
    """Show the session's own changes since its head."""
    paths = _given((*more, *paths_after_dashes()))
    found = run.ask(ListPending(session=choose.to_read(run), paths=run.paths(paths)), Changes)
    if run.screen.json:
        run.screen.print(line({"changes": _changes(found.changes), "unowned": found.unowned}))
        return
    paint = run.screen.paint
    if found.changes:
        run.screen.page("\n".join(change_lines(found.changes, paint)))
        insertions, deletions = (sum(getattr(change, name) for change in found.changes) for name in ("insertions", "deletions"))
        total = counts(insertions, deletions, run.screen.paint_err)
        run.screen.say(f"{count(len(found.changes), 'path')} changed {total}".rstrip())
    else:
        run.screen.say("nothing pending")
    if found.contested:
        run.screen.say(f"{count(found.contested, 'path')} changed while another session was at work too; whose it is cannot be told")
    if found.unowned:
        run.screen.say(f"{count(found.unowned, 'path')} changed by nobody known; a rewind leaves them, unless `--also external`")


@click.command("list", cls=Command)
@click.option("--all", "all_sessions", is_flag=True, help="Of every session of the workspace.")
@_NEWEST
@click.pass_obj
def list_command(run: Invocation, all_sessions: bool, limit: int | None) -> None:
    """List checkpoints in order of creation, newest last, with their branches."""
    session = choose.any_of_workspace(run) if all_sessions else choose.to_read(run)
    found = run.ask(ListCheckpoints(session=session, all=all_sessions, limit=limit), Checkpoints).checkpoints
    if run.screen.json:
        run.screen.print(line({"checkpoints": plain(found)}))
    elif found:
        from rewindd.cli.render.table import checkpoints

        screen = run.screen
        family = run.ask(ListSessions(all=True), Sessions).sessions if all_sessions else None
        own = None if all_sessions else session
        screen.page(checkpoints(found, screen.paint, width=screen.width, unicode=screen.is_unicode, sessions=family, own=own))
    else:
        run.screen.say("no checkpoints yet; `rewindctl save` makes one")


@click.command("show", cls=Command)
@click.argument("position", metavar="ID[:PATH]", shell_complete=offer_positions)
@click.option("--content", is_flag=True, help="The files' contents too.")
@click.pass_obj
def show_command(run: Invocation, position: str, content: bool) -> None:
    """Show one checkpoint whole, or with ID:PATH a path as it was."""
    if ":" in position and past.show(run, position):
        return
    position = text(position)
    found = run.ask(ShowCheckpoint(session=choose.to_read(run), position=position, content=content), CheckpointReply).checkpoint
    if run.screen.json:
        fields = plain(found)
        if isinstance(fields, dict):
            fields["file_diffs"] = _changes(found.file_diffs)
        run.screen.print(line(fields))
    else:
        run.screen.page(human.checkpoint(found, run.screen.paint, content=content))


@click.command("diff", cls=Command, paths=True)
@click.argument("a", metavar="[A", required=False, type=text, shell_complete=offer_positions)
@click.argument("b", metavar="[B]]", required=False, type=text, shell_complete=offer_positions)
@click.pass_obj
def diff_command(run: Invocation, a: str | None, b: str | None) -> None:
    """Show a unified diff: from A to B, from A to now, or without A what is pending."""
    session, paths = choose.to_read(run), run.paths(_given(paths_after_dashes()))
    if a is None:
        found = run.ask(ListPending(session=session, paths=paths, patch=True), Changes)
    else:
        found = run.ask(Diff(session=session, a=a, b=b, paths=paths), Changes)
    screen = run.screen
    if screen.json:
        changes: Json = [_change(plain(change)) for change in found.changes]
        screen.print(line({"changes": changes} if a is not None else {"changes": changes, "unowned": found.unowned}))
    elif found.changes:
        screen.page(patches(found.changes, screen.paint, for_terminal=screen.out_is_terminal))
    else:
        screen.say("no difference")


@click.command("log", cls=Command)
@click.argument("path", metavar="[PATH]", required=False)
@_NEWEST
@click.pass_obj
def log_command(run: Invocation, path: str | None, limit: int | None) -> None:
    """Show the edit log: who changed what, when and why."""
    given = run.paths(_given(() if path is None else (path,)))
    found = run.ask(ReadLog(session=choose.any_of_workspace(run), path=given[0] if given else None, limit=limit), Edits).edits
    if run.screen.json:
        run.screen.print(line({"edits": plain(found)}))
    elif found:
        run.screen.page(edits.log(found, run.screen.paint))
    else:
        run.screen.say("nothing was changed yet")


def _given(paths: tuple[str, ...]) -> tuple[str, ...]:
    if "" in paths:
        raise BadRequest("an empty path; name a file, or `.` for the whole directory")
    return paths


def _changes(changes: list[FileDiff]) -> Json:
    """Returns changes without the patch and contents that were not asked for."""
    return [without(_change(plain(change)), "patch") for change in changes]


def _change(fields: Json) -> Json:
    if not isinstance(fields, dict):
        return fields
    return {name: without(value, "text", "base64") if name in ("before", "after") else value for name, value in fields.items()}

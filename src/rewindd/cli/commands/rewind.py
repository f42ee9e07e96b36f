"""`rewind`, `undo`, `redo`: what takes work back, and brings it again."""

import click
import msgspec

from rewindd.cli import choose
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, offer_positions, paths_after_dashes, text
from rewindd.cli.render import plan
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import count
from rewindd.errors import BadRequest, NotQuiet, StoreFull
from rewindd.model import githead
from rewindd.model.capture import UNKEPT
from rewindd.model.log import OnConflict, Restore, Scope
from rewindd.protocol.replies import RewindResult, SessionReply
from rewindd.protocol.requests import Base, Redo, Rewind, ShowSession, Undo

_ALL = "all"
#: What a position begins with that names a barrier: any session of the workspace can go back to it, for all.
_BARRIER = "barrier:"
_EVERYTHING = [part.value for part in Restore]

_ON_CONFLICT = click.option(
    "--on-conflict",
    type=click.Choice([choice.value for choice in OnConflict]),
    default=OnConflict.MERGE.value,
    show_default=True,
    help="What becomes of paths that others changed since.",
)
_LOSE_UNSAVED = click.option("--lose-unsaved", is_flag=True, help="Also over what the store had no room for: it is lost.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")


@click.command("rewind", cls=Command, paths=True)
@click.argument("position", metavar="POS", type=text, shell_complete=offer_positions)
@click.option("--before", is_flag=True, help="To just before the checkpoint's own changes.")
@click.option("--scope", type=click.Choice([scope.value for scope in Scope]), default=Scope.SESSION.value, show_default=True)
@click.option("--restore", multiple=True, type=click.Choice([_ALL, *_EVERYTHING]), help="What to take back; repeatable. [default: all]")
@click.option("--also", multiple=True, type=click.Choice(["external"]), help="Take nobody's later changes back too.")
@_ON_CONFLICT
@click.option("--with-shared", is_flag=True, help="Take back too what is contested between the session and others.")
@click.option("--with-children", is_flag=True, help="Take the work of the session's sub-agents back too.")
@click.option("--across-head", is_flag=True, help="Also where git's HEAD is another than at POS.")
@_LOSE_UNSAVED
@click.option("--plan", "plan_id", metavar="PLAN_ID", type=text, help="Only if what it would do is still this.")
@_DRY_RUN
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rewind_command(
    run: Invocation,
    position: str,
    before: bool,
    scope: str,
    restore: tuple[str, ...],
    also: tuple[str, ...],
    on_conflict: str,
    with_shared: bool,
    with_children: bool,
    across_head: bool,
    lose_unsaved: bool,
    plan_id: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Take the session's own work after POS back; everybody else's stays."""
    if not (dry_run or yes or run.screen.is_interactive):
        raise click.UsageError("there is no terminal to ask on; say --yes, or --dry-run to see the plan")
    paths = paths_after_dashes()
    if "" in paths:
        raise BadRequest("an empty path; name a file, or `.` for the whole directory")
    to_barrier = position.startswith(_BARRIER)
    request = Rewind(
        session=choose.any_of_workspace(run) if to_barrier else choose.to_change(run),
        position=position,
        before=before,
        scope=scope,
        restore=_parts(restore, with_paths=bool(paths)),
        also=list(also),
        on_conflict=on_conflict,
        paths=run.paths(paths),
        plan=plan_id,
        dry_run=dry_run,
        across_head=across_head,
        with_shared=with_shared,
        with_children=with_children,
        lose_unsaved=lose_unsaved,
    )
    if not (dry_run or yes):
        if not to_barrier:
            request = msgspec.structs.replace(request, base=_standing(run, request.session))
        shown = _confirmed(run, request)
        if shown is None:
            run.screen.say("nothing was changed")
            return Exit.FAILED
        request = msgspec.structs.replace(request, plan=shown)
    _print(run, run.ask(request, RewindResult), "rewound", session=request.session if to_barrier else None)
    return Exit.DONE


@click.command("undo", cls=Command)
@click.option("--operation", metavar="ID", type=text, help="This one, not the newest.")
@_ON_CONFLICT
@_LOSE_UNSAVED
@_DRY_RUN
@click.pass_obj
def undo_command(run: Invocation, operation: str | None, on_conflict: str, lose_unsaved: bool, dry_run: bool) -> None:
    """Take the session's newest rewind or restore back."""
    session = choose.to_change(run)
    request = Undo(session=session, operation=operation, on_conflict=on_conflict, lose_unsaved=lose_unsaved, dry_run=dry_run)
    _print(run, run.ask(request, RewindResult), "undone")


@click.command("redo", cls=Command)
@_ON_CONFLICT
@_LOSE_UNSAVED
@_DRY_RUN
@click.pass_obj
def redo_command(run: Invocation, on_conflict: str, lose_unsaved: bool, dry_run: bool) -> None:
    """Take the newest undo back."""
    request = Redo(session=choose.to_change(run), on_conflict=on_conflict, lose_unsaved=lose_unsaved, dry_run=dry_run)
    _print(run, run.ask(request, RewindResult), "redone")


def _parts(restore: tuple[str, ...], *, with_paths: bool) -> list[str]:
    """Returns what is to be restored, in one order, each once."""
    if not restore:
        return [Restore.FILES.value] if with_paths else _EVERYTHING
    return _EVERYTHING if _ALL in restore else [part for part in _EVERYTHING if part in restore]


def _standing(run: Invocation, session: str | None) -> Base:
    """Returns where the session stands before the person looks at the plan: the plan says nothing of what is said meanwhile."""
    found = run.ask(ShowSession(session=session), SessionReply).session
    return Base(head=found.head, event=found.event)


def _confirmed(run: Invocation, request: Rewind) -> str | None:
    """Shows the plan and asks. Returns the plan's id after a yes, None after a no.

    Raises:
        GitHeadMoved: git's HEAD is another than at the position; to go on all the same is to be said, not answered.
        Conflict, Busy: the plan cannot be carried out; the daemon says what would help.
        StoreFull: it would overwrite what could not be kept; to lose that is to be said, not answered.
        NotQuiet: files are being changed right now, and the answer was no.
    """
    screen = run.screen
    planned = run.ask(msgspec.structs.replace(request, dry_run=True), RewindResult)
    screen.warn(plan.plan(planned, screen.paint_err))
    if planned.git_heads is not None and not request.across_head:
        raise githead.moved(planned.git_heads.then, planned.git_heads.now)
    if planned.conflicts and all(entry.reason.startswith(UNKEPT) for entry in planned.conflicts):
        number = count(len(planned.conflicts), "path")
        raise StoreFull(f"{number} not in the store would be lost, nothing was touched; make room, or say `--lose-unsaved`")
    if planned.conflicts:
        # The daemon knows what would help. The plan's id says its conflicts too, so it refuses just this.
        run.ask(msgspec.structs.replace(request, plan=planned.plan_id), RewindResult)
    restless = _restless(planned)
    if screen.ask(f"{restless[0].upper()}{restless[1:]}. Go on all the same?" if restless else "Go on?"):
        return planned.plan_id
    if restless:
        raise NotQuiet(f"{restless}; nothing was touched, try again when it is quiet, or say --yes")
    return None


def _restless(planned: RewindResult) -> str:
    """Returns why now may be a bad moment, "" where nothing says so."""
    if plan.has_window(planned):
        return "a command or a turn is under way"
    return "files were changed just now" if planned.not_quiet else ""


def _print(run: Invocation, result: RewindResult, what: str, *, session: str | None = None) -> None:
    """Prints what was done, and how it is taken back; `session`: the one to be named for that."""
    screen = run.screen
    if screen.json:
        screen.print(line(plain(result)))
        return
    screen.print(plan.plan(result, screen.paint) if result.dry_run else plan.outcome(result, screen.paint, what=what))
    if result.dry_run:
        screen.detail(f"plan {result.plan_id}")
    elif what != "undone":
        screen.say(f"`rewindctl undo{f' --session {session}' if session is not None else ''}` takes this back")
    else:
        screen.say("`rewindctl redo` takes this back")

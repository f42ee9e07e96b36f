"""`restore`: single files and directories back."""

import click
import msgspec

from rewindd.cli import choose
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, offer_positions, paths_after_dashes, text
from rewindd.cli.render import plan
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import count
from rewindd.errors import BadRequest, Conflict, StoreFull
from rewindd.protocol.replies import RewindResult
from rewindd.protocol.requests import Restore


@click.command("restore", cls=Command, paths=True)
@click.argument("position", metavar="[POS]", required=False, type=text, shell_complete=offer_positions)
@click.option("--lose-unsaved", is_flag=True, help="Also over what the store had no room for: it is lost.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, and overwrite what is there now.")
@click.pass_obj
def restore_command(run: Invocation, position: str | None, lose_unsaved: bool, dry_run: bool, yes: bool) -> int:
    """Bring files, or directories with all below, back as they were at POS, or before they were last deleted."""
    paths = paths_after_dashes()
    if not paths:
        raise click.UsageError("name what to bring back after `--`: rewindctl restore [POS] -- PATH...")
    if "" in paths:
        raise BadRequest("an empty path; name a file, or `.` for the whole directory")
    is_said = dry_run or yes
    request = Restore(session=choose.to_change(run), position=position, paths=run.paths(paths), overwrite=is_said, dry_run=dry_run)
    try:
        result = run.ask(msgspec.structs.replace(request, lose_unsaved=lose_unsaved and is_said), RewindResult)
    except (Conflict, StoreFull) as exc:
        if is_said or (isinstance(exc, StoreFull) and not lose_unsaved):
            raise
        if not run.screen.is_interactive:
            if isinstance(exc, StoreFull):
                raise StoreFull(f"{exc.message}; without a terminal, with `--yes`", **exc.fields) from exc
            raise
        confirmed = _confirmed(run, msgspec.structs.replace(request, overwrite=True, lose_unsaved=lose_unsaved))
        if confirmed is None:
            run.screen.say("nothing was changed")
            return Exit.FAILED
        result = run.ask(confirmed, RewindResult)
    _print(run, result)
    return Exit.DONE


def _confirmed(run: Invocation, request: Restore) -> Restore | None:
    """Shows what would be overwritten and asks. Returns what to do after a yes, None after a no.

    Raises:
        Conflict: it cannot be done at all.
    """
    planned = run.ask(msgspec.structs.replace(request, dry_run=True), RewindResult)
    run.screen.warn(plan.plan(planned, run.screen.paint_err, what="restore"))
    if planned.conflicts:
        raise Conflict(f"{count(len(planned.conflicts), 'path')} cannot be restored; nothing was touched")
    if not run.screen.ask("Something else is there now. Overwrite it?"):
        return None
    return msgspec.structs.replace(request, plan=planned.plan_id)


def _print(run: Invocation, result: RewindResult) -> None:
    screen = run.screen
    if screen.json:
        screen.print(line(plain(result)))
        return
    screen.print(plan.plan(result, screen.paint, what="restore") if result.dry_run else plan.outcome(result, screen.paint, what="restored"))
    if result.operation_id is not None:
        screen.say("`rewindctl undo` takes this back")

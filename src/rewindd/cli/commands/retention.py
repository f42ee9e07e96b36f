"""`prune`, `gc` and `forget`: what is not kept any more, the space it took, and what must not be there at all."""

import click
import msgspec

from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.retention import collected, forgotten, pruned
from rewindd.cli.where import absolute, physical
from rewindd.paths import FsText
from rewindd.protocol.replies import Collected, Forgotten, Pruned
from rewindd.protocol.requests import Collect, Forget, Prune


@click.command("prune", cls=Command)
@click.option("--dry-run", is_flag=True, help="Only tell what would go, and what that frees.")
@click.option("--here", is_flag=True, help="Of the workspace around the current directory only.")
@click.pass_obj
def prune_command(run: Invocation, dry_run: bool, here: bool) -> int:
    """Drop the checkpoints that [retention] does not keep, and give their space back."""
    directory = physical(run.directory) if here else None
    found = run.ask(Prune(directory=directory, dry_run=dry_run, progress=True), Pruned)
    if run.screen.json:
        run.screen.print(line(plain(found)))
    else:
        run.screen.print(pruned(found, run.screen.paint))
    return Exit.DONE


@click.command("gc", cls=Command)
@click.pass_obj
def gc_command(run: Invocation) -> int:
    """Remove contents that nothing names, and give their space back to the file system."""
    found = run.ask(Collect(progress=True), Collected)
    if run.screen.json:
        run.screen.print(line(plain(found)))
    else:
        run.screen.print(collected(found))
    return Exit.DONE


@click.command("forget", cls=Command)
@click.argument("what", metavar="SESSION|WORKSPACE|PATH")
@click.option("--dry-run", is_flag=True, help="Only tell what would be erased.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def forget_command(run: Invocation, what: str, dry_run: bool, yes: bool) -> int:
    """Erase a session, a workspace, or all versions of a path. There is no way back."""
    request = Forget(what=FsText(what), path=absolute(what, run.directory), dry_run=dry_run, progress=True)
    if not (dry_run or yes):
        planned = run.ask(msgspec.structs.replace(request, dry_run=True), Forgotten)
        run.screen.warn(forgotten(planned, run.screen.paint_err))
        if not run.screen.ask("There is no way back. Erase it?"):
            return Exit.FAILED
    found = run.ask(request, Forgotten)
    run.screen.print(line(plain(found)) if run.screen.json else forgotten(found, run.screen.paint))
    return Exit.DONE

"""`capture`: what is captured of the workspace, or would be, and what is left out."""

import click

from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.cli.render.words import count, visible
from rewindd.cli.where import identity, physical
from rewindd.protocol.replies import CaptureInfo
from rewindd.protocol.requests import ListCapture


@click.command("capture", cls=Command)
@click.option("--dry-run", is_flag=True, help="Of any directory: what would be captured; nothing is.")
@click.pass_obj
def capture_command(run: Invocation, dry_run: bool) -> None:
    """Show what is captured of the workspace, biggest first, and what rules and limits leave out."""
    directory = physical(run.directory)
    device, inode = identity(directory)
    found = run.ask(ListCapture(directory=directory, device=device, inode=inode, dry_run=dry_run), CaptureInfo)
    if run.screen.json:
        from rewindd.cli.render.json import line, plain

        run.screen.print(line(plain(found)))
    else:
        from rewindd.cli.render.captured import captured

        run.screen.page(captured(found, run.screen.paint, dry_run=dry_run, everything=run.settings.verbose))
    if found.missing and not dry_run:
        run.screen.warn(f"{count(found.missing, 'path')} not captured yet; `rewindctl status` tells how far the first capture is")
    if found.rules_reason is not None:
        run.screen.warn(f"not all rules count: {visible(found.rules_reason)}")
    if found.left_out_count > len(found.left_out):
        run.screen.warn(f"only the first {len(found.left_out)} of {found.left_out_count} names that are left out are told")

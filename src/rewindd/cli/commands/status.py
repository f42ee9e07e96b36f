"""`status`: the daemon, its store, its workspaces."""

import click

from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.protocol.replies import Status
from rewindd.protocol.requests import GetStatus


@click.command("status", cls=Command)
@click.pass_obj
def status_command(run: Invocation) -> None:
    """Show the daemon, its store and its workspaces."""
    found = run.ask(GetStatus(), Status)
    if run.screen.json:
        from rewindd.cli.render.json import line, plain

        run.screen.print(line(plain(found)))
        return
    from rewindd.cli.render.human import status
    from rewindd.cli.render.words import visible

    run.screen.print(status(found, run.screen.paint))
    from rewindd.cli import versions

    differs = versions.differing(found.version)
    if differs:
        run.screen.warn(visible(differs))

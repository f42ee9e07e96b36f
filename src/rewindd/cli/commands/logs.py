"""`logs`: what the daemon logged."""

import os

import click

from rewindd import places
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.cli.render.words import visible_lines

#: As many lines as fit some screens.
LINES = 100


@click.command("logs", cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on.")
@click.option("-n", "number", metavar="N", type=click.IntRange(min=0), default=LINES, help=f"The newest N lines; {LINES}.")
@click.pass_obj
def logs_command(run: Invocation, follow: bool, number: int) -> None:
    """Show the daemon's log: of the journal where systemd runs it, else of its file."""
    from rewindd.cli import logs

    place = logs.find(os.path.abspath(run.socket or places.socket_path(run.env, os.getuid())), run.env)
    run.screen.detail(f"the journal of {place.unit}" if isinstance(place, logs.Journal) else place.path)
    for text in logs.lines(place, last=number, follow=follow):
        if run.screen.json:
            from rewindd.cli.render.json import line

            run.screen.print(line({"line": text}))
        else:
            run.screen.print(visible_lines(text))
        if follow:
            run.screen.flush()

"""`backup`: a copy of the whole store, made while the daemon goes on."""

import uuid

import click

from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.errors import BadRequest
from rewindd.protocol.replies import BackedUp
from rewindd.protocol.requests import MakeBackup


@click.command("backup", cls=Command)
@click.argument("directory", metavar="DIR")
@click.pass_obj
def backup_command(run: Invocation, directory: str) -> int:
    """Copy the whole store to DIR, which is not there, or empty. A daemon can be started on the copy."""
    if not directory:
        raise BadRequest("an empty directory name")
    made = run.ask(MakeBackup(directory=run.paths((directory,))[0], key=uuid.uuid4().hex, progress=True), BackedUp)
    if run.screen.json:
        from rewindd.cli.render.json import line, plain

        run.screen.print(line(plain(made)))
    else:
        from rewindd.cli.render.integrity import backed_up

        run.screen.print(backed_up(made, run.screen.paint))
    return Exit.FAILED if made.damage else Exit.DONE

"""`blame`: whose each line of a file is."""

import click

from rewindd.cli import choose
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, offer_positions, text
from rewindd.cli.render import edits
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import visible
from rewindd.errors import BadRequest
from rewindd.protocol.replies import Blamed
from rewindd.protocol.requests import Blame


@click.command("blame", cls=Command)
@click.argument("path", metavar="PATH")
@click.argument("position", metavar="[POS]", required=False, type=text, shell_complete=offer_positions)
@click.option("--at", metavar="POS", type=text, shell_complete=offer_positions, help="As it was there; the same as POS.")
@click.pass_obj
def blame_command(run: Invocation, path: str, position: str | None, at: str | None) -> None:
    """Show which session, agent and turn each line of a file came from."""
    if path == "":
        raise BadRequest("an empty path; name a file")
    if position is not None and at is not None:
        raise click.UsageError("POS and --at are the same; give one")
    chosen = position if position is not None else at
    session = choose.any_of_workspace(run) if chosen is None else choose.to_read(run)
    found = run.ask(Blame(session=session, path=run.paths((path,))[0], position=chosen), Blamed)
    if run.screen.json:
        shown = found.content.decode("utf-8", "replace").removesuffix("\n").split("\n") if found.content else []
        run.screen.print(line(plain({"path": found.path, "position": found.position, "lines": shown, "spans": found.spans})))
    elif found.spans:
        run.screen.page(edits.blame(found, run.screen.paint))
    else:
        run.screen.say(f"{visible(found.path)} is empty")

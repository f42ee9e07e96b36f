"""`verify`: is the store what was written?"""

import click

from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.protocol.replies import Verified
from rewindd.protocol.requests import Verify

#: Checkpoints that a drill writes out.
DRILLS = 3


def _percent(given: str) -> float:
    """Returns a share as it is typed: `10%`, `10`, `0.5%`.

    Raises:
        click.BadParameter: it is none, or not from 0 to 100.
    """
    try:
        share = float(given.removesuffix("%"))
    except ValueError as exc:
        raise click.BadParameter(f"{given!r} is no share; write 10%") from exc
    if not 0 <= share <= 100:
        raise click.BadParameter(f"{given!r} is not from 0% to 100%")
    return share


@click.command("verify", cls=Command)
@click.option("--sample", metavar="N%", type=_percent, default="100%", help="Read so many of the contents, chosen at random; all rows.")
@click.option("--drill", is_flag=True, help=f"Write {DRILLS} checkpoints, chosen at random, out beside the store, and compare them.")
@click.pass_obj
def verify_command(run: Invocation, sample: float, drill: bool) -> int:
    """Compare every row and content of the store with what was written. Exit 1 where anything is not."""
    found = run.ask(Verify(sample=sample, drill=DRILLS if drill else 0, progress=True), Verified)
    if run.screen.json:
        from rewindd.cli.render.json import line, plain

        run.screen.print(line(plain(found)))
    else:
        from rewindd.cli.render.integrity import verified

        run.screen.print(verified(found, run.screen.paint))
    return Exit.FAILED if found.damage_count else Exit.DONE

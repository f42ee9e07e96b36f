"""`barrier`: one named point over all open sessions of a workspace."""

import uuid

import click

from rewindd.cli import choose
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, text
from rewindd.cli.render import human
from rewindd.cli.render.json import line, plain
from rewindd.cli.where import physical
from rewindd.protocol.replies import Barrier, BarrierMade, Barriers
from rewindd.protocol.requests import ListBarriers, MakeBarrier


@click.command("barrier", cls=Command)
@click.option("-m", "--message", "label", metavar="LABEL", type=text, help="The barrier's label.")
@click.option("--list", "is_list", is_flag=True, help="List the workspace's barriers; make none.")
@click.option("-n", "limit", metavar="N", type=click.IntRange(min=1), help="With --list, the newest N only.")
@click.option("--strict", is_flag=True, help="Exit 1 where something could not be captured.")
@click.option("--no-wait", is_flag=True, help="Do not wait for a workspace's first capture to be complete.")
@click.pass_obj
def barrier_command(run: Invocation, label: str | None, is_list: bool, limit: int | None, strict: bool, no_wait: bool) -> int:
    """Make one named point over all open sessions of the workspace, and print its id."""
    session = choose.named(run)
    directory = physical(run.directory) if session is None else None
    if is_list:
        _list(run, run.ask(ListBarriers(session=session, directory=directory, limit=limit), Barriers).barriers)
        return Exit.DONE
    if limit is not None:
        raise click.UsageError("-n goes with --list")
    request = MakeBarrier(session=session, directory=directory, label=label, wait=not no_wait, key=uuid.uuid4().hex)
    made = run.ask(request, BarrierMade).barrier
    if run.screen.json:
        run.screen.print(line(plain(made)))
    else:
        run.screen.print(human.barrier(made, run.screen.paint))
        run.screen.say(f"`rewindctl rewind barrier:{made.id}` takes all of it back to here")
    return _warned(run, made, strict=strict)


def _list(run: Invocation, found: list[Barrier]) -> None:
    if run.screen.json:
        run.screen.print(line({"barriers": plain(found)}))
    elif found:
        run.screen.page("\n".join(human.barrier(one, run.screen.paint) for one in found))
    else:
        run.screen.say("no barriers yet; `rewindctl barrier` makes one")


def _warned(run: Invocation, made: Barrier, *, strict: bool) -> int:
    if not made.incomplete.count:
        return Exit.DONE
    run.screen.warn(human.skipped(made.incomplete.first))
    if made.incomplete.count > len(made.incomplete.first):
        run.screen.warn(f"and {made.incomplete.count - len(made.incomplete.first)} more")
    return Exit.FAILED if strict else Exit.DONE

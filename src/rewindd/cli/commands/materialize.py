"""`materialize`: the whole tree as it was, elsewhere. The files are this side's, what is in them the daemon's."""

from contextlib import closing
from typing import TYPE_CHECKING

import click

from rewindd.cli import choose
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, offer_positions, text
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import count, size, visible
from rewindd.errors import BadRequest

if TYPE_CHECKING:
    from rewindd.client.materialize import Materialized

#: Paths that are named before the rest is only counted.
_NAMED = 20


@click.command("materialize", cls=Command)
@click.argument("position", metavar="POS", type=text, shell_complete=offer_positions)
@click.option("--to", "target", metavar="DIR", required=True, help="Where the tree goes; empty, or not there.")
@click.pass_obj
def materialize_command(run: Invocation, position: str, target: str) -> int:
    """Write the whole tree as it was at POS into another directory."""
    if not target:
        raise BadRequest("an empty directory name")
    written = _write(run, choose.to_read(run), position, run.paths((target,))[0])
    if run.screen.json:
        run.screen.print(line(plain(written)))
    else:
        run.screen.say(f"wrote {count(written.files, 'file')}, {size(written.bytes)}")
    for entry in written.skipped[:_NAMED]:
        run.screen.warn(f"not written: {visible(entry.path)}: {visible(entry.reason)}")
    if len(written.skipped) > _NAMED:
        run.screen.warn(f"and {len(written.skipped) - _NAMED} more; `--json` names all")
    return Exit.FAILED if written.skipped else Exit.DONE


def _write(run: Invocation, session: str, position: str, directory: str) -> "Materialized":
    from rewindd.client.materialize import Materialized, steps
    from rewindd.client.seat import Call
    from rewindd.protocol.wire import Progress

    def report(files: int) -> None:
        run.screen.progress(Progress(done=files, total=0, what="files"))

    with closing(steps(session, position, directory, report)) as todo:
        try:
            step = next(todo)
            while True:
                step = todo.send(run.ask(step.request, step.expected) if isinstance(step, Call) else step())
        except StopIteration as end:
            written: Materialized = end.value
            return written

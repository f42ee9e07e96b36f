"""`metrics`: the daemon's numbers, as Prometheus reads them."""

import click

from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.protocol.replies import Metrics
from rewindd.protocol.requests import GetMetrics


@click.command("metrics", cls=Command)
@click.pass_obj
def metrics_command(run: Invocation) -> None:
    """Print the daemon's numbers in Prometheus' text format. Starts no daemon."""
    found = run.ask(GetMetrics(), Metrics, autostart=False)
    if run.screen.json:
        from rewindd.cli.render.json import line, plain

        run.screen.print(line(plain(found)))
    else:
        run.screen.print(found.text)

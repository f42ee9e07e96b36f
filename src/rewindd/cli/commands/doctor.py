"""`doctor`: what is right and wrong with the daemon and its surroundings, and what to do about it."""

import click

from rewindd.cli.doctor.facts import Finding, State
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command

_STYLES = {State.OK: "green", State.NOTE: "yellow", State.PROBLEM: "red"}


@click.command("doctor", cls=Command)
@click.pass_obj
def doctor_command(run: Invocation) -> Exit:
    """Look for what is wrong: each finding with its remedy. Works without a daemon, and starts none."""
    from rewindd.cli.doctor.checks import examine
    from rewindd.cli.doctor.gather import gather

    facts = gather(run)
    found = examine(facts)
    healthy = all(one.state is not State.PROBLEM for one in found)
    if run.screen.json:
        from rewindd.cli.render.json import line, plain

        told = [{"check": one.check, "state": one.state.value, "message": one.message, "remedy": one.remedy} for one in found]
        run.screen.print(line(plain({"healthy": healthy, "daemon": facts.status is not None, "findings": told})))
    else:
        run.screen.print("\n".join(line for one in found for line in _lines(run, one)))
    return Exit.DONE if healthy else Exit.FAILED


def _lines(run: Invocation, found: Finding) -> list[str]:
    from rewindd.cli.render.words import visible

    lines = [f"{run.screen.paint(f'{found.state.value:<7}', _STYLES[found.state])}  {found.check:<11}  {visible(found.message)}"]
    return lines if found.remedy is None else [*lines, f"         {'':<11}  -> {visible(found.remedy)}"]

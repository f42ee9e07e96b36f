"""`completions bash|zsh|fish`: prints what makes the shell complete `rewindctl`."""

import click
from click.shell_completion import get_completion_class

from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command

#: The variable by which the printed script asks `rewindctl` for completions.
VARIABLE = "_REWINDCTL_COMPLETE"


@click.command("completions", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_obj
def completions_command(run: Invocation, shell: str) -> None:
    """Print a shell's completion script: `eval "$(rewindctl completions bash)"`."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these three"
    command = click.get_current_context().find_root().command
    run.screen.print(kind(command, {}, "rewindctl", VARIABLE).source())

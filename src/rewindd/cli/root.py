"""The command `rewindctl`, which knows where each command lives and loads only the one that is called."""

from importlib import import_module

import click

from rewindd.cli.options import Group

#: Each command and the module of `rewindd.cli.commands` that has it, in the order that `--help` tells.
_HOMES = {
    "status": "status",
    "daemon": "daemon",
    "session": "session",
    "record": "record",
    "snapshot": "keep",
    "pending": "query",
    "release": "keep",
    "run": "run",
    "save": "keep",
    "barrier": "barrier",
    "list": "query",
    "show": "query",
    "diff": "query",
    "rewind": "rewind",
    "undo": "rewind",
    "redo": "rewind",
    "restore": "restore",
    "materialize": "materialize",
    "capture": "capture",
    "log": "query",
    "blame": "blame",
    "watch": "watch",
    "export": "transfer",
    "import": "transfer",
    "grant": "grant",
    "verify": "verify",
    "backup": "backup",
    "prune": "retention",
    "gc": "retention",
    "forget": "retention",
    "doctor": "doctor",
    "config": "config",
    "logs": "logs",
    "metrics": "metrics",
    "completions": "completions",
}


class Root(Group):
    """Loads a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands, in a useful order."""
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command of this name, None where there is none."""
        home = _HOMES.get(cmd_name)
        if home is None:
            return None
        command = getattr(import_module(f"rewindd.cli.commands.{home}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command


root = Root(
    name="rewindctl",
    help="Take an agent's work back: snapshots, checkpoints, and a rewind that can be undone.",
    epilog="A position is a checkpoint's id, label or unique prefix, @ (the head), @~2 (two before it), @{10m}, @{01:55}, barrier:ID.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

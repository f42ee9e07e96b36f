"""`config show`, `config check`: the settings as they count, and whether a file can be used. Both work without a daemon."""

import os

import click

from rewindd import places
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Group
from rewindd.cli.render.json import line, plain
from rewindd.cli.where import absolute
from rewindd.configuration import reading
from rewindd.configuration.reading import Effective, Found
from rewindd.configuration.schema import settings


@click.group("config", cls=Group)
def config_command() -> None:
    """Show the configuration, or check a file of it."""


@config_command.command("show")
@click.pass_obj
def _show(run: Invocation) -> None:
    """Show every setting as it counts, and where that comes from: a file, the environment, or the default."""
    path, named = reading.config_file(None, run.env)
    found = reading.read(path, required=named)
    counting = reading.effective(found, run.env)
    if run.screen.json:
        run.screen.print(line(plain(_object(run, found, counting))))
        return
    width = max(len(f"{one.name} = {_value(one)}") for one in counting)
    files = ", ".join(found.files) or f"none; {path} is not there"
    lines = [f"files   {files}", f"socket  {_socket(run)}", ""]
    lines += [f"{f'{one.name} = {_value(one)}':<{width}}  {run.screen.paint(f'({one.origin})', 'dim')}" for one in counting]
    run.screen.print("\n".join(lines))


@config_command.command("check")
@click.argument("file", required=False)
@click.pass_obj
def _check(run: Invocation, file: str | None) -> None:
    """Check FILE, or all that the daemon reads: exit 78 says what is wrong, and where."""
    if file is None:
        path, named = reading.config_file(None, run.env)
        files = list(reading.read(path, required=named).files)
    else:
        files = [str(absolute(file, run.directory))]
        reading.check(files[0])
    if run.screen.json:
        run.screen.print(line(plain({"files": files})))
    else:
        run.screen.say(f"{', '.join(files)}: nothing is wrong" if files else "there is no configuration; the defaults count")


def _object(run: Invocation, found: Found, counting: list[Effective]) -> dict[str, object]:
    told = [
        {
            "name": one.name,
            "value": one.value,
            "unit": settings()[one.name].unit,
            "origin": one.origin,
            "reloads": settings()[one.name].reloads,
        }
        for one in counting
    ]
    return {"path": found.path, "files": list(found.files), "socket": _socket(run), "settings": told}


def _socket(run: Invocation) -> str:
    return os.path.abspath(run.socket or places.socket_path(run.env, os.getuid()))


def _value(one: Effective) -> str:
    """Returns a value as a file would say it."""
    if one.value is None:
        return "not set"
    if isinstance(one.value, bool):
        return "true" if one.value else "false"
    return line(plain(one.value))

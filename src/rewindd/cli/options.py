"""The options that every command takes, before or after its name, and the classes of command that take them."""

from typing import TYPE_CHECKING

import click

from rewindd.cli.invocation import Invocation

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Where a command's `-- PATH…` are kept in click's context.
_PATHS = "rewindd.paths"


def text(given: str) -> str:
    """Returns an argument that travels as text.

    Raises:
        click.BadParameter: it is not UTF-8.
    """
    if any("\ud800" <= char <= "\udfff" for char in given):
        raise click.BadParameter("not valid UTF-8")
    return given


def offer_sessions(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Returns what the shell offers for a session's id. Loaded when Tab is pressed, not before."""
    from rewindd.cli import complete

    return complete.sessions(ctx, param, incomplete)


def offer_positions(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Returns what the shell offers for a position."""
    from rewindd.cli import complete

    return complete.positions(ctx, param, incomplete)


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    run = ctx.find_object(Invocation)
    if run is not None and value not in (None, False):
        setattr(run.settings, param.name or "", value)


def _say_version(ctx: click.Context, _param: click.Parameter, value: object) -> None:
    if value and not ctx.resilient_parsing:
        import rewindd

        click.echo(f"rewindctl {rewindd.__version__}")
        ctx.exit()


def _option(*names: str, metavar: str | None = None, is_flag: bool = False, what: str) -> click.Option:
    return click.Option(names, metavar=metavar, is_flag=is_flag, default=None, help=what, callback=_keep, expose_value=False)


GLOBAL: list[click.Parameter] = [
    _option("--socket", metavar="PATH", what="The daemon's socket."),
    _option("-C", "directory", metavar="DIR", what="Act as if started in DIR."),
    click.Option(
        ["--session"],
        metavar="ID",
        type=text,
        callback=_keep,
        expose_value=False,
        shell_complete=offer_sessions,
        help="The session; else $REWINDD_SESSION, else the one open here.",
    ),
    _option("--json", is_flag=True, what="Print JSON."),
    _option("-q", "--quiet", is_flag=True, what="Say less on stderr."),
    _option("-v", "--verbose", is_flag=True, what="Say more on stderr."),
    click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_say_version, help="Print the version and exit."),
]


class Command(click.Command):
    """A command that takes the global options too, and with `paths=True` any paths after `--`."""

    def __init__(self, *args: object, paths: bool = False, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own arguments, passed through
        self._takes_paths = paths

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Returns the command's parameters and the global options."""
        own = super().get_params(ctx)
        taken = {param.name for param in own}
        return [*own, *(option for option in GLOBAL if option.name not in taken)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sets what follows the first `--` aside: click itself does not say where that was."""
        if self._takes_paths and "--" in args:
            split = args.index("--")
            ctx.meta[_PATHS] = tuple(args[split + 1 :])
            args = args[:split]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Returns the usage line's pieces, with the paths."""
        return [*super().collect_usage_pieces(ctx), *(["[-- PATH...]"] if self._takes_paths else [])]


class Group(click.Group):
    """A group of commands that takes the global options too."""

    command_class = Command

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Returns the group's parameters and the global options."""
        return [*super().get_params(ctx), *GLOBAL]


def paths_after_dashes() -> tuple[str, ...]:
    """Returns the paths that the current command was given after `--`."""
    found: tuple[str, ...] = click.get_current_context().meta.get(_PATHS, ())
    return found

"""What the shell offers where a session or a position is to be typed. Asks a daemon that runs, starts none, and never complains."""

import click
from click.shell_completion import CompletionItem

from rewindd.cli.invocation import Invocation
from rewindd.errors import RewinddError

#: Who presses Tab waits for no slow daemon.
_TIMEOUT_S = 1.0


def sessions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the open sessions of the current directory's workspace."""
    from rewindd.cli.where import physical
    from rewindd.protocol.replies import Sessions
    from rewindd.protocol.requests import ListSessions

    run = ctx.find_object(Invocation)
    if run is None:
        return []
    try:
        found = run.ask(ListSessions(directory=physical(run.directory)), Sessions, autostart=False, timeout_s=_TIMEOUT_S).sessions
    except RewinddError:
        return []
    return [CompletionItem(session.id, help=session.agent) for session in found if session.id.startswith(incomplete)]


def positions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the checkpoints of the session that the command would choose, newest first."""
    from rewindd.protocol.replies import Checkpoints
    from rewindd.protocol.requests import ListCheckpoints

    run = ctx.find_object(Invocation)
    if run is None:
        return []
    named = run.settings.session or run.env.get("REWINDD_SESSION")
    chosen = [named] if named else [str(item.value) for item in sessions(ctx, param, "")]
    if len(chosen) != 1:
        return []
    try:
        found = run.ask(ListCheckpoints(session=chosen[0]), Checkpoints, autostart=False, timeout_s=_TIMEOUT_S).checkpoints
    except RewinddError:
        return []
    return [CompletionItem(entry.id, help=entry.label or "") for entry in reversed(found) if entry.id.startswith(incomplete)]

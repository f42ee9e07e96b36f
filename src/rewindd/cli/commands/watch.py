"""`watch`: what others do to what a session works on, as it comes."""

import click

from rewindd.cli import choose
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.cli.render.notices import notice
from rewindd.client.listening import WAIT_MS, Listening
from rewindd.client.notices import Post
from rewindd.errors import UnknownSession
from rewindd.protocol.replies import Notices, Pong
from rewindd.protocol.requests import Ping


@click.command("watch", cls=Command)
@click.option("--diff", is_flag=True, help="Show what was changed.")
@click.option("--once", is_flag=True, help="Print what there is, and do not wait for more.")
@click.option("--keep", is_flag=True, help="Acknowledge nothing: the session itself is told all the same.")
@click.pass_obj
def watch_command(run: Invocation, diff: bool, once: bool, keep: bool) -> None:
    """Print what others do to what the session works on, as it comes; ^C ends."""
    session = choose.to_read(run)
    listening = Listening(lambda: [session], Post(), diff=diff, ack=not keep)
    said = False
    while True:
        try:
            told = run.quietly().ask(listening.question(session, 0 if once else WAIT_MS), Notices)
        except UnknownSession:
            if not said:
                raise
            run.screen.say(f"session {session} was closed")
            return
        said = True
        listening.heard(session, told)
        for one in listening.ready:
            run.screen.print(notice(one, run.screen))
        listening.ready.clear()
        run.screen.flush()
        if once and not (told.more and told.events):  # to an onlooker the rest is told when the session has acknowledged these
            _acknowledge(run, session, None if keep else told)
            return


def _acknowledge(run: Invocation, session: str, told: Notices | None) -> None:
    """What was printed was told; without `--once` the next question says so."""
    if told is not None and told.events:
        run.quietly().ask(Ping(session=session, noticed=told.cursor), Pong)

"""`snapshot`, `release`, `save`: what keeps the session's work."""

import click

from rewindd.cli import choose
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, paths_after_dashes, text
from rewindd.cli.render import human
from rewindd.cli.render.json import line, plain, without
from rewindd.cli.render.notices import overlaps
from rewindd.cli.render.words import count
from rewindd.errors import BadRequest
from rewindd.paths import FsText
from rewindd.protocol.replies import Released, Saved, Snapshots
from rewindd.protocol.requests import Release, Save, TakeSnapshot


@click.command("snapshot", cls=Command)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--no-ignore", is_flag=True, help="In a directory, take what the ignore rules leave out too.")
@click.pass_obj
def snapshot_command(run: Invocation, paths: tuple[str, ...], no_ignore: bool) -> None:
    """Keep the present state of each PATH, before it is changed."""
    _check(paths)
    session = choose.to_keep(run)
    found = run.ask(TakeSnapshot(session=session, paths=run.paths(paths), no_ignore=no_ignore), Snapshots)
    if run.screen.json:
        run.screen.print(line(without(plain(found), "edit")))
    elif found.snapshots:
        run.screen.page(human.snapshots(found.snapshots))
    if found.overlaps:
        run.screen.warn(overlaps(found.overlaps, found.more_overlaps))
    if found.skipped:
        run.screen.warn(human.skipped(found.skipped))


@click.command("release", cls=Command, paths=True)
@click.argument("more", metavar="", nargs=-1)
@click.pass_obj
def release_command(run: Invocation, more: tuple[str, ...]) -> None:
    """Drop the session's claims on the paths, or on all; touches no file."""
    paths = (*more, *paths_after_dashes())
    _check(paths)
    # Named, also where all of it is meant: what the agent's own process claimed goes too.
    chosen = run.paths(paths) if paths else [FsText(".")]
    found = run.ask(Release(session=choose.to_change(run), paths=chosen), Released)
    if run.screen.json:
        run.screen.print(line(plain(found)))
    else:
        run.screen.say(f"released {count(found.released, 'claim')}")


@click.command("save", cls=Command)
@click.option("-m", "--message", "label", metavar="LABEL", type=text, help="The checkpoint's label.")
@click.option("--id", "checkpoint_id", metavar="ID", type=text, help="The id to give it.")
@click.option("--strict", is_flag=True, help="Exit 1 where something could not be captured.")
@click.option("--no-wait", is_flag=True, help="Do not wait for a workspace's first capture to be complete.")
@click.pass_obj
def save_command(run: Invocation, label: str | None, checkpoint_id: str | None, strict: bool, no_wait: bool) -> int:
    """Make a checkpoint of what the session did."""
    saved = run.ask(Save(session=choose.to_keep(run), label=label, id=checkpoint_id, wait=not no_wait), Saved)
    found = saved.checkpoint
    if run.screen.json:
        run.screen.print(line(plain(found)))
    else:
        run.screen.print(human.saved(found, run.screen.paint))
    if saved.over_quota is not None:
        from rewindd.cli.render.retention import over_quota

        for told in over_quota(saved.over_quota, run.screen.paint_err):
            run.screen.warn(told)
    incomplete = found.incomplete
    if not incomplete.count:
        return Exit.DONE
    run.screen.warn(human.skipped(incomplete.first))
    if incomplete.count > len(incomplete.first):
        run.screen.warn(f"and {incomplete.count - len(incomplete.first)} more; `rewindctl show {found.id}` names all")
    return Exit.FAILED if strict else Exit.DONE


def _check(paths: tuple[str, ...]) -> None:
    if "" in paths:
        raise BadRequest("an empty path; name a file, or `.` for the whole directory")

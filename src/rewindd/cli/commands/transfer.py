"""`export`, `import`: checkpoints to JSON files and back. The files are this side's, the checkpoints the daemon's."""

from pathlib import Path

import anyio
import click

from rewindd.cli import choose
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, offer_positions, text
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import count, visible
from rewindd.cli.where import identity, physical
from rewindd.errors import AlreadyExists, BadRequest, TooLarge
from rewindd.legacy import files
from rewindd.paths import FsText
from rewindd.protocol.replies import Exported, Imported
from rewindd.protocol.requests import Export, Import


@click.command("export", cls=Command)
@click.argument("positions", metavar="ID...", nargs=-1, required=True, type=text, shell_complete=offer_positions)
@click.option("--to", "directory", metavar="DIR", required=True, help="Where the files go; made when it is not there.")
@click.option("--skip-binary", is_flag=True, help="Leave out what the format cannot say, instead of refusing the checkpoint.")
@click.pass_obj
def export_command(run: Invocation, positions: tuple[str, ...], directory: str, skip_binary: bool) -> None:
    """Write checkpoints as JSON files, ID.json each. No file is overwritten."""
    session, target = choose.to_read(run), _directory(run, directory)
    exported: list[str] = []
    skipped: list[dict[str, object]] = []
    for position in positions:
        found = run.ask(Export(session=session, position=position, skip_binary=skip_binary), Exported)
        file = anyio.run(files.write, target, found.checkpoint)
        exported.append(found.checkpoint.id)
        skipped += [{"id": found.checkpoint.id, "path": entry.path, "reason": entry.reason} for entry in found.skipped]
        run.screen.detail(f"wrote {visible(str(file))}")
    if run.screen.json:
        run.screen.print(line({"exported": plain(exported), "skipped": plain(skipped)}))
        return
    run.screen.print("\n".join(exported))
    for entry in skipped:
        run.screen.warn(f"{entry['id']}: left out {visible(str(entry['path']))}: {visible(str(entry['reason']))}")


@click.command("import", cls=Command)
@click.argument("directory", metavar="DIR")
@click.pass_obj
def import_command(run: Invocation, directory: str) -> int:
    """Read a directory's JSON checkpoint files into a closed session of their own, of this workspace."""
    found, bad = anyio.run(files.survey, _directory(run, directory))
    skipped: list[dict[str, object]] = [{"file": FsText(entry.file.name), "reason": entry.reason} for entry in bad]
    imported, session = _import(run, found, skipped)
    if run.screen.json:
        run.screen.print(line({"imported": plain(imported), "skipped": plain(skipped), "session_id": session}))
    else:
        _tell(run, imported, skipped, session)
    return Exit.FAILED if bad and not imported else Exit.DONE


def _import(run: Invocation, found: list[files.Found], skipped: list[dict[str, object]]) -> tuple[list[str], str | None]:
    """Sends the checkpoints, oldest first; adds to `skipped`. Returns the ids of those that arrived, and their session."""
    workspace = physical(run.directory)
    device, inode = identity(workspace)
    imported: list[str] = []
    session: str | None = None
    for entry in found:
        try:
            checkpoint = anyio.run(files.read, entry.file)
            request = Import(session=session, directory=workspace, device=device, inode=inode, checkpoint=checkpoint)
            reply = run.ask(request, Imported)
        except (BadRequest, TooLarge, AlreadyExists) as exc:
            skipped.append({"file": FsText(entry.file.name), "reason": exc.message})
            continue
        session = reply.session_id
        imported.append(checkpoint.id)
        skipped += [{"file": FsText(entry.file.name), "path": path.path, "reason": path.reason} for path in reply.skipped]
    return imported, session


def _tell(run: Invocation, imported: list[str], skipped: list[dict[str, object]], session: str | None) -> None:
    if session is None:
        run.screen.say("nothing to import")
    else:
        run.screen.print(session)
        run.screen.say(f"imported {count(len(imported), 'checkpoint')} into session {session}; look at it with --session {session}")
    for entry in skipped:
        path = f"{visible(str(entry['path']))}: " if "path" in entry else ""
        run.screen.warn(f"skipped {visible(str(entry['file']))}: {path}{visible(str(entry['reason']))}")


def _directory(run: Invocation, given: str) -> Path:
    if not given:
        raise BadRequest("an empty directory name")
    return Path(run.paths((given,))[0])

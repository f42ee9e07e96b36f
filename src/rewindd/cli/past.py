"""`show ID:PATH`: a path as it was."""

import base64
from collections.abc import Iterator

from rewindd.cli import choose
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import text
from rewindd.cli.render.json import Json, line, plain
from rewindd.cli.render.words import size, visible, visible_lines
from rewindd.errors import UnknownCheckpoint, UnknownPath
from rewindd.paths import FsText
from rewindd.protocol.replies import Chunk, FileVersion, PathVersion
from rewindd.protocol.requests import ReadBlob, ShowPath

#: A content above this is asked for in pieces of this size.
PIECE_BYTES = 8 << 20


def show(run: Invocation, given: str) -> bool:
    """Shows what `ID:PATH` names. Returns False when it names nothing: it may be a label with a colon in it.

    Raises:
        UnknownPath: the path was not known then, or was not there.
    """
    session: str | None = None
    for position, path in _splits(given):
        session = choose.to_read(run) if session is None else session
        request = ShowPath(session=session, position=text(position), path=run.paths((path,))[0])
        try:
            found = run.ask(request, PathVersion)
        except UnknownCheckpoint:
            continue
        _show(run, session, position, found)
        return True
    return False


def _splits(given: str) -> Iterator[tuple[str, str]]:
    """Yields the position and the path at each colon: the first one parts them, unless it is a time's or a label's."""
    start = given.find("}") if given.startswith("@{") else 0
    colon = given.find(":", max(start, 0))
    while colon >= 0:
        position, path = given[:colon], given[colon + 1 :]
        if position and path:
            yield position, path
        colon = given.find(":", colon + 1)


def _show(run: Invocation, session: str, position: str, found: PathVersion) -> None:
    version = found.version
    if version is None:
        raise UnknownPath(f"{found.path!r} was not there at {position}", path=str(found.path), position=position)
    if run.screen.json:
        run.screen.print(line(_object(found, version)))
    elif version.kind == "directory":
        _show_names(run, found.entries or [])
    elif version.target is not None:
        _print(run, version.target.encode("utf-8", "surrogateescape"))
    elif found.content is not None:
        _print(run, found.content)
    else:
        _show_large(run, session, version)


def _object(found: PathVersion, version: FileVersion) -> dict[str, Json]:
    fields = plain({"path": found.path, **{name: getattr(version, name) for name in ("kind", "mode", "size", "blob", "target")}})
    assert isinstance(fields, dict)
    if found.content is not None:
        try:
            fields["text"] = found.content.decode()
        except UnicodeDecodeError:
            fields["base64"] = base64.b64encode(found.content).decode()
    if found.entries is not None:
        names = plain({"entries": found.entries})
        fields |= names if isinstance(names, dict) else {}
    return fields


def _show_names(run: Invocation, names: list[FsText]) -> None:
    if run.screen.out_is_terminal:
        run.screen.page("\n".join(visible(name) for name in names))
    else:
        run.screen.print_bytes(b"".join(name.encode("utf-8", "surrogateescape") + b"\n" for name in names))


def _print(run: Invocation, content: bytes) -> None:
    """Prints a content: to a file or a pipe byte for byte; to a person as far as it is text, and made harmless."""
    if not run.screen.out_is_terminal:
        run.screen.print_bytes(content)
        return
    try:
        run.screen.page(visible_lines(content.decode()))
    except UnicodeDecodeError:
        run.screen.warn(f"binary, {size(len(content))}; send it to a file or a pipe")


def _show_large(run: Invocation, session: str, version: FileVersion) -> None:
    if run.screen.out_is_terminal:
        run.screen.warn(f"{size(version.size or 0)}; send it to a file or a pipe")
        return
    offset = 0
    while True:
        chunk = run.ask(ReadBlob(session=session, blob=version.blob or "", offset=offset, length=PIECE_BYTES), Chunk)
        run.screen.print_bytes(chunk.data)
        offset += len(chunk.data)
        if offset >= chunk.size or not chunk.data:
            return

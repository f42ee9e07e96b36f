"""A whole tree as it was at a position, written elsewhere: what is asked, and what is written, in turn.

The steps are a generator without a connection and without a thread: it yields a `Call` to be asked and is sent the reply, or
yields a function to be run where it may block. So the async client, the blocking one and the command line do the same.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

import msgspec

from rewindd.client.plot import Growing, Plot
from rewindd.client.seat import Call
from rewindd.errors import InternalError
from rewindd.paths import RelPath
from rewindd.protocol.replies import Chunk, Contents, FileVersion, PathReason, PathVersion, Reply, TreePage
from rewindd.protocol.requests import ListTree, ReadBlob, ReadBlobs

#: Files asked for at once, and their bytes: as many as an answer holds, so that one part is written while nothing waits long.
BATCH_FILES = 1000
BATCH_BYTES = 4 << 20
#: The most that is asked for at once of a content that does not come whole.
PIECE_BYTES = 8 << 20
#: Contents above this do not come whole.
WHOLE_BYTES = 1 << 20

Step = Call | Callable[[], None]
Steps = Generator[Step, object, "Materialized"]
FoundFile = tuple[RelPath, FileVersion]
R = TypeVar("R", bound=Reply)


class Materialized(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: files and links, and the bytes in them. `skipped`: what was not, and why."""

    files: int
    bytes: int
    skipped: list[PathReason] = []


def steps(session: str, position: str, directory: str, report: Callable[[int], None]) -> Steps:
    """Writes the tree as it was at a position into a directory that is empty or not there.

    Args:
        report: is told the number of files written so far, after each batch.

    Raises:
        UnknownCheckpoint, AmbiguousCheckpoint: no such position, or several; nothing was made.
        BadRequest: the directory is none.
        AlreadyExists: it is not empty.
        StoreCorrupt: a content is not what was stored. What was written stays.
    """
    with closing(Plot(directory)) as plot:
        page = yield from _ask(ListTree(session=session, position=position), TreePage)
        yield plot.open
        while True:
            yield partial(plot.plant, page.entries)
            for batch in _batches(page.entries):
                yield from _write(session, plot, batch)
                report(plot.files)
            if not page.more:
                break
            page = yield from _ask(ListTree(session=session, position=page.position, after=page.entries[-1].path), TreePage)
        yield plot.finish
        return Materialized(files=plot.files, bytes=plot.size_bytes, skipped=plot.skipped)


def _ask(request: ListTree | ReadBlobs | ReadBlob, expected: type[R]) -> Generator[Step, object, R]:
    reply = yield Call(request, expected)  # type: ignore[arg-type]  # mypy: `type[R]` of a union is one of its members' types
    if not isinstance(reply, expected):
        raise InternalError(f"{request.op}: answered with {type(reply).__name__}")
    return reply


def _batches(entries: Sequence[PathVersion]) -> Iterator[list[FoundFile]]:
    """Yields the files, in parts whose contents fit into one answer; a large one alone."""
    batch: list[FoundFile] = []
    total = 0
    for entry in entries:
        version = entry.version
        if version is None or version.kind != "file" or version.blob is None:
            continue
        size = version.size or 0
        if batch and (total + size > BATCH_BYTES or len(batch) == BATCH_FILES):
            yield batch
            batch, total = [], 0
        batch.append((entry.path, version))
        total += size
    if batch:
        yield batch


def _write(session: str, plot: Plot, batch: Sequence[FoundFile]) -> Generator[Step, object, None]:
    contents: dict[str, bytes | None] = {}
    wanted = list(dict.fromkeys(version.blob for _, version in batch if version.blob is not None and (version.size or 0) <= WHOLE_BYTES))
    while wanted:
        came = (yield from _ask(ReadBlobs(session=session, blobs=wanted), Contents)).contents
        if not came:
            raise InternalError(f"none of {len(wanted)} contents came")
        contents.update(zip(wanted, came, strict=False))
        wanted = wanted[len(came) :]
    whole = [(path, version, content) for path, version in batch if (content := contents.get(version.blob or "")) is not None]
    yield partial(plot.write, whole)
    for path, version in batch:
        if contents.get(version.blob or "") is None:
            yield from _write_in_pieces(session, plot, path, version)


def _write_in_pieces(session: str, plot: Plot, path: RelPath, version: FileVersion) -> Generator[Step, object, None]:
    started: list[Growing] = []
    yield lambda: started.extend(plot.start(path, version))
    for growing in started:
        with closing(growing):
            offset, blob = 0, version.blob or ""
            while True:
                chunk = yield from _ask(ReadBlob(session=session, blob=blob, offset=offset, length=PIECE_BYTES), Chunk)
                yield partial(growing.add, chunk.data)
                offset += len(chunk.data)
                if offset >= chunk.size or not chunk.data:
                    break
            yield growing.finish

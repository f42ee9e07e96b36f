"""What is captured of a workspace, or would be of any directory, and what is not: no rule and no limit leaves out silently."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from heapq import nsmallest
from time import monotonic

from anyio import from_thread

from rewindd.errors import StoreFull, UnknownWorkspace
from rewindd.model.index import is_there
from rewindd.model.session import Capture
from rewindd.model.versions import File, Symlink
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies
from rewindd.protocol.requests import ListCapture
from rewindd.protocol.wire import Progress
from rewindd.service import places
from rewindd.service.capture import baseline
from rewindd.service.capture.observing import observe
from rewindd.service.capture.own_places import OwnPlaces
from rewindd.service.locking import locked
from rewindd.service.places import Place
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.workspaces import find_place, holding
from rewindd.tree.census import Census, census
from rewindd.tree.root import Root
from rewindd.tree.rules.book import RuleBook

#: How many files are told as the biggest.
LARGEST = 20
#: How many of the names left out are told: ten megabytes of them. `left_out_count` tells of more.
MAX_LEFT_OUT = 100_000
#: Seconds between two frames of progress.
REPORT_S = 0.1

Report = Callable[[Progress], None]


async def list_capture(state: State, request: ListCapture, report: Report) -> replies.CaptureInfo:
    """Returns what is captured of the workspace that holds a directory; with `dry_run`, what would be, and nothing is.

    Raises:
        UnknownWorkspace: no workspace holds the directory, or it is another one for the caller; with `dry_run`, it is not there.
        RefusedRoot: with `dry_run`: it cannot be a workspace that is captured.
    """
    if request.dry_run:
        return await _would_be(state, request, report)
    if request.inode is not None:
        await state.bridge.work(places.look, request.directory, request.device, request.inode)
    workspace = await holding(state, request.directory)
    if workspace is None:
        raise UnknownWorkspace(
            f"no workspace holds {request.directory!r}; `rewindctl capture --dry-run` says what would be captured of it",
            path=request.directory,
        )
    tree = await state.tree(workspace.id)
    async with locked(state, tree):
        with suppress(UnknownWorkspace, StoreFull):  # what was captured can be told all the same
            await observe(state, tree)
        return await state.bridge.work(_captured, tree)


async def _would_be(state: State, request: ListCapture, report: Report) -> replies.CaptureInfo:
    place, _ = await find_place(state, request.directory, request.device, request.inode, exact=False, capture=Capture.WORKSPACE)
    book = RuleBook(place.root, state.capture)
    async with state.counting:
        found = await state.bridge.work(_count, state, place, book, report)
    files = [(one.size, one.path) for one in found.files]
    left = {one.path: one.reason for one in found.left_out} | {one.path: one.reason for one in found.unseen}
    return _told(place.root, files, left, missing=len(files), reason=book.reason)


def _captured(tree: Tree) -> replies.CaptureInfo:
    """Reads the index, which nobody changes while the workspace's lock is held."""
    files: list[tuple[int, RelPath]] = []
    for entry in tree.index.values():
        if isinstance(entry.version, File):
            files.append((entry.version.size, entry.path))
        elif isinstance(entry.version, Symlink):
            files.append((0, entry.path))
    left = {path: reason for path, reason in (tree.left_out | tree.unseen).items() if not is_there(tree.index.get(path))}
    return _told(tree.workspace.root, files, left, missing=len(baseline.missing(tree)), reason=tree.rulebook.reason)


def _told(
    root: str, files: list[tuple[int, RelPath]], left: Mapping[RelPath, str], *, missing: int, reason: str | None
) -> replies.CaptureInfo:
    return replies.CaptureInfo(
        root=FsText(root),
        files=len(files),
        bytes=sum(size for size, _ in files),
        missing=missing,
        largest=[replies.PathSize(path=path, size=size) for size, path in nsmallest(LARGEST, files, key=lambda one: (-one[0], one[1]))],
        left_out=[replies.PathReason(path=path, reason=left[path]) for path in sorted(left)[:MAX_LEFT_OUT]],
        left_out_count=len(left),
        rules_reason=reason,
    )


def _count(state: State, place: Place, book: RuleBook, report: Report) -> Census:
    with Root.open(place.root, place.device, place.inode, place.born_ns) as root, _prepared(book):
        return census(root, OwnPlaces(book, state, place.root), state.capture, _Teller(report).visited)


@contextmanager
def _prepared(book: RuleBook) -> Iterator[None]:
    book.prepare()
    try:
        yield
    finally:
        book.finish()


class _Teller:
    """Tells how many directories were visited, from a worker thread, ten times a second."""

    def __init__(self, report: Report) -> None:
        self._report, self._visited, self._told_s = report, 0, monotonic()

    def visited(self, directory: RelPath) -> None:
        """Counts a directory."""
        self._visited += 1
        now_s = monotonic()
        if now_s - self._told_s >= REPORT_S:
            self._told_s = now_s
            from_thread.run_sync(partial(self._report, Progress(done=self._visited, total=0, what="directories")))

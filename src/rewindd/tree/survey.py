"""Looking at a directory and everything below it for the first time: what a snapshot of a directory takes."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rewindd.errors import OutsideWorkspace
from rewindd.model.capture import LeftOut
from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT, Absent, Directory
from rewindd.paths import RelPath
from rewindd.tree.listing import Name, list_directory
from rewindd.tree.look import SMALL_BYTES, Look, Refuse, Sink, Unseen, look
from rewindd.tree.root import Root
from rewindd.tree.rules.book import Rules

#: How many names one `survey` asks the rules about at once, and looks at between two questions.
SURVEY_NAMES = 20_000


def survey(
    root: Root,
    directory: RelPath,
    rules: Rules,
    sink: Sink,
    index: Mapping[RelPath, IndexEntry],
    refuse: Refuse | None = None,
    arm: Callable[[RelPath], object] | None = None,
) -> Iterator[Look | Unseen | LeftOut]:
    """Looks at a directory and everything below it that the rules leave, itself first, parents before children.

    A directory is covered by this unless an `Unseen` of the same path follows its `Look`: it could not be listed. An entry
    that is `Unseen` must be entered as UNKNOWN, as in an `Observation`.

    Args:
        root: the open workspace.
        directory: where to begin. Something else than a directory yields what it is, nothing more.
        rules: what to leave out.
        sink: takes large content.
        index: what is known already; unchanged known paths are not read.
        refuse: may say of a file that it shall not be read.
        arm: watches a directory, before it is listed.

    Raises:
        OutsideWorkspace: a parent of `directory` is a symlink.
        StoreError: the sink's.
    """
    first = look(root, directory, index.get(directory), sink, refuse=refuse)
    yield first
    level = [directory] if isinstance(first, Look) and isinstance(first.version, Directory) else []
    while level:
        deeper: list[RelPath] = []
        for names in _listings(root, level, arm):
            if isinstance(names, Unseen):
                yield names
                continue
            left = rules.leaves_out(names)
            for path, _ in names:
                if path in left:
                    yield LeftOut(path=path, reason=left[path])
                    continue
                seen = look_inside(root, path, index.get(path), sink, refuse=refuse)
                if isinstance(seen, Unseen) or not isinstance(seen.version, Absent):
                    yield seen
                if isinstance(seen, Look) and isinstance(seen.version, Directory):
                    deeper.append(path)
        level = deeper


def look_inside(
    root: Root, path: RelPath, known: IndexEntry | None, sink: Sink, keep_bytes: int = SMALL_BYTES, refuse: Refuse | None = None
) -> Look | Unseen:
    """Looks at a name that a listing gave; where a parent became a link since, nothing is there."""
    try:
        return look(root, path, known, sink, keep_bytes=keep_bytes, refuse=refuse)
    except OutsideWorkspace:
        return Look(path=path, version=ABSENT, signature=None, content=None)


def _listings(root: Root, level: Sequence[RelPath], arm: Callable[[RelPath], object] | None) -> Iterator[list[Name] | Unseen]:
    """Lists the directories of a level, joined into portions of `SURVEY_NAMES`, so that one question is about many."""
    portion: list[Name] = []
    for directory in level:
        if arm is not None:
            arm(directory)
        names = list_directory(root, directory)
        if isinstance(names, Unseen):
            yield names
        elif names is not None:
            portion += names
        if len(portion) >= SURVEY_NAMES:
            yield portion
            portion = []
    if portion:
        yield portion

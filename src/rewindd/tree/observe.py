"""Looking at many paths: what changed since the index was written, and what turned up in covered directories.

Reads the tree, compares with the index, decides nothing: whose change it is and what becomes of it is the caller's.
Unchanged paths cost one lstat each, and a covered directory is listed only when its own signature moved.
"""

import os
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from rewindd.errors import OutsideWorkspace
from rewindd.model.log import IndexEntry, Signature
from rewindd.model.versions import ABSENT, Absent, Directory, Unknown, Version
from rewindd.paths import ROOT, RelPath, is_reserved
from rewindd.tree.ignore import Rules
from rewindd.tree.look import SMALL_BYTES, Look, Sink, Unseen, is_unchanged, look, reason_of
from rewindd.tree.root import Root

#: How much content one observation keeps in memory; beyond it small files stream into the sink as large ones do.
KEEP_BYTES = 64 << 20
#: How many names one `survey` asks the rules about at once, and looks at between two questions.
SURVEY_NAMES = 20_000

#: Up to so many directories are found in the index by their prefixes, 0.1 us an entry; for more, each parent is asked once.
FEW_PATHS = 16

_IGNORE_FILE = ".gitignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A name that the index does not know, found in a covered directory.

    `since`: the position since which it was absent; None where the rules had left it out, so that it is only first seen.
    """

    path: RelPath
    version: Version
    signature: Signature | None
    content: bytes | None
    since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A name that the rules leave out."""

    path: RelPath


@dataclass(slots=True, kw_only=True)
class Observation:
    """What an observation found. Where the index says the same, nothing is here.

    Attributes:
        changed: known paths whose version or signature differs from the index; an equal version is a mere refresh.
        new: names that the index does not know, parents before what is in them.
        now_left_out: names in covered directories that the rules leave out and that were not known to be.
        unseen: what could not be looked at. One that the index does not know must be entered as UNKNOWN: what turns up there
            later was not absent before.
        listed: directories whose entries were all looked at or reported: what is new among them is covered from now on.
    """

    changed: list[Look] = field(default_factory=list)
    new: list[New] = field(default_factory=list)
    now_left_out: list[RelPath] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    listed: set[RelPath] = field(default_factory=set)


def observe(
    root: Root,
    index: Mapping[RelPath, IndexEntry],
    left_out: Set[RelPath],
    paths: Iterable[RelPath] | None,
    rules: Rules,
    sink: Sink,
) -> Observation:
    """Looks at known paths and covered directories, and returns what differs from the index. Blocks; changes nothing.

    A `.gitignore` that changed makes every covered directory below it be listed, also outside `paths`.

    Args:
        root: the open workspace.
        index: what is known, by path.
        left_out: the names that the rules had left out.
        paths: look at these and what is below them only (and, for one that is not known, at its nearest known ancestor, so
            that a name in a covered directory is found); None: at everything.
        rules: what to leave out among new names.
        sink: takes large content.

    Raises:
        StoreError: the sink's.
    """
    return _Observer(root, index, left_out, rules, sink).observe(index.values() if paths is None else _select(index, paths))


def survey(
    root: Root,
    directory: RelPath,
    rules: Rules,
    sink: Sink,
    index: Mapping[RelPath, IndexEntry] | None = None,
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

    Raises:
        OutsideWorkspace: a parent of `directory` is a symlink.
        StoreError: the sink's.
    """
    known = index if index is not None else {}
    first = look(root, directory, known.get(directory), sink)
    yield first
    level = [directory] if isinstance(first, Look) and isinstance(first.version, Directory) else []
    while level:
        deeper: list[RelPath] = []
        for names in _listings(root, level):
            if isinstance(names, Unseen):
                yield names
                continue
            for seen in _survey_names(root, names, rules, sink, known):
                yield seen
                if isinstance(seen, Look) and isinstance(seen.version, Directory):
                    deeper.append(seen.path)
        level = deeper


Names = list[tuple[RelPath, bool]]


def _survey_names(
    root: Root, names: Names, rules: Rules, sink: Sink, known: Mapping[RelPath, IndexEntry]
) -> Iterator[Look | Unseen | LeftOut]:
    left = rules.leaves_out(ROOT, names)
    for path, _ in names:
        if path in left:
            yield LeftOut(path=path)
        else:
            seen = _look_inside(root, path, known.get(path), sink)
            if isinstance(seen, Unseen) or not isinstance(seen.version, Absent):
                yield seen


def _listings(root: Root, level: Sequence[RelPath]) -> Iterator[Names | Unseen]:
    """Lists the directories of a level, joined into portions of `SURVEY_NAMES`, so that one question is about many."""
    portion: Names = []
    for directory in level:
        names = _list(root, directory)
        if isinstance(names, Unseen):
            yield names
        elif names is not None:
            portion += [(path, is_directory) for path, is_directory in names if not is_reserved(path.name)]
        if len(portion) >= SURVEY_NAMES:
            yield portion
            portion = []
    if portion:
        yield portion


def _list(root: Root, directory: RelPath, known: Container[str] = ()) -> Names | Unseen | None:
    """Returns the entries of a directory that are not known, with whether each is one itself, sorted; None where it is none any more."""
    above = "" if directory == "." else f"{directory}/"
    try:
        fd = root.listable(directory)
    except (FileNotFoundError, NotADirectoryError, OutsideWorkspace):
        return None
    except OSError as exc:
        return Unseen(path=directory, reason=reason_of(exc))
    try:
        with os.scandir(fd) as entries:
            unknown = ((above + entry.name, entry) for entry in entries if above + entry.name not in known)
            return sorted((RelPath(path), entry.is_dir(follow_symlinks=False)) for path, entry in unknown)
    except OSError as exc:
        return Unseen(path=directory, reason=reason_of(exc))
    finally:
        os.close(fd)


def _look_inside(root: Root, path: RelPath, known: IndexEntry | None, sink: Sink, keep_bytes: int = SMALL_BYTES) -> Look | Unseen:
    """Looks at a name that a listing gave; where a parent became a link since, nothing is there."""
    try:
        return look(root, path, known, sink, keep_bytes=keep_bytes)
    except OutsideWorkspace:
        return Look(path=path, version=ABSENT, signature=None, content=None)


def _select(index: Mapping[RelPath, IndexEntry], paths: Iterable[RelPath]) -> list[IndexEntry]:
    """Returns the entries at and below `paths`, and the nearest known ancestor of each that is not known."""
    wanted = set(paths)
    chosen = {entry.path: entry for path in wanted if (entry := _nearest(index, path)) is not None}
    deep = {path for path in wanted if _may_have_below(index.get(path))}
    if ROOT in deep:
        return list(index.values())
    if len(deep) > FEW_PATHS:
        inside: dict[str, bool] = {}
        chosen.update((path, entry) for path, entry in index.items() if _is_inside(path.rpartition("/")[0], deep, inside))
    elif deep:
        prefixes = tuple(f"{path}/" for path in deep)
        chosen.update((path, entry) for path, entry in index.items() if path.startswith(prefixes))
    return list(chosen.values())


def _nearest(index: Mapping[RelPath, IndexEntry], path: RelPath) -> IndexEntry | None:
    while (entry := index.get(path)) is None and path != ".":
        path = path.parent
    return entry


def _may_have_below(entry: IndexEntry | None) -> bool:
    """False for what is known not to be a directory: what is below it is known to be absent, and stays so until it is one."""
    return entry is None or isinstance(entry.version, Directory | Unknown)


def _is_inside(directory: str, wanted: Set[str], inside: dict[str, bool]) -> bool:
    """True when a directory (the root is the empty text) is one of `wanted` or below one; `inside` remembers."""
    passed = []
    while (known := inside.get(directory)) is None:
        passed.append(directory)
        if (directory or ".") in wanted or not directory:
            known = (directory or ".") in wanted
            break
        directory = directory.rpartition("/")[0]
    inside.update((each, known) for each in passed)
    return known


class _Observer:
    """One observation under way; used once."""

    def __init__(self, root: Root, index: Mapping[RelPath, IndexEntry], left_out: Set[RelPath], rules: Rules, sink: Sink) -> None:
        self._root, self._index, self._left_out, self._rules, self._sink = root, index, left_out, rules, sink
        self._found = Observation()
        self._room_bytes = KEEP_BYTES

    def observe(self, entries: Iterable[IndexEntry]) -> Observation:
        """Returns what differs, of these entries and in those of them that are covered directories."""
        relist: list[tuple[RelPath, int | None]] = []
        for seen, known in self._differing(entries):
            if self._note(seen, known) and isinstance(seen, Look) and isinstance(seen.version, Directory):
                since = known.rest_absent_since
                if since is not None:
                    relist.append((seen.path, since))
        self._list_all(relist)
        self._list_all(self._ruled_anew())
        if self._found.unseen:
            self._distrust()
        return self._found

    def _differing(self, entries: Iterable[IndexEntry]) -> Iterator[tuple[Look | Unseen, IndexEntry]]:
        """Yields a look at each entry whose signature does not prove that it is as known."""
        by_directory: dict[str, list[tuple[str, IndexEntry]]] = defaultdict(list)
        for entry in entries:
            head, _, name = entry.path.rpartition("/")
            by_directory[head].append((name, entry))
        for head, inside in by_directory.items():
            yield from self._differing_in(RelPath(head or "."), inside)

    def _differing_in(self, directory: RelPath, inside: list[tuple[str, IndexEntry]]) -> Iterator[tuple[Look | Unseen, IndexEntry]]:
        try:
            fd = self._root.directory(directory)
        except (OSError, OutsideWorkspace):  # `look` says for each what that means
            suspects = [entry for _, entry in inside if entry.version != ABSENT]
        else:
            suspects = [entry for name, entry in inside if not _is_as_known(fd, name, entry)]
        for entry in suspects:
            yield self._look(entry.path, entry), entry

    def _look(self, path: RelPath, known: IndexEntry | None) -> Look | Unseen:
        seen = _look_inside(self._root, path, known, self._sink, min(SMALL_BYTES, self._room_bytes))
        if isinstance(seen, Look) and seen.content is not None:
            self._room_bytes = max(0, self._room_bytes - len(seen.content))
        return seen

    def _note(self, seen: Look | Unseen, known: IndexEntry) -> bool:
        """Enters what is seen of a known path; returns whether there is anything."""
        if isinstance(seen, Unseen):
            self._found.unseen.append(seen)
        elif seen.version != known.version or seen.signature != known.signature:
            self._found.changed.append(seen)
        else:
            return seen.signature is not None and seen.signature.racy
        return True

    def _ruled_anew(self) -> list[tuple[RelPath, int | None]]:
        """Returns the covered directories that a changed ignore file is about and that were not listed."""
        seen_now = [seen.path for seen in self._found.changed] + [seen.path for seen in self._found.new]
        moved = {path.parent for path in seen_now if path.name == _IGNORE_FILE}
        if not moved:
            return []
        gone = {seen.path for seen in self._found.changed if not isinstance(seen.version, Directory)}
        inside: dict[str, bool] = {}
        return [
            (path, entry.covered)
            for path, entry in self._index.items()
            if entry.covered is not None
            and isinstance(entry.version, Directory)
            and path not in self._found.listed
            and path not in gone
            and _is_inside("" if path == "." else path, moved, inside)
        ]

    def _list_all(self, directories: Sequence[tuple[RelPath, int | None]]) -> None:
        """Lists directories, enters what is new in them, and goes on with the directories among that, level by level."""
        while directories:
            unknown = {path: (is_directory, since) for each, since in directories for path, is_directory in self._unknown_in(each)}
            asked = [(path, is_directory) for path, (is_directory, _) in unknown.items()]
            left = self._rules.leaves_out(ROOT, asked) if asked else set()
            self._found.now_left_out.extend(path for path in unknown if path in left and path not in self._left_out)
            first_seen = {path: None if path in self._left_out else since for path, (_, since) in unknown.items() if path not in left}
            directories = [(path, since) for path, since in first_seen.items() if self._enter(path, since)]

    def _unknown_in(self, directory: RelPath) -> Names:
        names = _list(self._root, directory, self._index)
        if isinstance(names, Unseen):
            self._found.unseen.append(names)
        if names is None or isinstance(names, Unseen):
            return []
        self._found.listed.add(directory)
        return [(path, is_directory) for path, is_directory in names if not is_reserved(path.name)]

    def _enter(self, path: RelPath, since: int | None) -> bool:
        """Enters a new name; returns whether it is a directory, to be listed."""
        seen = self._look(path, None)
        if isinstance(seen, Unseen):
            self._found.unseen.append(seen)
            return False
        if isinstance(seen.version, Absent):
            return False
        self._found.new.append(New(path=path, version=seen.version, signature=seen.signature, content=seen.content, since=since))
        return isinstance(seen.version, Directory)

    def _distrust(self) -> None:
        """Makes the signature of a directory with something unseen in it prove nothing, so that the next observation lists it again."""
        unsure = {seen.path.parent for seen in self._found.unseen} | {seen.path for seen in self._found.unseen}
        self._found.changed = [
            replace(seen, signature=replace(seen.signature, racy=True)) if seen.path in unsure and seen.signature else seen
            for seen in self._found.changed
        ]
        self._found.new = [
            replace(seen, signature=replace(seen.signature, racy=True)) if seen.path in unsure and seen.signature else seen
            for seen in self._found.new
        ]


def _is_as_known(dir_fd: int, name: str, entry: IndexEntry) -> bool:
    signature = entry.signature
    try:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return signature is None and entry.version == ABSENT
    return signature is not None and is_unchanged(signature, found)

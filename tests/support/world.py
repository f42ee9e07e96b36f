"""A workspace in memory: its disk, the edit log that a service would keep of it, and what every path should hold.

The log is kept as docs/design.md says: content rows with owners, view rows when a path is first snapshotted or the rules
change, and for each operation one position `at`, effect rows after it, and toggles that carry `at`.
"""

from dataclasses import dataclass, field

from blake3 import blake3

from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import IndexEntry, Owner, Row, Source, Toggle
from rewindd.model.versions import ABSENT, UNKNOWN, Absent, Directory, File, Unknown, Version
from rewindd.paths import ROOT, RelPath
from rewindd.plan.settle import Decision, Settled
from rewindd.timeline.history import Timeline
from support.replay import Line, Story, body_of


@dataclass(frozen=True, slots=True)
class Mark:
    """What was known and live at a position."""

    seq: int
    index: dict[RelPath, Version]
    covered: frozenset[RelPath]
    hidden: frozenset[RelPath]
    live: dict[RelPath, frozenset[int]]

    def known(self, path: RelPath) -> Version:
        """What the log said of a path."""
        if path in self.index:
            return self.index[path]
        return ABSENT if path not in self.hidden and path.parent in self.covered else UNKNOWN


@dataclass(frozen=True, slots=True)
class Done:
    """An operation that was applied; `before` is the moment just before it."""

    id: OperationId
    session: SessionId
    at: int
    paths: tuple[RelPath, ...] | None
    before: Mark
    kept: tuple[RelPath, ...]
    made: tuple[RelPath, ...]


@dataclass(slots=True)
class World:
    """The whole of it. Change the disk only through it."""

    position: int = 0
    disk: dict[RelPath, Version] = field(default_factory=dict)
    blobs: dict[bytes, str] = field(default_factory=dict)
    index: dict[RelPath, IndexEntry] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    toggles: list[Toggle] = field(default_factory=list)
    operations: dict[OperationId, int] = field(default_factory=dict)
    covered: dict[RelPath, int] = field(default_factory=dict)
    hidden: set[RelPath] = field(default_factory=set)
    stories: dict[RelPath, Story] = field(default_factory=dict)
    live: dict[RelPath, set[int]] = field(default_factory=dict)
    owners: dict[int, Owner] = field(default_factory=dict)
    knew_absent: set[RelPath] = field(default_factory=set)
    #: Directories whose version no row explains: an operation made them, or made them again.
    remade: set[RelPath] = field(default_factory=set)

    def put(self, text: str, mode: int) -> File:
        """Keeps a content and returns the file version that names it."""
        content = text.encode()
        digest = blake3(content).digest()
        self.blobs[digest] = text
        return File(digest, len(content), mode)

    def text(self, version: Version) -> str:
        """The content of a file version."""
        assert isinstance(version, File)
        return self.blobs[version.digest]

    def on_disk(self, path: RelPath) -> Version:
        """What is really there."""
        return self.disk.get(path, ABSENT)

    def live_of(self, path: RelPath) -> frozenset[int]:
        """The live rows of a path."""
        return frozenset(self.live.get(path, ()))

    def owned(self, rows: frozenset[int], session: SessionId) -> frozenset[int]:
        """Those rows that are the session's alone."""
        return frozenset(row for row in rows if self.owners[row] == (session,))

    def is_known(self, path: RelPath) -> bool:
        """True when the log holds its state."""
        return not isinstance(self.known(path), Unknown)

    def known(self, path: RelPath) -> Version:
        """What the log says of a path now."""
        entry = self.index.get(path)
        if entry is not None:
            return entry.version
        return ABSENT if path not in self.hidden and path.parent in self.covered else UNKNOWN

    def mark(self) -> Mark:
        """This moment, to be compared with later."""
        index = {path: entry.version for path, entry in self.index.items()}
        live = {path: frozenset(rows) for path, rows in self.live.items()}
        return Mark(self.position, index, frozenset(self.covered), frozenset(self.hidden), live)

    def timeline(self) -> Timeline:
        """The log, for the core."""
        return Timeline(self.rows, self.toggles, self.operations, self.index, self.position)

    def see(self, path: RelPath) -> None:
        """Snapshots a path: the first time, a view row says what is there."""
        if path == ROOT or path in self.hidden or self.is_known(path):
            return
        self.see(path.parent)
        version = self.on_disk(path)
        self._append(path, UNKNOWN, version, (), Source.FIRST_SEEN, since=self.position)
        self._retell(path, version)

    def cover(self, directory: RelPath) -> None:
        """Looks at all entries of a directory: from now on a name not found in it is absent.

        This takes a position of its own: at a checkpoint just before, nobody had looked.
        """
        self.see(directory)
        for path in sorted(self.disk):
            if path.parent == directory:
                self.see(path)
        self.position += 1
        self.covered.setdefault(directory, self.position)

    def hide(self, path: RelPath) -> None:
        """A rule leaves the path out from now on."""
        self.hidden.add(path)
        if path in self.index:
            self._append(path, self.index[path].version, UNKNOWN, (), Source.RULES_CHANGED)

    def unhide(self, path: RelPath) -> None:
        """The rule is gone: the path is seen for the first time, again."""
        self.hidden.discard(path)
        version = self.on_disk(path)
        if path.parent != ROOT and not self.is_known(path.parent):
            self.see(path.parent)
        self._append(path, UNKNOWN, version, (), Source.RULES_CHANGED, since=self.position)
        self._retell(path, version)

    def change(self, path: RelPath, version: Version, owner: Owner) -> int | None:
        """Somebody changes a path on disk; where the log knows the path, it is observed. Returns the row's position."""
        if isinstance(version, Absent):
            self.disk.pop(path, None)
        else:
            self.disk[path] = version
        before = self.known(path)
        if isinstance(before, Unknown):
            return None
        since = None if path in self.index else self.covered[path.parent]
        self._append(path, before, version, owner, Source.TOOL if owner else Source.EXTERNAL, since=since)
        self.live.setdefault(path, set()).add(self.position)
        return self.position

    def forget(self, path: RelPath, seq: int) -> None:
        """A path was brought back over a view row, and with it what nobody saw happen: its replay has nothing more to say."""
        if any(row.path == path and row.seq > seq and row.source.is_view for row in self.rows):
            self.remade.add(path)

    def apply(self, session: SessionId, settled: Settled, paths: tuple[RelPath, ...] | None) -> Done:
        """Does what was settled, as the service would: a directory that is not empty on disk stays."""
        before = self.mark()
        self.position += 1
        done = OperationId(f"op{self.position}")
        at = self.operations[done] = self.position
        going = {decision.path for decision in settled.decisions if isinstance(decision.target, Absent)}
        held = self._held(settled.decisions, going)
        made: list[RelPath] = []
        for decision in settled.decisions:
            if decision.path not in held:
                self._do(decision, done, at)
                if decision.why.startswith("needed by"):
                    made.append(decision.path)
        self.remade.update(made)
        return Done(done, session, at, paths, before, tuple(sorted(held)), tuple(made))

    def _held(self, decisions: tuple[Decision, ...], going: set[RelPath]) -> set[RelPath]:
        """Directories that the disk does not let go, and what has no directory to be put in, because the log did not know."""
        held: set[RelPath] = set()
        replaced = {d.path for d in decisions if isinstance(d.expect, Directory) and not isinstance(d.target, Directory)}
        for path in sorted(replaced, key=lambda path: path.depth, reverse=True):
            entries = {entry for entry in self.disk if entry.parent == path}
            if (entries - going) | (entries & held):
                held.add(path)
        final = self.disk | {decision.path: decision.target for decision in decisions if decision.path not in held}
        for decision in decisions:
            parent = decision.path.parent
            if parent != ROOT and decision.target != ABSENT and not isinstance(final.get(parent, ABSENT), Directory):
                held.add(decision.path)
                final[decision.path] = self.on_disk(decision.path)
        return held

    def _do(self, decision: Decision, operation: OperationId, at: int) -> None:
        path, live = decision.path, self.live.setdefault(decision.path, set())
        assert self.on_disk(path) == decision.expect == self.known(path), f"{path}: the plan expects what is not there"
        assert decision.off <= live, f"{path}: takes back what is not live"
        assert not decision.on & live, f"{path}: puts back what is live"
        of_path = {row.seq for row in self.rows if row.path == path and row.source.is_content}
        assert decision.off | decision.on <= of_path, f"{path}: switches rows that are not its content rows"
        self.toggles += [Toggle(row, at, False) for row in sorted(decision.off)] + [Toggle(row, at, True) for row in sorted(decision.on)]
        live -= decision.off
        live |= decision.on
        if decision.target == decision.expect:
            return
        if isinstance(decision.target, Absent):
            del self.disk[path]
        else:
            self.disk[path] = decision.target
        self._append(path, decision.expect, decision.target, (), Source.EFFECT, operation)

    def _append(
        self,
        path: RelPath,
        before: Version,
        after: Version,
        owner: Owner,
        source: Source,
        operation: OperationId | None = None,
        since: int | None = None,
    ) -> None:
        self.position += 1
        since = self.index[path].since if since is None else since
        seq = self.position
        row = Row(
            seq=seq, path=path, before=before, after=after, owner=owner, source=source, operation=operation, since=since, at_ns=seq * 1000
        )
        self.rows.append(row)
        self.index[path] = IndexEntry(path=path, version=after, signature=None, since=seq, covered=self.covered.get(path))
        self.owners[seq] = owner
        self.stories.setdefault(path, Story())
        if isinstance(after, Absent) or isinstance(before, Absent):
            self.knew_absent.add(path)

    def _retell(self, path: RelPath, version: Version) -> None:
        """Makes the path's story say what is there now, whoever did it: no row is to blame, so no operation changes it."""
        story, live = self.stories[path], self.live_of(path)
        told = story.version(live, self.put)
        if told == version:
            return
        body = story.body(live)
        if body is None or not isinstance(told, File) or not isinstance(version, File):
            text = self.text(version) if isinstance(version, File) else ""
            story.replace(live, None if isinstance(version, Absent) else body_of(version, text, None), None)
            return
        if told.mode != version.mode:
            body.modes.append((None, version.mode))
        texts = self.text(version).splitlines(keepends=True)
        for line in body.lines:
            if line.stands(live) and line.text not in texts:
                line.died.add(None)
        where = 0
        for text in texts:
            found = next((n for n, line in enumerate(body.lines) if line.text == text and line.stands(live)), None)
            if found is None:
                body.lines.insert(where, Line(text, None))
                found = where
            where = found + 1

"""An edit log written by hand, row by row, for tests that are about one rule of the core."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rewindd.model.ids import OperationId, SessionId
from rewindd.model.index import Index
from rewindd.model.log import NOBODY, IndexEntry, OnConflict, Owner, Row, Source, Toggle
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File, Version
from rewindd.paths import RelPath
from rewindd.plan.draft import Draft, Merged, merge
from rewindd.plan.merge import Clash
from rewindd.plan.settle import Settled, settle
from rewindd.timeline.history import Timeline
from support.diff3 import merge3

A, B = SessionId("A"), SessionId("B")
TEXTS: dict[bytes, str] = {}


def text(content: str, mode: int = 0o644) -> File:
    """A file of these lines, given without line feeds: one character a line."""
    digest = content.encode().ljust(32, b"\0")
    TEXTS[digest] = content
    return File(digest, len(content), mode)


def merge_text(base: File, ours: File, theirs: File) -> File | None:
    """Merges files that `text` made."""
    merged = merge3(*(list(TEXTS[version.digest]) for version in (base, ours, theirs)))
    return None if merged is None else text("".join(merged), 0)


@dataclass(slots=True)
class Log:
    """Rows, toggles and index, each written as it is told."""

    rows: list[Row] = field(default_factory=list)
    toggles: list[Toggle] = field(default_factory=list)
    operations: dict[OperationId, int] = field(default_factory=dict)
    index: dict[RelPath, IndexEntry] = field(default_factory=dict)
    position: int = 0

    def known(self, path: str, version: Version) -> None:
        """The path is in the index from here on, without a row: a baseline."""
        self.position += 1
        entry = IndexEntry(path=RelPath(path), version=version, signature=None, since=self.position)
        self.index[entry.path] = entry

    def view(self, path: str, version: Version, source: Source = Source.FIRST_SEEN) -> int:
        """A path becomes known or unknown."""
        return self._append(path, version, NOBODY, source)

    def edit(self, path: str, version: Version, *owners: SessionId, covered: int | None = None) -> int:
        """Somebody changes it; `covered` says since when its directory was."""
        source = Source.TOOL if owners else Source.EXTERNAL
        if covered is not None:
            entry = IndexEntry(path=RelPath(path), version=ABSENT, signature=None, since=covered)
            self.index[entry.path] = entry
        return self._append(path, version, owners, source)

    def operate(self, *writes: tuple[str, Version], off: Iterable[int] = (), on: Iterable[int] = ()) -> int:
        """An operation: one position, then its effect rows; returns the position."""
        self.position += 1
        at = self.position
        operation = OperationId(f"op{at}")
        self.operations[operation] = at
        self.toggles += [Toggle(row, at, False) for row in off] + [Toggle(row, at, True) for row in on]
        for path, version in writes:
            self._append(path, version, NOBODY, Source.EFFECT, operation)
        return at

    def timeline(self) -> Timeline:
        """The log, for the core."""
        return Timeline(self.rows, self.toggles, self.operations, self.index, self.position)

    def settle(self, drafts: list[Draft], on_conflict: OnConflict = OnConflict.MERGE) -> Settled:
        """Merges and settles, as the service does."""
        merged: dict[RelPath, Version | Clash] = {
            draft.path: merge(draft.current, draft.way, merge_text) for draft in drafts if isinstance(draft.way, Merged)
        }
        return settle(self.timeline(), drafts, merged, Index(self.index.values()), on_conflict)

    def done(self, settled: Settled) -> int:
        """The operation that carries it out."""
        off = [row for decision in settled.decisions for row in decision.off]
        on = [row for decision in settled.decisions for row in decision.on]
        writes = [(decision.path, decision.target) for decision in settled.decisions if decision.target != decision.expect]
        return self.operate(*writes, off=off, on=on)

    def _append(self, path: str, version: Version, owner: Owner, source: Source, operation: OperationId | None = None) -> int:
        self.position += 1
        seq, where = self.position, RelPath(path)
        entry = self.index.get(where)
        before, since = (entry.version, entry.since) if entry else (UNKNOWN, 0)
        row = Row(
            seq=seq,
            path=where,
            before=before,
            after=version,
            owner=owner,
            source=source,
            operation=operation,
            since=since,
            at_ns=seq,
        )
        self.rows.append(row)
        self.index[where] = IndexEntry(path=where, version=version, signature=None, since=seq)
        return seq


def targets(settled: Settled) -> dict[str, Version]:
    """What becomes of each path."""
    return {str(decision.path): decision.target for decision in settled.decisions}


DIRECTORY = Directory(0o755)

"""The edit log's rows, the index beside it, and the operations that switch rows off and on.

Positions (`seq`) number rows and operations of a workspace in one sequence, so that "before" and "after" an operation are
different positions even where it changed no file.
"""

import enum

import msgspec

from rewindd.model.ids import OperationId, SessionId
from rewindd.model.versions import Absent, File, Symlink, Version
from rewindd.paths import RelPath

#: Whose change a row is: nobody's `()`, one session's, or contested by several.
Owner = tuple[SessionId, ...]
NOBODY: Owner = ()


class Source(enum.Enum):
    """How a row came to be. Content rows are changes; view rows are what we came to know; effect rows are what an operation wrote."""

    TOOL = "tool"
    COMMAND = "command"
    EXTERNAL = "external"
    FIRST_SEEN = "first-seen"
    RULES_CHANGED = "rules-changed"
    EFFECT = "effect"

    @property
    def is_content(self) -> bool:
        """True for a change made by somebody: only these are ever taken back or put back."""
        return self in (Source.TOOL, Source.COMMAND, Source.EXTERNAL)

    @property
    def is_view(self) -> bool:
        """True for a row that says what became known or unknown; nothing changed on disk."""
        return self in (Source.FIRST_SEEN, Source.RULES_CHANGED)


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of one path; append only. Per path, `before` is the previous row's `after`.

    `since` is the position since which `before` is known to have held: the previous row's, or for a name that turned up in
    a covered directory, the position at which that directory became covered. `at_ns` is wall-clock time in nanoseconds.
    """

    seq: int
    path: RelPath
    before: Version
    after: Version
    owner: Owner
    source: Source
    operation: OperationId | None
    since: int
    at_ns: int


class Signature(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What `lstat` said when a version was read: equal again means unchanged, unless it is `racy`.

    `racy`: the times were so near the moment of reading that a later change could hide behind them (git's
    Documentation/technical/racy-git.txt). A racy signature never proves that nothing changed.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    links: int
    racy: bool


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last known version of a path, and the position `since` which it has been that.

    `covered`: for a directory whose entries were all looked at, the position since which a name not found in it is absent. It
    stays when the directory goes: there was nothing in it then either. A file that turned up has it too: since when its name was absent.
    """

    path: RelPath
    version: Version
    signature: Signature | None
    since: int
    covered: int | None = None

    @property
    def rest_absent_since(self) -> int | None:
        """The position since which a name below it that the index does not know is absent; None where that is not known."""
        if self.covered is None and isinstance(self.version, Absent | File | Symlink):
            return self.since
        return self.covered


class Toggle(msgspec.Struct, frozen=True, gc=False):
    """The operation at position `at` switched the content row `row` off (taken back) or on (put back)."""

    row: int
    at: int
    on: bool


class OperationKind(enum.Enum):
    """What was asked for; a redo is an undo of an undo."""

    REWIND = "rewind"
    RESTORE = "restore"
    UNDO = "undo"
    REDO = "redo"


class OperationStatus(enum.Enum):
    """How far it came: `applying` before the first path changes, `applied` when it is decided, `done` when it is synced.

    `rolling-back`: it was interrupted or could not be closed, and what it did is being taken back.
    """

    APPLYING = "applying"
    ROLLING_BACK = "rolling-back"
    APPLIED = "applied"
    DONE = "done"
    ROLLED_BACK = "rolled-back"


class Scope(enum.Enum):
    """Whose work a rewind is about: the session's own, or everybody's."""

    SESSION = "session"
    WORKSPACE = "workspace"


class OnConflict(enum.Enum):
    """What becomes of a path that somebody else changed since."""

    MERGE = "merge"
    FAIL = "fail"
    KEEP = "keep"
    OVERWRITE = "overwrite"


class Restore(enum.Enum):
    """The three things a checkpoint holds."""

    FILES = "files"
    CONVERSATION = "conversation"
    STATS = "stats"

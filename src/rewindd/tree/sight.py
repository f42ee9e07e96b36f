"""What an observation goes by: the tree and what is known of it, the rules, the limits, and how to watch."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rewindd.model.capture import LIMIT, CaptureSettings, Room, binary
from rewindd.model.index import Index, LeftOut
from rewindd.model.log import IndexEntry
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.tree.look import Refusal, Refuse, Sink
from rewindd.tree.root import Root
from rewindd.tree.rules.book import Rules

#: Why a content was not read: it is more than one look may read, and is read beforehand.
DEFERRED = "not read yet"


class Allowance(NamedTuple):
    """How much one look may do: contents that it reads, and bytes of them in all; names after which it lists no further new directory."""

    files: int
    bytes: int
    names: int


class Budget:
    """What one look has read of its allowance. Without one everything may be read."""

    def __init__(self, allowance: Allowance | None) -> None:
        self._allowance, self._files, self._bytes, self._names = allowance, 0, 0, 0

    def refuse(self, size: int) -> Refusal | None:
        """Says of a file of so many bytes that it is to be read beforehand."""
        allowed = self._allowance
        if allowed is None or (self._files < allowed.files and self._bytes + size <= allowed.bytes):
            return None
        return Refusal(DEFERRED, False)

    def took(self, size: int) -> None:
        """Notes that so many bytes of a file were read."""
        self._files, self._bytes = self._files + 1, self._bytes + size

    @property
    def has_listed_all(self) -> bool:
        """True where new directories are to be listed later."""
        return self._allowance is not None and self._names >= self._allowance.names

    def listed(self, names: int) -> None:
        """Notes how many names were in a directory."""
        self._names += names


class RuleSet(Rules, Protocol):
    """Rules that change while they are used; `tree.rules.book.RuleBook` is one."""

    def moved(self) -> bool:
        """True when a source of the rules that is no captured file changed since the last call."""
        ...

    def index_moved(self) -> bool:
        """True when git may track something else than at the last call: what is left out may be let in."""
        ...

    def turned(self, directories: Iterable[RelPath]) -> set[RelPath]:
        """Returns directories that are judged by something else in them than the last time; `directories`: where a name came or went."""
        ...

    def changed(self, rule_files: Iterable[RelPath]) -> None:
        """These captured files of rules are different now."""
        ...

    def let_in(self, names: Sequence[tuple[RelPath, bool]], old: Mapping[RelPath, bytes]) -> set[RelPath]:
        """Returns those of the names that the old texts of changed files of rules had left out."""
        ...


class Quota(Protocol):
    """What may still be captured of the work of those who have a quota; by path, as it is theirs who hold it."""

    def refuse(self, path: RelPath, size_bytes: int) -> str | None:
        """Returns why a file of so many bytes is not read; None: it is."""
        ...

    def took(self, path: RelPath, size_bytes: int) -> None:
        """Notes that it is captured."""
        ...


class Limits:
    """How much is captured: of one file, of the workspace, and of what the store has room for. Used by one observation."""

    def __init__(
        self,
        settings: CaptureSettings,
        index: Index,
        room: Callable[[], Room],
        is_named: Callable[[RelPath], bool],
        allowance: Allowance | None = None,
        quota: Quota | None = None,
    ) -> None:
        """Takes what tells how much may be stored yet, asked once there is something to store, and which paths a session named itself.

        `allowance`: what may be read before contents are deferred; None: all of it. `quota`: what some may add; None: nobody has one.
        """
        self._quota = quota
        self.budget = Budget(allowance)
        self._settings, self.is_named = settings, is_named
        self._files, self._bytes = index.files, index.size_bytes
        self._ask, self._taken_bytes = room, 0
        self._room: Room | None = None

    @staticmethod
    def is_limit(reason: str) -> bool:
        """True for a reason of a limit."""
        return reason.startswith(LIMIT)

    @property
    def is_spent(self) -> bool:
        """True where no content is read any more, however small."""
        return self.budget.refuse(0) is not None

    def refuse(self, path: RelPath, known: IndexEntry | None) -> Refuse:
        """Returns what says, from the size of the file at `path`, that its content is not to be read."""

        def judge(size: int) -> Refusal | None:
            was = known.version.size if known is not None and isinstance(known.version, File) else 0
            if was <= self._settings.max_file_bytes:
                reason = self._over(size, is_new=known is None or not isinstance(known.version, File))
                if reason is not None and not self.is_named(path):
                    return Refusal(reason, True)
            if self._room is None:
                self._room = self._ask()
            if size > self._room.bytes - self._taken_bytes:
                return Refusal(self._room.reason, False)
            if self._quota is not None and (reason := self._quota.refuse(path, size)) is not None:
                return Refusal(reason, False)
            return self.budget.refuse(size)

        return judge

    def took(self, path: RelPath, known: IndexEntry | None, version: File, *, is_read: bool = True) -> None:
        """Notes that a file is captured: the limits are nearer now. `is_read`: its content was read just now."""
        if is_read:
            self.budget.took(version.size)
        before = known.version if known is not None and isinstance(known.version, File) else None
        self._files += before is None
        self._bytes += version.size - (before.size if before is not None else 0)
        if before is None or before.digest != version.digest:
            self._taken_bytes += version.size
            if self._quota is not None:
                self._quota.took(path, version.size)

    def _over(self, size: int, *, is_new: bool) -> str | None:
        limits = self._settings
        if size > limits.max_file_bytes:
            return too_large(limits)
        if is_new and self._files >= limits.max_files:
            return too_many(limits)
        if is_new and self._bytes + size > limits.max_bytes:
            return too_much(limits)
        return None


def too_large(limits: CaptureSettings) -> str:
    """Returns why a file of more than `max_file_bytes` is left out."""
    return f"{LIMIT}larger than max_file_bytes, {binary(limits.max_file_bytes)}"


def too_many(limits: CaptureSettings) -> str:
    """Returns why one more file than `max_files` is left out."""
    return f"{LIMIT}the workspace has max_files already, {limits.max_files}"


def too_much(limits: CaptureSettings) -> str:
    """Returns why a file is left out with which the workspace had more than `max_bytes`."""
    return f"{LIMIT}the workspace has max_bytes already, {binary(limits.max_bytes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What an observation goes by.

    Attributes:
        root: the open workspace.
        index: what is known, by path.
        left_out: the names that rules and limits had left out.
        rules: what to leave out among new names.
        sink: takes large content.
        limits: how much is captured.
        arm: watches a directory, before it is looked into.
        is_watched: False where `arm` does nothing.
        text_before: the content of a changed rule file as the index has it; None where it had none.
        skip: paths that are not to be looked at.
        counted: paths that are known to be there and were never looked at: they are first seen.
        ahead: what was read beforehand, as the index would have it: where the signature is still so, it is not read again.
        leave: says why a path that changed is left as it was last known; None: it is not left.
    """

    root: Root
    index: Index
    left_out: LeftOut
    rules: RuleSet
    sink: Sink
    limits: Limits
    arm: Callable[[RelPath], object]
    text_before: Callable[[RelPath], bytes | None]
    skip: Set[RelPath] = field(default_factory=frozenset)
    counted: Container[RelPath] = ()
    ahead: Mapping[RelPath, IndexEntry] = field(default_factory=dict)
    leave: Callable[[RelPath], str | None] | None = None
    is_watched: bool = True

"""What a power cut may leave of what a process did: a disk in the head, fed with a record of calls, that loses what nobody synced.

The rules (fsync(2); ext4, xfs and btrfs keep more than that): what was written to a file is there once that file was synced;
before, any of its pages may be, each old, new or, beyond the old end, zeros. A name, its end, or a rename, which is one change
however many names it touches, is there once a directory concerned was synced; before, it may be there or not, in any order, but
for what no file system does: a directory has no entries without being where it was when it got them, and does not move or go
before what was done in it; and a change that is sure does not lack an earlier one of the same name. The mode of a file that was
never synced is as last set.
"""

import os
import random
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.recorder import Call

PAGE = 4096
EXCHANGE = 2
#: What is left of what was not synced: nothing, the changes of names up to a moment and of contents any, or any of all.
LOST, ORDERED, ANY = "lost", "ordered", "any"
LOSSES = (LOST, ORDERED, ANY)


@dataclass(eq=False, slots=True)
class Node:
    """A file, directory or link. `number`: its inode on the disk where the record was made; 0 where that is not known.

    `content` is what the process sees, `synced` what is sure; `writes` lie between. A link's target is its content.
    """

    kind: int
    mode: int
    number: int = 0
    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    writes: "list[tuple[int, bytes | None]]" = field(default_factory=list)
    entries: "dict[str, Node]" = field(default_factory=dict)
    is_new: bool = False

    def copy_entries(self) -> "dict[str, Node]":
        return dict(self.entries)


@dataclass(eq=False, slots=True)
class Change:
    """One change of names, all or nothing: each name in its directory, and what it stands for afterwards. Or of a mode.

    `moved`: the directories that get a name by it, or lose one.
    """

    names: "list[tuple[Node, str, Node | None]]"
    mode: "tuple[Node, int] | None" = None
    moved: "list[Node]" = field(default_factory=list)

    def touches(self, other: "Change") -> bool:
        mine = {(id(directory), name) for directory, name, _ in self.names}
        return any((id(directory), name) in mine for directory, name, _ in other.names)

    def rests_on(self, earlier: "Change") -> bool:
        """True where no file system has this without the earlier one: of a directory's entries, and of where it is."""
        return any(earlier.concerns(directory) for directory in self.moved) or any(self.concerns(directory) for directory in earlier.moved)

    def concerns(self, node: Node) -> bool:
        return any(directory is node for directory, _, _ in self.names) or (self.mode is not None and self.mode[0] is node)


class Disk:
    """The files below `top` as a process sees them, and what of that is sure."""

    def __init__(self, top: Path) -> None:
        self._top = str(top)
        self.root = _seen(top)
        #: What each directory surely has; one that is not in it is new.
        self._sure: dict[int, tuple[Node, dict[str, Node]]] = {}
        self._modes: dict[int, int] = {}
        self._pending: list[Change] = []
        #: Every node there ever was: what is known of one goes by its identity.
        self._nodes = list(_below(self.root))
        self._make_sure(self.root)

    def apply(self, call: Call) -> None:
        """Does what the process did."""
        handler = getattr(self, f"_{call.operation}", None)
        if handler is not None and not call.path.endswith(" (deleted)"):
            handler(call)

    def sync_all(self) -> None:
        """Makes everything sure, as sync(2)."""
        self._settle(list(self._pending))
        for node in list(_below(self.root)):
            _sync_content(node)

    def crash(self, chance: random.Random, loss: str) -> "Found":
        """Returns what the power cut leaves."""
        entries = {key: (node, dict(names)) for key, (node, names) in self._sure.items()}
        modes = dict(self._modes)
        for change in self._surviving(chance, loss):
            _do(change, entries, modes)
        return _tree(self.root, entries, modes, chance, loss)

    # ---- the calls

    def _create(self, call: Call) -> None:
        directory, name = self._place(call.path)
        node = Node(stat.S_IFREG, call.a, call.b, is_new=True)
        self._name([(directory, name, node)])

    def _mkdir(self, call: Call) -> None:
        directory, name = self._place(call.path)
        self._name([(directory, name, Node(stat.S_IFDIR, call.a, is_new=True))])

    def _symlink(self, call: Call) -> None:
        directory, name = self._place(call.path)
        node = Node(stat.S_IFLNK, 0o777, call.b, bytearray(os.fsencode(call.other)), os.fsencode(call.other), is_new=True)
        self._name([(directory, name, node)])

    def _link(self, call: Call) -> None:
        directory, name = self._place(call.other)
        self._name([(directory, name, self._node(call.path))])

    def _write(self, call: Call) -> None:
        node = self._node(call.path)
        node.writes.append((call.a, call.data))
        _write(node.content, call.a, call.data)

    def _truncate(self, call: Call) -> None:
        node = self._node(call.path)
        node.writes.append((call.a, None))
        _truncate(node.content, call.a)

    def _chmod(self, call: Call) -> None:
        node = self._node(call.path)
        node.mode = call.a
        if not node.is_new:
            self._pending.append(Change([], (node, call.a)))

    def _rename(self, call: Call) -> None:
        (one, name), (other, target) = self._place(call.path), self._place(call.other)
        node, replaced = one.entries[name], other.entries.get(target)
        self._name([(one, name, replaced if call.a == EXCHANGE else None), (other, target, node)])

    def _unlink(self, call: Call) -> None:
        directory, name = self._place(call.path)
        self._name([(directory, name, None)])

    def _rmdir(self, call: Call) -> None:
        self._unlink(call)

    def _sync(self, call: Call) -> None:
        node = self._node(call.path)
        _sync_content(node)
        self._settle([change for change in self._pending if change.concerns(node)])

    def _syncfs(self, call: Call) -> None:
        self.sync_all()

    # ---- how they are kept

    def _name(self, names: "list[tuple[Node, str, Node | None]]") -> None:
        concerned = [(node, directory.entries.get(name)) for directory, name, node in names]
        moved = [node for pair in concerned for node in pair if node is not None and node.kind == stat.S_IFDIR]
        change = Change(names, moved=moved)
        _do(change, None, None)
        self._nodes += [node for _, _, node in names if node is not None]
        self._pending.append(change)

    def _settle(self, chosen: list[Change]) -> None:
        """Makes changes sure, and those that they rest on."""
        for change in self._with_earlier(chosen, same_names=True):
            _do(change, self._sure_entries, self._modes)
            self._pending.remove(change)

    @property
    def _sure_entries(self) -> "dict[int, tuple[Node, dict[str, Node]]]":
        return self._sure

    def _with_earlier(self, chosen: Iterable[Change], *, same_names: bool) -> list[Change]:
        """The chosen changes, in order, with those that they rest on, and earlier ones of the same names where they are to be sure."""
        wanted = {id(change) for change in chosen}
        for number in range(len(self._pending) - 1, -1, -1):
            later = self._pending[number]
            if id(later) not in wanted:
                continue
            for earlier in self._pending[:number]:
                if later.rests_on(earlier) or (same_names and earlier.touches(later)):
                    wanted.add(id(earlier))
        return [change for change in self._pending if id(change) in wanted]

    def _surviving(self, chance: random.Random, loss: str) -> list[Change]:
        if loss == LOST:
            return []
        if loss == ORDERED:
            return self._pending[: chance.randint(0, len(self._pending))]
        share = chance.choice((0.2, 0.5, 0.8))
        return self._with_earlier([change for change in self._pending if chance.random() < share], same_names=False)

    def _make_sure(self, node: Node) -> None:
        for one in _below(node):
            self._modes[id(one)] = one.mode
            if one.kind == stat.S_IFDIR:
                self._sure[id(one)] = (one, one.copy_entries())

    def _place(self, path: str) -> tuple[Node, str]:
        head, _, name = os.path.normpath(path).rpartition("/")
        return self._node(head), name

    def _node(self, path: str) -> Node:
        node = self.root
        for name in os.path.relpath(path, self._top).split("/"):
            if name != ".":
                node = node.entries[name]
        return node


@dataclass(slots=True)
class Found:
    """A directory tree as it was left: each path below the top with its kind, mode, content (or target) and inode's number."""

    paths: "dict[str, tuple[int, int, bytes, int]]" = field(default_factory=dict)


def _seen(place: Path) -> Node:
    """What is there, all of it sure."""
    about = place.lstat()
    node = Node(stat.S_IFMT(about.st_mode), stat.S_IMODE(about.st_mode), about.st_ino)
    if stat.S_ISDIR(about.st_mode):
        node.entries = {child.name: _seen(child) for child in place.iterdir()}
    elif stat.S_ISLNK(about.st_mode):
        node.synced = os.fsencode(place.readlink())
    elif stat.S_ISREG(about.st_mode):
        node.synced = place.read_bytes()
    node.content = bytearray(node.synced)
    return node


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.entries.values():
        yield from _below(child)


def _do(change: Change, entries: "dict[int, tuple[Node, dict[str, Node]]] | None", modes: dict[int, int] | None) -> None:
    """Does a change: to what the process sees (None), or to what is sure."""
    for directory, name, node in change.names:
        names = directory.entries if entries is None else entries.setdefault(id(directory), (directory, {}))[1]
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node
    if change.mode is not None and modes is not None:
        modes[id(change.mode[0])] = change.mode[1]


def _sync_content(node: Node) -> None:
    node.synced, node.is_new = bytes(node.content), False
    node.writes.clear()


def _write(content: bytearray, at: int, data: bytes) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _truncate(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _left_content(node: Node, chance: random.Random, loss: str) -> bytes:
    """What is left of a file: for each write each page, or not; or its beginning, which file systems that allocate late leave."""
    if not node.writes:
        return bytes(node.content)
    if loss == LOST:
        return node.synced
    if not node.synced and chance.random() < 0.4:
        return bytes(node.content[: chance.randrange(len(node.content) // PAGE + 1) * PAGE])
    left, share = bytearray(node.synced), chance.choice((0.0, 0.3, 0.7, 1.0))
    for at, data in node.writes:
        if data is None:
            if chance.random() < share:
                _truncate(left, at)
            continue
        for start, part in _pages(at, data):
            if chance.random() < share:
                _write(left, start, part)
    return bytes(left)


def _pages(at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        end = min(len(data), start + PAGE - (at + start) % PAGE)
        yield at + start, data[start:end]
        start = end


def _tree(root: Node, entries: "dict[int, tuple[Node, dict[str, Node]]]", modes: dict[int, int], chance: random.Random, loss: str) -> Found:
    found, contents = Found(), dict[int, bytes]()

    def walk(node: Node, path: str, seen: frozenset[int]) -> None:
        for name, child in sorted(entries.get(id(node), (node, {}))[1].items()):
            below = f"{path}/{name}" if path else name
            if id(child) in seen:
                continue
            if child.kind != stat.S_IFDIR and id(child) not in contents:
                contents[id(child)] = _left_content(child, chance, loss)
            mode = child.mode if child.is_new else modes.get(id(child), child.mode)
            found.paths[below] = (child.kind, mode, contents.get(id(child), b""), child.number)
            if child.kind == stat.S_IFDIR:
                walk(child, below, seen | {id(child)})

    walk(root, "", frozenset())
    return found

"""Random changes by two sessions and a person, each told to the world's log and to its stories."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from rewindd.model.ids import SessionId
from rewindd.model.log import NOBODY, Owner
from rewindd.model.versions import ABSENT, Directory, File, Kind, Symlink, Version
from rewindd.paths import ROOT, LinkTarget, RelPath
from support.replay import Body, body_of, insert, remove
from support.world import World

A, B = SessionId("A"), SessionId("B")
FILES = [RelPath(path) for path in ("a", "b", "c/x", "c/y", "d/p", "d/q", "d/e/r", "d/e/s", "u")]
DIRECTORIES = [RelPath(path) for path in ("c", "d", "d/e")]
#: What the lines of source code repeat most.
COMMON = ["}\n", "\n", "\n", "}\n", "    return\n"]


@dataclass(slots=True)
class Acts:
    """Makes changes. `repeats` is the share of new lines that repeat others; with 0 every line is unique."""

    world: World
    random: random.Random
    repeats: float = 0.0
    longest: int = 14
    told: int = 0

    def fill(self) -> None:
        """Makes the tree that is there before anybody looks; some of it is known from the start, in one directory all of it."""
        for path in DIRECTORIES:
            self.world.disk[path] = Directory(0o755)
        for path in FILES:
            if self.random.random() < 0.75:
                self.world.disk[path] = self.world.put("".join(self.lines(self.random.randint(3, self.longest))), 0o644)
        if self.random.random() < 0.7:
            self.world.cover(RelPath("c"))
        for path in FILES:
            if self.random.random() < 0.4:
                self.world.see(path)

    def lines(self, count: int) -> list[str]:
        """New lines."""
        return [self._line() for _ in range(count)]

    def anything(self, owner: Owner, *, tree: bool = True) -> None:
        """One change by `owner`: mostly of text. A session snapshots a path before it changes it; a person does not."""
        path = self.random.choice(FILES)
        if (owner or self.random.random() < 0.3) and self.random.random() < 0.95:
            self.world.see(path)
        if not tree or self.random.random() < 0.78:
            self.edit(path, owner)
        else:
            acts: list[Callable[[], None]] = [
                lambda: self.chmod(path, owner),
                lambda: self.chmod(self.random.choice(DIRECTORIES), owner),
                lambda: self.delete(path, owner),
                lambda: self.delete(path, owner),
                lambda: self.link(path, owner),
                lambda: self.to_directory(path, owner),
                lambda: self.to_file(self.random.choice(DIRECTORIES), owner),
                lambda: self.delete_tree(self.random.choice(DIRECTORIES), owner),
            ]
            self.random.choice(acts)()

    def rules(self) -> None:
        """Coverage grows, or a rule comes or goes."""
        if self.random.random() < 0.3:
            directory = self.random.choice(DIRECTORIES)
            if isinstance(self.world.on_disk(directory), Directory):
                self.world.cover(directory)
            return
        path = self.random.choice(FILES)
        if path in self.world.hidden:
            self.world.unhide(path)
        elif not isinstance(self.world.on_disk(path), Directory):
            self.world.hide(path)

    def edit(self, path: RelPath, owner: Owner) -> None:
        """Inserts, deletes or replaces some lines; makes the file where there is none."""
        version = self.world.on_disk(path)
        if isinstance(version, Directory):
            return
        if not isinstance(version, File):
            self.replace(path, self.world.put("".join(self.lines(self.random.randint(2, self.longest))), 0o644), owner)
            return
        if not self.world.is_known(path):
            text = self.world.text(version).splitlines(keepends=True)
            at = self.random.randint(0, len(text))
            text[at : at + self.random.randint(0, 2)] = self.lines(self.random.randint(0, 2))
            self.world.change(path, self.world.put("".join(text), version.mode), owner)
            return
        body, live = self._body(path)
        by = self.world.position + 1
        before = body.text(live)
        for _ in range(self.random.choice((1, 1, 1, 2))):
            height = len(body.visible(live | {by}))
            at = self.random.randint(0, height)
            cut, new = self.random.choice(((0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (1, 1), (2, 1), (1, 2)))
            if height > 2 * self.longest:
                cut, new = cut + 3, new - 1
            insert(body, live | {by}, at, self.lines(max(new, 0)), by)
            seen = len(body.visible(live | {by})) - height
            remove(body, live | {by}, at + seen, at + seen + cut, by)
        if body.text(live | {by}) != before:
            self._tell(path, owner, by)

    def chmod(self, path: RelPath, owner: Owner) -> None:
        """Gives a file or directory a mode that it never had."""
        version, (body, _) = self.world.on_disk(path), self._body(path)
        if not isinstance(version, File | Directory):
            return
        self.told += 1
        mode = 0o600 + self.told % 0o170
        if not self.world.is_known(path):
            changed = File(version.digest, version.size, mode) if isinstance(version, File) else Directory(mode)
            self.world.change(path, changed, owner)
        elif mode not in {used for _, used in body.modes} and path not in self.world.remade:
            by = self.world.position + 1
            body.modes.append((by, mode))
            self._tell(path, owner, by)

    def delete(self, path: RelPath, owner: Owner) -> None:
        """Removes what is there, unless it is a directory with something in it."""
        if self.world.on_disk(path) != ABSENT and not any(entry.parent == path for entry in self.world.disk):
            self.replace(path, ABSENT, owner)

    def delete_tree(self, top: RelPath, owner: Owner) -> None:
        """Removes a path and all below it."""
        for path in sorted(self.world.disk, key=lambda path: path.depth, reverse=True):
            if path.below(top):
                self.replace(path, ABSENT, owner)

    def link(self, path: RelPath, owner: Owner) -> None:
        """Puts a new symlink where a file or nothing is."""
        if not isinstance(self.world.on_disk(path), Directory):
            self.told += 1
            self.replace(path, Symlink(LinkTarget(f"to{self.told}")), owner)

    def to_directory(self, path: RelPath, owner: Owner) -> None:
        """Makes a directory with a file in it where a file was."""
        if not isinstance(self.world.on_disk(path), Directory):
            self.delete(path, owner)
            self.replace(path, Directory(0o700), owner)
            if owner:
                self.world.see(path.child("in"))
            self.replace(path.child("in"), self.world.put("".join(self.lines(3)), 0o644), owner)

    def to_file(self, path: RelPath, owner: Owner) -> None:
        """Puts a file where a directory was."""
        if isinstance(self.world.on_disk(path), Directory):
            self.delete_tree(path, owner)
            self.replace(path, self.world.put("".join(self.lines(4)), 0o644), owner)

    def replace(self, path: RelPath, version: Version, owner: Owner) -> None:
        """Puts another version there, whatever was; makes the directories it needs."""
        if version != ABSENT and not self._make_room(path, owner):
            return
        if version == self.world.on_disk(path):
            return
        live = self.world.live_of(path)
        by = self.world.change(path, version, owner)
        if by is not None:
            text = self.world.text(version) if isinstance(version, File) else ""
            body = None if version == ABSENT else body_of(version, text, by)
            self.world.stories[path].replace(live, body, by)

    def _make_room(self, path: RelPath, owner: Owner) -> bool:
        if path.parent == ROOT:
            return True
        parent = self.world.on_disk(path.parent)
        if isinstance(parent, Directory):
            return True
        if parent != ABSENT or not self._make_room(path.parent, owner):
            return False
        if owner:
            self.world.see(path.parent)
        self.replace(path.parent, Directory(0o755), owner)
        return True

    def _body(self, path: RelPath) -> tuple[Body, frozenset[int]]:
        live = self.world.live_of(path)
        story = self.world.stories.get(path)
        return (story.body(live) if story else None) or Body(Kind.FILE, None), live

    def _tell(self, path: RelPath, owner: Owner, by: int) -> None:
        version = self.world.stories[path].version(self.world.live_of(path) | {by}, self.world.put)
        assert self.world.change(path, version, owner) == by

    def _line(self) -> str:
        if self.random.random() < self.repeats:
            return self.random.choice(COMMON)
        self.told += 1
        return f"line {self.told}\n"


def some_owner(chance: random.Random, contested: int = 1) -> Owner:
    """A, B or nobody; now and then, `contested` times in a hundred, it is both's."""
    return chance.choices([(A,), (B,), NOBODY, (A, B)], [40, 40, 20 - contested, contested])[0]

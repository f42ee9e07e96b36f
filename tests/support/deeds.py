"""What agents and a person do to the files of one tree, at random: on disk, and told to the witness.

Every line names its author and is unlike any other, so that what became of it can be told. A file has a zone for each author,
with lines between that are nobody's: mostly, everybody works in their own.
"""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from rewindd.model.versions import Kind
from support.replay import Body, Line, insert, remove
from support.witness import Authors, Witness

#: Zones of a file, one for each of five agents and the person, and the lines of each at first.
ZONES, LINES = 6, 9
#: Lines at both ends of a zone that mostly stay as they are: hunks of two authors do not come near each other.
BORDER = 3
#: How often somebody writes anywhere in a file, in other people's zones too.
ANYWHERE = 0.15
FILES = ("notes.txt", "src/main.py", "src/util.py", "src/deep/core.py", "doc/guide.md", "doc/index.md")
#: Not there at first, some of them in directories that are not.
LATER = ("todo.txt", "src/new.py", "lib/a.py", "lib/b.py", "lib/in/c.py", "doc/extra/d.md")
LINKS = ("latest", "src/alias")
DIRECTORIES = ("empty", "lib", "lib/in", "doc/extra", "src/deep")


@dataclass(frozen=True, slots=True)
class Plan:
    """One deed: the paths that it changes, and what to do."""

    what: str
    paths: tuple[str, ...]
    do: Callable[[Authors], None]


@dataclass(slots=True)
class Deeds:
    """Makes changes in the tree at `root`. `aside`: a directory on the same file system, for what is moved in."""

    root: Path
    aside: Path
    witness: Witness
    chance: random.Random
    _lines: "count[int]" = field(default_factory=lambda: count(1))
    _modes: "count[int]" = field(default_factory=lambda: count(0))

    def fill(self) -> None:
        """Makes the tree that is there before anybody comes."""
        for path in FILES:
            place = self.root / path
            self._directories(path, None)
            lines = [self._line("first", zone) for zone in range(ZONES) for _ in range(LINES)]
            place.write_text("".join(lines))
            place.chmod(0o644)
            body = Body(Kind.FILE, None, lines=[Line(text, None) for text in lines], modes=[(None, 0o644)])
            self.witness.story(path).bodies.append(body)

    # ---- what there is to do

    def edit(self, zone: int) -> Plan | None:
        """Some lines of a file, in an author's zone or anywhere."""
        found = [path for path in (*FILES, *LATER) if self._kind(path) is Kind.FILE]
        if not found:
            return None
        path = self.chance.choice(found)
        return Plan(f"edit {path}", (path,), lambda authors: self._edit(path, authors, zone))

    def structure(self, zone: int) -> Plan | None:
        """Something else than lines: a path comes, goes, moves, or becomes another thing."""
        makers = (self.create, self.create, self.delete, self.rename, self.chmod, self.chmod, self.link, self.make_directory)
        return self.chance.choice((*makers, self.remove_directory, self.remove_tree))(zone)

    def create(self, zone: int) -> Plan | None:
        """A file that is not there, and the directories above it."""
        found = [path for path in (*FILES, *LATER) if self._kind(path) is None and self._can_be_made(path)]
        if not found:
            return None
        path = self.chance.choice(found)
        return Plan(f"create {path}", (path,), lambda authors: self._create(path, authors, zone))

    def delete(self, zone: int) -> Plan | None:
        """A file or link goes."""
        found = [path for path in (*FILES, *LATER, *LINKS) if self._kind(path) in (Kind.FILE, Kind.SYMLINK)]
        if len(found) < 5:
            return None
        path = self.chance.choice(found)
        return Plan(f"delete {path}", (path,), lambda authors: self._delete(path, authors))

    def rename(self, zone: int) -> Plan | None:
        """A file goes to where nothing is."""
        old = [path for path in (*FILES, *LATER) if self._kind(path) is Kind.FILE]
        new = [path for path in (*FILES, *LATER) if self._kind(path) is None and self._can_be_made(path)]
        if not old or not new:
            return None
        path, to = self.chance.choice(old), self.chance.choice(new)
        if self._had(to, path):
            return None
        return Plan(f"rename {path} to {to}", (path, to), lambda authors: self._rename(path, to, authors))

    def chmod(self, zone: int) -> Plan | None:
        """A file or directory gets a mode that none ever had."""
        found = [path for path in (*FILES, *LATER, *DIRECTORIES) if self._kind(path) in (Kind.FILE, Kind.DIRECTORY)]
        path, number = self.chance.choice(found), next(self._modes)
        if number >= 0o77 or path in self.witness.loose:
            return None
        return Plan(f"chmod {path}", (path,), lambda authors: self._chmod(path, number, authors))

    def link(self, zone: int) -> Plan | None:
        """A symlink, new or pointing elsewhere; now and then in place of a file."""
        names = (*LINKS, *LATER[:1]) if self.chance.random() < 0.2 else LINKS
        path = self.chance.choice(names)
        if not self._can_be_made(path) or self._kind(path) is Kind.DIRECTORY:
            return None
        target = f"to-{next(self._lines)}"
        return Plan(f"link {path} to {target}", (path,), lambda authors: self._link(path, target, authors))

    def make_directory(self, zone: int) -> Plan | None:
        """An empty directory."""
        found = [path for path in DIRECTORIES if self._kind(path) is None and self._can_be_made(path)]
        if not found:
            return None
        path = self.chance.choice(found)
        return Plan(f"mkdir {path}", (path,), lambda authors: self._directories(f"{path}/x", authors))

    def remove_directory(self, zone: int) -> Plan | None:
        """An empty directory goes."""
        found = [path for path in DIRECTORIES if self._kind(path) is Kind.DIRECTORY and not any((self.root / path).iterdir())]
        if not found:
            return None
        path = self.chance.choice(found)
        return Plan(f"rmdir {path}", (path,), lambda authors: self._delete(path, authors))

    def remove_tree(self, zone: int) -> Plan | None:
        """A directory goes with all that is in it."""
        found = [path for path in DIRECTORIES if self._kind(path) is Kind.DIRECTORY and path != "src/deep"]
        if not found or self.chance.random() < 0.5:
            return None
        top = self.chance.choice(found)
        return Plan(f"rm -r {top}", (top,), lambda authors: self._remove_tree(top, authors))

    # ---- doing it

    def _edit(self, path: str, authors: Authors, zone: int) -> None:
        body, live, by = self._body(path), self.witness.live_of(path), self.witness.next
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            now = live | {by}
            standing = body.visible(now)
            low, high = self._room(body, standing, zone)
            at = self.chance.randint(low, max(low, high))
            cut = min(self.chance.choice((0, 0, 1, 1, 2)), max(0, high - at))
            new = self.chance.choice((1, 1, 2, 3)) if len(standing) < 3 * ZONES * LINES else 0
            insert(body, now, at, [self._line("+".join(authors) or "person", zone) for _ in range(new)], by)
            remove(body, now, at + new, at + new + cut, by)
        if body.text(live | {by}) != body.text(live):
            self._write(path, "".join(body.text(live | {by})))
            self.witness.tell(path, authors)

    def _room(self, body: Body, standing: list[int], zone: int) -> tuple[int, int]:
        """The first and the last place where an author may put lines."""
        mine = [at for at, n in enumerate(standing) if body.lines[n].text.split("|")[1] == str(zone)]
        if len(mine) <= 2 * BORDER or self.chance.random() < ANYWHERE:
            return 0, len(standing)
        return mine[BORDER], mine[-BORDER]

    def _create(self, path: str, authors: Authors, zone: int) -> None:
        self._directories(path, authors)
        by = self.witness.next
        lines = [self._line("+".join(authors) or "person", each) for each in range(ZONES) for _ in range(LINES - 2)]
        self._write(path, "".join(lines), 0o644)
        body = Body(Kind.FILE, by, lines=[Line(text, by) for text in lines], modes=[(None, 0o644)])
        self._replace(path, body, authors)

    def _delete(self, path: str, authors: Authors) -> None:
        place = self.root / path
        if self._kind(path) is Kind.DIRECTORY:
            place.rmdir()
        else:
            place.unlink()
        self._replace(path, None, authors)

    def _rename(self, path: str, to: str, authors: Authors) -> None:
        self._directories(to, authors)
        body, live = self._body(path), self.witness.live_of(path)
        lines, mode = body.text(live), body.mode(live)
        (self.root / path).rename(self.root / to)
        self._replace(path, None, authors)
        by = self.witness.next
        self._replace(to, Body(Kind.FILE, by, lines=[Line(text, by) for text in lines], modes=[(None, mode)]), authors)

    def _chmod(self, path: str, number: int, authors: Authors) -> None:
        body = self._body(path)
        mode = (0o700 if body.kind is Kind.DIRECTORY else 0o600) + number + 1
        (self.root / path).chmod(mode)
        body.modes.append((self.witness.next, mode))
        self.witness.tell(path, authors)

    def _link(self, path: str, target: str, authors: Authors) -> None:
        self._directories(path, authors)
        (self.root / path).unlink(missing_ok=True)
        (self.root / path).symlink_to(target)
        self._replace(path, Body(Kind.SYMLINK, self.witness.next, target=target), authors)

    def _remove_tree(self, top: str, authors: Authors) -> None:
        found = sorted((str(place.relative_to(self.root)) for place in (self.root / top).rglob("*")), reverse=True)
        shutil.rmtree(self.root / top)
        for path in (*found, top):
            self._replace(path, None, authors)

    def _directories(self, path: str, authors: Authors | None) -> None:
        """Makes the directories above a path; `authors` None: they were always there."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if self._kind(above) is Kind.DIRECTORY:
                continue
            (self.root / above).mkdir()
            (self.root / above).chmod(0o755)
            if authors is None:
                self.witness.story(above).bodies.append(Body(Kind.DIRECTORY, None, modes=[(None, 0o755)]))
            else:
                self._replace(above, Body(Kind.DIRECTORY, self.witness.next, modes=[(None, 0o755)]), authors)

    def _replace(self, path: str, body: Body | None, authors: Authors) -> None:
        story, live, by = self.witness.story(path), self.witness.live_of(path), self.witness.next
        # What an operation made again without an act is what was there last.
        standing = [old for old in story.bodies if old.stands(live)] or story.bodies[-1:]
        for old in standing if body is None else [old for old in standing if old.stands(live)]:
            old.died.add(by)
        if body is not None:
            story.bodies.append(body)
        self.witness.tell(path, authors)

    def _write(self, path: str, text: str, mode: int | None = None) -> None:
        """Writes a file in place, or as editors do: a new one is moved over it."""
        place = self.root / path
        if self.chance.random() < 0.3:
            new = self.aside / "new"
            new.write_text(text)
            new.chmod(mode if mode is not None else place.stat().st_mode & 0o7777)
            os.replace(new, place)
            return
        place.write_text(text)
        if mode is not None:
            place.chmod(mode)

    # ---- what is there

    def _had(self, path: str, other: str) -> bool:
        """True when a path once had a line that another has now: back again, whose it was cannot be told by looking."""
        lines = {line.text for line in self._body(other).lines}
        return any(line.text in lines for body in self.witness.story(path).bodies for line in body.lines)

    def _line(self, who: str, zone: int) -> str:
        return f"{who}|{zone}|{next(self._lines)}\n"

    def _body(self, path: str) -> Body:
        body = self.witness.body(path)
        assert body is not None, f"{path}: nothing is told of it"
        return body

    def _kind(self, path: str) -> Kind | None:
        place = self.root / path
        if place.is_symlink():
            return Kind.SYMLINK
        if not place.exists():
            return None
        return Kind.DIRECTORY if place.is_dir() else Kind.FILE

    def _can_be_made(self, path: str) -> bool:
        """True where everything above it is a directory, or absent."""
        parts = path.split("/")
        return all(self._kind("/".join(parts[:depth])) in (None, Kind.DIRECTORY) for depth in range(1, len(parts)))

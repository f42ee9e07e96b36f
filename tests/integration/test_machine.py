"""A random user against the real daemon, and a dictionary that says what the tree must be after each step.

Two machines. In the first one session does everything, so every rewind, undo and redo has one right answer for the whole
tree. In the second a person edits too: what the session takes back is its own part, and the person's part stays as it is.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from support.daemon import RealDaemon
from support.desk import Photograph, photograph
from support.sitting import Done, Sitting, back

_NUMBERS = count(1)
QUICK = settings(max_examples=9, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))


NAMES = ("a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "odd\nname", os.fsdecode(b"\xff"))
paths = st.sampled_from(NAMES)
contents = st.sampled_from([b"", b"one\n", b"two\n", b"one\ntwo\n", b"\0\1\2", b"no line feed", b"\xff\0" * 3])
modes = st.sampled_from([0o600, 0o644, 0o755, 0o700])
picks = st.integers(min_value=0, max_value=1000)


class Alone(Sitting):
    """One session makes, changes and removes paths of all kinds; nobody else is there."""

    def edit(self, path: str, change: Callable[[Path], object], *, in_bracket: bool = False) -> None:
        """Snapshots a path, or brackets the change, as an agent does; where the way leads over a link, the link."""
        named = reachable(self.root, path)
        if in_bracket:
            with self.session.editing(named):
                change(self.root / path)
        else:
            self.session.snapshot(named)
            change(self.root / path)
        self.changed()

    @rule(path=paths, content=contents, in_bracket=st.booleans())
    def write(self, path: str, content: bytes, in_bracket: bool) -> None:
        """A file is written, with the directories above it, whatever was there."""

        def change(place: Path) -> None:
            clear_way(self.root, path)
            if place.exists() and place.stat().st_nlink > 1:
                place.unlink()
            place.write_bytes(content)

        self.edit(path, change, in_bracket=in_bracket)

    @rule(path=paths, in_bracket=st.booleans())
    def delete(self, path: str, in_bracket: bool) -> None:
        """A file, a link or a whole tree goes."""
        if os.path.lexists(self.root / path):
            self.edit(path, remove, in_bracket=in_bracket)

    @rule(path=paths, mode=modes)
    def chmod(self, path: str, mode: int) -> None:
        """A file's or directory's mode changes, nothing else."""
        place = self.root / path
        if place.is_symlink() or not place.exists() or (place.is_file() and place.stat().st_nlink > 1):
            return
        self.edit(path, lambda found: found.chmod(mode | 0o100 if found.is_dir() else mode))

    @rule(path=paths, to=st.sampled_from(["a", "nowhere", "d", "../out", "/etc"]))
    def link(self, path: str, to: str) -> None:
        """A symlink takes the place of whatever was there."""

        def change(place: Path) -> None:
            clear_way(self.root, path)
            remove(place)
            place.symlink_to(to)

        self.edit(path, change)

    @rule(path=paths, other=paths)
    def hard_link(self, path: str, other: str) -> None:
        """A file gets a second name."""
        source = self.root / other
        if path == other or path.startswith(f"{other}/") or not source.is_file() or source.is_symlink():
            return

        def change(place: Path) -> None:
            clear_way(self.root, path)
            if source.is_file() and not os.path.lexists(place):
                place.hardlink_to(source)

        self.edit(path, change)

    @rule(path=paths)
    def mkdir(self, path: str) -> None:
        """A directory takes the place of whatever was there."""

        def change(place: Path) -> None:
            clear_way(self.root, path)
            if place.is_symlink() or not place.is_dir():
                remove(place)
                place.mkdir()

        self.edit(path, change)

    @rule(path=paths)
    def snapshot(self, path: str) -> None:
        """A snapshot alone changes nothing."""
        self.session.snapshot(reachable(self.root, path))

    @rule()
    def look(self) -> None:
        """`pending` is the difference between the head's tree and this one."""
        head = self.stands[self.now.head or ""].tree
        different = {path for path in head.keys() | self.now.tree.keys() if head.get(path) != self.now.tree.get(path)}
        assert {str(one.path) for one in self.session.pending()} == different

    @rule(pick=picks, before=st.booleans(), scope=st.sampled_from(["session", "workspace"]), dry_run=st.booleans())
    def rewind(self, pick: int, before: bool, scope: str, dry_run: bool) -> None:
        """Whole: tree, words and numbers of the target."""
        if before and len(self.stands) == 1:
            return
        chosen, stand = self.aim(pick, before=before)
        began, plan = self.now, None
        if dry_run:
            plan = self.session.rewind(chosen, before=before, scope=scope, dry_run=True).plan_id
            assert photograph(self.root) == began.tree
        result = self.session.rewind(chosen, before=before, scope=scope, plan=plan)
        self.finish(result, began, stand)
        self.done.append(Done(began, stand))
        self.can_redo.clear()

    @rule(pick=picks, scope=st.sampled_from(["session", "workspace"]))
    def rewind_files(self, pick: int, scope: str) -> None:
        """The tree alone: head, words and numbers stay."""
        chosen, stand = self.aim(pick, before=False)
        began, after = self.now, replace(self.now, tree=stand.tree)
        self.finish(self.session.rewind(chosen, scope=scope, restore="files"), began, after)
        self.done.append(Done(began, after))
        self.can_redo.clear()

    @precondition(lambda self: any(not one.is_undone for one in self.done))
    @rule()
    def undo(self) -> None:
        """Tree as just before the newest rewind; head, words and numbers too where it had moved them."""
        chosen = [one for one in self.done if not one.is_undone][-1]
        began, after = self.now, back(self.now, chosen)
        self.finish(self.session.undo(), began, after)
        chosen.is_undone, chosen.undo = True, Done(began, after)
        self.can_redo.append(chosen)

    @precondition(lambda self: self.can_redo)
    @rule()
    def redo(self) -> None:
        """Tree as just before the newest undo, likewise."""
        chosen = self.can_redo.pop()
        assert chosen.undo is not None
        began, after = self.now, back(self.now, chosen.undo)
        self.finish(self.session.redo(), began, after)
        chosen.is_undone = False


def reachable(root: Path, path: str) -> str:
    """Returns the path, or the first link on the way to it."""
    parts = path.split("/")
    ways = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    return next((way for way in ways if (root / way).is_symlink()), path)


def remove(place: Path) -> None:
    """Removes whatever is there."""
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
    else:
        shutil.rmtree(place)


def clear_way(root: Path, path: str) -> None:
    """Makes the directories above a path, in place of files and links, and removes a directory or link at it."""
    above = root
    for part in path.split("/")[:-1]:
        above = above / part
        if above.is_symlink() or not above.is_dir():
            remove(above)
            above.mkdir()
    place = root / path
    if place.is_symlink() or place.is_dir():
        remove(place)


def text(agent: int, person: int) -> bytes:
    """The file that both edit: the session's lines, lines that nobody touches, the person's lines."""
    lines = [f"agent {agent}" for _ in range(2)] + [f"between {number}" for number in range(5)] + [f"person {person}" for _ in range(2)]
    return "".join(f"{line}\n" for line in lines).encode()


class WithPerson(Sitting):
    """A session and a person, each with files of their own, and one file in which both have lines."""

    shared = (0, 0)

    def prepare(self) -> None:
        for name in ("mine/a", "theirs/p", "both/m", "both/p"):
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(f"{name}\n")
        (self.root / "shared").write_bytes(text(0, 0))

    @rule(name=st.sampled_from(["mine/a", "mine/b", "both/m"]), content=contents)
    def write_mine(self, name: str, content: bytes) -> None:
        """The session writes a file of its own."""
        self.session.snapshot(name)
        (self.root / name).write_bytes(content)
        self.session.release(name)
        self.changed()

    @rule(name=st.sampled_from(["mine/a", "mine/b", "both/m"]))
    def delete_mine(self, name: str) -> None:
        """The session deletes a file of its own."""
        with self.session.editing(name):
            (self.root / name).unlink(missing_ok=True)
        self.changed()

    @rule()
    def write_shared(self) -> None:
        """The session edits its lines of the file that both edit."""
        with self.session.editing("shared"):
            self.shared = (next(_NUMBERS), self.shared[1])
            (self.root / "shared").write_bytes(text(*self.shared))
        self.changed()

    @rule(name=st.sampled_from(["theirs/p", "theirs/q", "both/p"]), content=contents)
    def write_theirs(self, name: str, content: bytes) -> None:
        """The person writes a file of theirs, and tells nobody."""
        self.session.release()
        (self.root / name).write_bytes(content)
        self.changed()

    @rule(name=st.sampled_from(["theirs/p", "theirs/q", "both/p"]))
    def delete_theirs(self, name: str) -> None:
        """The person deletes a file of theirs."""
        self.session.release()
        (self.root / name).unlink(missing_ok=True)
        self.changed()

    @rule()
    def edit_shared(self) -> None:
        """The person edits their lines of the file that both edit."""
        self.session.release()
        self.shared = (self.shared[0], next(_NUMBERS))
        (self.root / "shared").write_bytes(text(*self.shared))
        self.changed()

    def mixed(self, mine: Photograph) -> Photograph:
        """The tree with the session's part from `mine` and the person's part as it is now."""
        own = ("mine", "both/m")
        theirs = {path: one for path, one in self.now.tree.items() if not path.startswith(own) and path != "shared"}
        taken = {path: one for path, one in mine.items() if path.startswith(own)}
        kind, mode, content = mine["shared"]
        agent = int(content.split(b"\n")[0].split()[1])
        return {**theirs, **taken, "shared": (kind, mode, text(agent, self.shared[1]))}

    def take_in_shared(self) -> None:
        """Reads which versions of the shared lines the tree must have now."""
        lines = self.now.tree["shared"][2].split(b"\n")
        self.shared = (int(lines[0].split()[1]), int(lines[-2].split()[1]))

    @rule(pick=picks, before=st.booleans())
    def rewind(self, pick: int, before: bool) -> None:
        """The session's part is as at the target, the person's part as it is."""
        if before and len(self.stands) == 1:
            return
        chosen, stand = self.aim(pick, before=before)
        began, after = self.now, replace(stand, tree=self.mixed(stand.tree))
        result = self.session.rewind(chosen, before=before)
        self.finish(result, began, after)
        self.take_in_shared()
        self.done.append(Done(began, after))

    @rule(pick=picks)
    def rewind_everybody(self, pick: int) -> None:
        """With the workspace's scope the tree is as it was at the target, whoever changed it."""
        chosen, stand = self.aim(pick, before=False)
        began = self.now
        self.finish(self.session.rewind(chosen, scope="workspace"), began, stand)
        self.take_in_shared()
        self.done.append(Done(began, stand, by_everybody=True))

    @precondition(lambda self: any(not one.is_undone for one in self.done))
    @rule()
    def undo(self) -> None:
        """The session's part is as just before; the person's part stays, and comes back where the rewind had taken it."""
        chosen = [one for one in self.done if not one.is_undone][-1]
        if chosen.by_everybody and self.now.tree != chosen.after.tree:
            return
        began, after = self.now, back(self.now, chosen)
        if not chosen.by_everybody:
            after = replace(after, tree=self.mixed(chosen.before.tree))
        self.finish(self.session.undo(), began, after)
        self.take_in_shared()
        chosen.is_undone = True


@pytest.fixture
def machines(running: RealDaemon) -> Callable[[type[Sitting], settings], None]:
    """Runs a machine on the daemon."""

    def run(kind: type[Sitting], how: settings) -> None:
        kind.daemon = running
        run_state_machine_as_test(kind, settings=how)

    return run


Machines = Callable[[type[Sitting], settings], None]


def test_a_session_alone(machines: Machines) -> None:
    """Whatever one session does, each rewind, undo and redo leads exactly where the model says, over restarts and kills."""
    machines(Alone, QUICK)


def test_a_session_and_a_person(machines: Machines) -> None:
    """Whatever a person changes meanwhile is never lost, and the session's own part always goes where it must."""
    machines(WithPerson, QUICK)


@pytest.mark.long
@pytest.mark.parametrize("kind", [Alone, WithPerson])
def test_for_long(machines: Machines, kind: type[Sitting]) -> None:
    """The same, with many more and longer runs."""
    machines(kind, LONG)

"""One session on one workspace of a real daemon, and what it remembers of both: the base of the state machines."""

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rewindd import blocking
from rewindd.protocol import replies
from support.daemon import RealDaemon
from support.desk import Photograph, photograph

_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the session is: the tree, the head's id, what was said since the start, and how many messages were counted."""

    tree: Photograph
    head: str | None
    said: tuple[str, ...]
    messages: int


@dataclass(slots=True)
class Done:
    """A rewind that can be undone, and its newest undo that can be redone."""

    before: Stand
    after: Stand
    by_everybody: bool = False
    is_undone: bool = False
    undo: "Done | None" = None


class Sitting(RuleBasedStateMachine):
    """One session on one workspace, and what it remembers of both; the base of the two machines."""

    daemon: ClassVar[RealDaemon]

    def __init__(self) -> None:
        super().__init__()
        self.root = self.daemon.directory / "machines" / str(next(_NUMBERS))
        self.root.mkdir(parents=True)
        self.prepare()
        self.stack = ExitStack()
        self.client = self.stack.enter_context(blocking.connect(socket=self.daemon.socket, autostart=False))
        self.session = self.stack.enter_context(self.client.session(self.root, agent="machine"))
        self.session.snapshot(*self.first_look())
        self.now = Stand(photograph(self.root), None, (), 0)
        self.stands: dict[str, Stand] = {}
        self.parents: dict[str, str | None] = {}
        self.done: list[Done] = []
        self.can_redo: list[Done] = []
        self.save()

    def prepare(self) -> None:
        """Makes what is in the tree before anybody came."""

    def first_look(self) -> tuple[str, ...]:
        """The paths that the session snapshots first."""
        return (".",)

    def teardown(self) -> None:
        self.stack.close()
        shutil.rmtree(self.root)

    def changed(self) -> None:
        """Takes the tree as it is now for what it must be: somebody changed it on purpose."""
        self.now = replace(self.now, tree=photograph(self.root))

    def note(self, before: Stand) -> None:
        """Takes in the automatic checkpoint that an operation made of where it began, if it made one."""
        for one in self.session.list():
            if one.id not in self.stands:
                assert one.automatic
                self.stands[one.id], self.parents[one.id] = replace(before, head=one.id), one.parent_id

    @rule()
    def say(self) -> None:
        """Something is said, and counted."""
        text = f"message {next(_NUMBERS)}"
        self.session.history.add_user_message(text, tokens=1)
        self.now = replace(self.now, said=(*self.now.said, text), messages=self.now.messages + 1)

    @rule()
    def save(self) -> None:
        """A checkpoint has the tree, the words and the numbers of its moment."""
        made = self.session.save()
        assert made.parent_id == self.now.head
        assert made.stats.total_messages == self.now.messages
        self.parents[made.id] = self.now.head
        self.now = replace(self.now, head=made.id)
        self.stands[made.id] = self.now
        self.can_redo.clear()

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        """The daemon ends, well or badly, and another one goes on with its store."""
        if kill:
            self.daemon.kill()
            self.daemon.start()
        else:
            self.daemon.restart()

    def aim(self, pick: int, *, before: bool) -> tuple[str, Stand]:
        """Chooses a checkpoint, and returns its id with where a rewind to it, or before it, leads."""
        ids = [one for one in self.stands if not before or self.parents[one] is not None]
        chosen = ids[pick % len(ids)]
        parent = self.parents[chosen]
        return chosen, self.stands[parent if before and parent is not None else chosen]

    def finish(self, result: replies.RewindResult, before: Stand, after: Stand) -> None:
        """Compares what an operation answered with where it must lead."""
        assert (result.conflicts, result.kept) == ([], []), result
        assert result.stats.total_messages == after.messages
        assert self.session.head == after.head
        assert list(after.said) == self.session.history.user_prompts
        self.note(before)
        self.now = after

    @invariant()
    def the_tree_is_as_it_must_be(self) -> None:
        """Every path, every byte, every mode; and nothing of ours lies about."""
        assert photograph(self.root) == self.now.tree


def back(now: Stand, done: Done) -> Stand:
    """Returns where taking an operation back leads: the tree always, the rest as far as the operation had moved it."""
    moved = (done.before.head, done.before.said) != (done.after.head, done.after.said)
    counted = done.before.messages != done.after.messages
    return Stand(
        tree=done.before.tree,
        head=done.before.head if moved else now.head,
        said=done.before.said if moved else now.said,
        messages=done.before.messages if counted else now.messages,
    )

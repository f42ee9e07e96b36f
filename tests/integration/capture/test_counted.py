"""What a save says of its changes from memory is what the store says of them, to a daemon that remembers nothing."""

import os
import random
import time

from support.yard import Yard, until

FILES = tuple(f"{directory}/{number}.txt" for directory in ("a", "a/b", "c") for number in range(4))
SAVES = 12


def _text(chance: random.Random) -> str:
    return "".join(f"{chance.randrange(9)}\n" for _ in range(chance.randrange(1, 40)))


def _change(yard: Yard, chance: random.Random) -> None:
    """Something happens to a few files: written, written again, made executable, deleted, made anew, binary for a while."""
    for name in chance.sample(FILES, chance.randrange(1, 6)):
        path = yard.root / name
        what = chance.random()
        if what < 0.15 and path.exists():
            path.unlink()
        elif what < 0.25 and path.exists():
            path.chmod(path.stat().st_mode ^ 0o100)
        elif what < 0.3:
            yard.write(name, os.urandom(40) + b"\0")
        else:
            yard.write(name, _text(chance))


def test_counts_from_memory_are_those_of_the_store(yard: Yard, watching: bool) -> None:
    """Files, inserted and deleted lines of every checkpoint, after looks in the background, rewinds and undos between."""
    chance = random.Random(11)
    for name in FILES:
        yard.write(name, _text(chance))
    with yard.session(agent="counter", session_id=f"counted-{yard.root.name}", attribution="sole") as session:
        yard.until_complete()
        saved = [session.save()]
        for number in range(SAVES):
            for _ in range(chance.randrange(1, 4)):
                _change(yard, chance)
                if watching and chance.random() < 0.5:
                    before = yard.rows()
                    yard.write("noticed.txt", f"{number} {time.time_ns()}\n")
                    until(lambda before=before: yard.rows() > before)  # type: ignore[misc]
            saved.append(session.save())
            if chance.random() < 0.3:
                session.rewind(chance.choice(saved).id, across_head=True)
                if chance.random() < 0.5:
                    session.undo()
                saved.append(session.save())
    yard.restart()
    with yard.session(agent="counter", session_id=f"counted-{yard.root.name}", attribution="sole") as session:
        for one in saved:
            changes = session.load(one.id).file_diffs
            told = len(changes), sum(change.insertions for change in changes), sum(change.deletions for change in changes)
            assert told == (one.files, one.insertions, one.deletions), one.id
    assert sum(one.insertions for one in saved) > 100


def test_modes_beside_more_than_one_look_reads(yard: Yard) -> None:
    """Files of which only the mode changed, beside so many others that they are read later: their contents are kept already."""
    for number in range(250):
        yard.write(f"d/{number}", f"{number}\n")
        yard.write(f"e/{number}", f"other {number}\n")
    with yard.session(session_id=f"modes-{yard.root.name}", attribution="sole") as session:
        yard.until_complete()
        before = session.save()
        yard.shell("for file in d/*; do echo changed >> $file; done; chmod 755 e/*")
        assert session.save().files == 500
        session.rewind(before.id, across_head=True)
        assert {path.stat().st_mode & 0o777 for path in (yard.root / "e").iterdir()} == {0o644}

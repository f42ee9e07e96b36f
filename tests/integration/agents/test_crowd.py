"""Several sessions and a person at work in one tree, at random: what each of them did stays, whoever is rewound."""

import random

import pytest

from rewindd.model.versions import Kind
from support.crowd import Crowd, game
from support.daemon import RealDaemon
from support.ledger import Wrong
from support.players import Tally
from support.replay import Body, Line
from support.witness import Conflict, Witness

#: Games of a usual run, always the same.
SEEDS, STEPS = (1, 2, 3, 4, 5), 90
#: Games of a long run, each time others.
LONG_GAMES, LONG_STEPS = 32, 400
#: Rewinds that changed a path and kept others' later work in it: fewer would prove little.
MANY, LONG_MANY = 20, 1000


def play(daemon: RealDaemon, seeds: list[int], steps: int, capsys: pytest.CaptureFixture[str]) -> Tally:
    """Plays games, and prints what was counted past pytest's capture."""
    total = Tally()
    for seed in seeds:
        with game(daemon, seed, Crowd) as crowd:
            total.add(crowd.play(steps))
    with capsys.disabled():
        print(f"\n{len(seeds)} games: {total}")
    assert daemon.said() == ""
    return total


def test_each_rewind_keeps_what_others_did(running: RealDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """After every rewind, undo and redo the tree is the replay of everybody's live changes, or nothing was touched, and for a reason.

    Undone at once, every byte and mode is as before; redone, as after. A conflict is one only where hunks are near each other or fields
    clash, and the log says of each change whose it was.
    """
    total = play(running, list(SEEDS), STEPS, capsys)
    assert total.kept_hunks >= MANY
    assert total.exact >= MANY


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_for_long(running: RealDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, thousands of steps, in other games each time: at least 1,000 rewinds keep others' hunks."""
    total = play(running, random.SystemRandom().sample(range(10**6), LONG_GAMES), LONG_STEPS, capsys)
    assert total.kept_hunks >= LONG_MANY


@pytest.mark.parametrize("wrong", ["content", "mode", "gone"])
def test_what_is_wrong_is_seen(running: RealDaemon, wrong: str) -> None:
    """A line, a mode or a file that is not as the replay says ends the game."""
    with game(running, 5, Crowd) as crowd:
        crowd.play(10)
        place = crowd.root / "notes.txt"
        if wrong == "content":
            place.write_text(place.read_text().replace("first|2|", "first|3|", 1))
        elif wrong == "mode":
            place.chmod(0o600)
        else:
            place.unlink()
        with pytest.raises(Wrong, match=r"notes\.txt"):
            crowd.check()


def test_a_game_that_is_lost_can_be_played_again(running: RealDaemon) -> None:
    """A change that the log must not hold ends the game, and the note is a command with the seed and the step."""
    with game(running, 5, Crowd) as crowd:
        (crowd.root / "notes.txt").write_text("not told to the witness")
        with pytest.raises(Wrong) as raised:
            crowd.play(20)
    assert raised.value.__notes__[0].endswith(f"tests/support/crowd.py 5 {crowd.tally.steps}")


def hunks_at(*lines: int) -> Witness:
    """A file of thirty lines, in which act 1, of A, replaced the first of these lines, and each act after it, of B, another."""
    witness = Witness()
    texts = [f"{number}\n" for number in range(30)]
    body = Body(Kind.FILE, None, lines=[Line(text, None) for text in texts], modes=[(None, 0o644)])
    witness.story("it").bodies.append(body)
    for number, line in enumerate(lines, 1):
        at = next(n for n, one in enumerate(body.lines) if one.text == texts[line])
        body.lines[at].died.add(number)
        body.lines.insert(at + 1, Line(f"by {number}\n", number))
        witness.tell("it", ("A",) if number == 1 else ("B",))
    return witness


@pytest.mark.parametrize(("line", "is_excused"), [(11, True), (14, True), (15, False), (3, False), (6, True), (12, True)])
def test_a_conflict_of_hunks_apart_is_a_failure(line: int, is_excused: bool) -> None:
    """Hunks with up to three unchanged lines between them may conflict; with four they may not, and other fields never clashed."""
    witness = hunks_at(10, line)
    wanted = witness.rewound("A", None, None)
    assert wanted == {"it": frozenset({2})}
    assert witness.is_excused(Conflict("it", "the same lines were changed since"), wanted, "A", 0) is is_excused
    assert not witness.is_excused(Conflict("it", "contested between sessions A, B"), wanted, "A", 0)
    assert not witness.is_excused(Conflict("it", "the same change was made by several"), wanted, "A", 0)

"""Repositories that come, go and move in a workspace: after each act what is captured is what git leaves, each repository for itself."""

import random
from pathlib import Path

import pytest

from rewindd.client.blocking_session import Session
from rewindd.paths import RelPath
from support.repositories import Repositories
from support.yard import Yard, differing, photograph

#: Acts of one run, and runs: of the long form, and of the one that is always run.
STEPS = 50
LONG = range(1000, 1100)
#: Why an undo keeps what its rewind brought.
OUTSIDE = "outside the rules now"


def play(yard: Yard, seed: int, elsewhere: Path) -> None:
    """Acts, saves, and compares; now and then the daemon is another one, or goes somewhere and comes back."""
    repositories = Repositories(yard, seed, elsewhere)
    chance = random.Random(seed)
    positions: list[str] = []
    for _ in range(4):
        with yard.session(session_id=f"play-{yard.root.name}", attribution="sole") as session:
            for _ in range(STEPS // 4):
                for _ in range(chance.randint(1, 3)):
                    repositories.act()
                made = session.save()
                positions.append(made.id)
                assert made.incomplete.count == 0, (made.incomplete, repositories.done)
                wrong = differing(repositories.disk(), yard.listed(session, made.id))
                assert not [path for path, (there, _) in wrong.items() if there is not None or not repositories.may_stay(path)], (
                    repositories.done
                )
                assert yard.log(session, ".") == yard.log(session, "."), ("rows of what nobody changed", repositories.done)
            there_and_back(yard, session, chance.choice(positions))
        yard.restart(kill=chance.random() < 0.5)


def there_and_back(yard: Yard, session: Session, position: str) -> None:
    """A rewind of the workspace, and its undo: all is as it was, but for what rules leave out that came with the rewind."""
    before = photograph(yard.root)
    result = session.rewind(position, scope="workspace", restore="files", across_head=True, on_conflict="keep")
    if result.operation_id is not None:
        kept = [RelPath(one.path) for one in session.undo().kept if one.reason == OUTSIDE]
        held = {above for path in kept for above in (path, *path.ancestors)}
        assert differing(before, photograph(yard.root)).keys() <= held


@pytest.mark.parametrize("seed", [7, 16])
def test_some(yard: Yard, tmp_path: Path, seed: int) -> None:
    """Two runs that found faults."""
    play(yard, seed, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many(yard: Yard, tmp_path: Path) -> None:
    """A hundred runs."""
    for seed in LONG:
        home = yard.root.parent / f"{yard.root.name}-{seed}"
        home.mkdir()
        (tmp_path / str(seed)).mkdir()
        play(Yard(yard.daemon, home, yard.home, yard.env), seed, tmp_path / str(seed))

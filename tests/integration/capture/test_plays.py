"""Random acts on a workspace whose rules change: after each what is captured is what a referee says, and a second look finds nothing."""

import os
import random
import signal
from pathlib import Path

import pytest

from rewindd.client.blocking_session import Session
from rewindd.paths import RelPath
from support.many_rules import ManyRules
from support.plays import Acts
from support.repositories import Repositories
from support.yard import Yard, differing, photograph, until

#: Acts of one run, and the seeds of the long form.
STEPS = 50
LONG = range(1000, 1100)
#: Why an undo keeps what its rewind brought.
OUTSIDE = "outside the rules now"


def play(yard: Yard, acts: Acts, seed: int) -> None:
    """Acts, saves, and compares; now and then the daemon is another one, or goes somewhere and comes back."""
    chance = random.Random(seed)
    positions: list[str] = []
    for _ in range(4):
        with yard.session(session_id=f"play-{yard.root.name}", attribution="sole") as session:
            for _ in range(STEPS // 4):
                for _ in range(chance.randint(1, 3)):
                    acts.act()
                made = session.save()
                positions.append(made.id)
                assert made.incomplete.count == 0, (made.incomplete, acts.done)
                wrong = differing(acts.disk(), yard.listed(session, made.id))
                assert not {path: two for path, two in wrong.items() if two[0] is not None or not acts.may_stay(path)}, acts.done
                assert yard.log(session, ".") == yard.log(session, "."), ("rows of what nobody changed", acts.done)
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


def reload(yard: Yard) -> None:
    """The daemon reads its configuration again."""

    def read_at() -> object:
        with yard.client() as client:
            config = client.status().config
        assert config is not None
        return config.read_at

    before = read_at()
    os.kill(yard.daemon.pid, signal.SIGHUP)
    until(lambda: read_at() != before)


def another(yard: Yard, elsewhere: Path, name: str) -> tuple[Yard, Path]:
    """Another workspace of the same daemon, and a directory outside of it."""
    root = yard.root.parent / f"{yard.root.name}-{name}"
    root.mkdir()
    (elsewhere / name).mkdir()
    return Yard(yard.daemon, root, yard.home, yard.env), elsewhere / name


@pytest.mark.parametrize("seed", [7, 16])
def test_repositories(yard: Yard, tmp_path: Path, seed: int) -> None:
    """Repositories that come, go and move, judged by git; two runs that found faults."""
    play(yard, Repositories(yard, seed, tmp_path), seed)


@pytest.mark.parametrize("is_repository", [True, False], ids=["in a repository", "in none"])
def test_rules(yard: Yard, tmp_path: Path, is_repository: bool) -> None:
    """Rules of all kinds, judged by rules that remember nothing."""
    play(yard, ManyRules(yard, 1, tmp_path, is_repository=is_repository, reload=lambda: reload(yard)), 1)
    (yard.daemon.directory / "config" / "rewindd" / "config.toml").unlink()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_repositories(yard: Yard, tmp_path: Path) -> None:
    """A hundred runs."""
    for seed in LONG:
        here, elsewhere = another(yard, tmp_path, str(seed))
        play(here, Repositories(here, seed, elsewhere), seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("is_repository", [True, False], ids=["in a repository", "in none"])
def test_many_rules(yard: Yard, tmp_path: Path, is_repository: bool) -> None:
    """A hundred runs."""
    for seed in LONG:
        here, elsewhere = another(yard, tmp_path, str(seed))
        play(here, ManyRules(here, seed, elsewhere, is_repository=is_repository, reload=lambda: reload(yard)), seed)
    (yard.daemon.directory / "config" / "rewindd" / "config.toml").unlink()

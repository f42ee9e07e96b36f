"""The pure core against a replay of every live edit: random work of two sessions and a person, in many small worlds.

The worlds, the players and the checks after each operation are in `tests/support`; these tests choose how much of what.
"""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rewindd.model.versions import File
from rewindd.plan.merge import MergeText
from support.diff3 import merge3
from support.game import Game
from support.referee import Figures
from support.world import World

#: Files come, go and change their kind, rules change, operations are undone at once again and again.
TREE = Game(seed=0)
#: Mostly text, mostly merges.
TEXT = Game(seed=0, tree=False, longest=40, at_once=0.25, workspace=0.05)
#: The same with short files, so that changes touch often.
CROWDED = Game(seed=0, tree=False, longest=8, at_once=0.25, workspace=0.05)
#: Lines that repeat, as source code's do.
REPEATED = replace(TEXT, repeats=0.5, same_is_clean=True)
#: What is contested, and a session that is the other's sub-agent: taken along or not.
FAMILY = replace(TEXT, children=0.3, shared=0.5, contested=8)
FAMILY_TREE = replace(TREE, children=0.3, shared=0.5, contested=8)
FAMILIES = (("family, tree", FAMILY_TREE), ("family, text", FAMILY))
STEPS = 60


def play(game: Game, worlds: range) -> Figures:
    """Plays a game in many worlds."""
    total = Figures()
    for seed in worlds:
        try:
            total.add(replace(game, seed=seed).play(STEPS))
        except AssertionError as error:
            error.add_note(f"replay it with {replace(game, seed=seed)!r}.play({STEPS})")
            raise
    return total


def told(name: str, figures: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what was counted, past pytest's capture."""
    with capsys.disabled():
        print(
            f"\n{name}: {figures.operations} operations ({figures.acts} changes, {figures.saves} saves, {figures.rewinds} rewinds, "
            f"{figures.restores} restores, {figures.undos} undos, {figures.immediate} of them at once), {figures.merged} paths merged, "
            f"{figures.conflicts} operations refused, {figures.wrong} wrong ({figures.masked} masked), "
            f"[merged, wrong] by lines between: {dict(sorted(figures.by_gap.items()))}"
        )


def test_every_operation_gives_what_the_replay_gives(capsys: pytest.CaptureFixture[str]) -> None:
    """Rewinds, restores, undos and redos of any kind keep others' work, and an immediate undo restores every byte."""
    total = Figures()
    for name, game, worlds in (("tree", TREE, 250), ("text", TEXT, 190), ("crowded", CROWDED, 100)):
        figures = play(game, range(worlds))
        told(name, figures, capsys)
        total.add(figures)
    assert total.operations >= 20_000
    assert total.immediate >= 4_000
    assert total.merged >= 800


def test_what_is_shared_and_what_children_did(capsys: pytest.CaptureFixture[str]) -> None:
    """Contested work goes only where it was said, a child's only where it was said; what goes comes back whole with an undo."""
    for name, game in FAMILIES:
        figures = play(game, range(60))
        told(name, figures, capsys)
        assert figures.immediate >= 300


def test_repeated_lines_seldom_merge_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Where lines repeat, a merge may put one in another's place: seldom, and then only where changes are near each other."""
    figures = play(REPEATED, range(60))
    told("repeated", figures, capsys)
    assert figures.wrong <= figures.merged * 0.08


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("start", range(10_000, 20_000, 1000))
def test_many_worlds(start: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for a long time."""
    same_is_clean = ("text, same is clean", replace(TEXT, same_is_clean=True))
    for name, game in (("tree", TREE), ("text", TEXT), ("crowded", CROWDED), same_is_clean, *FAMILIES):
        told(name, play(game, range(start, start + 1000)), capsys)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("repeats", [0.0, 0.2, 0.5, 0.8])
def test_repeated_lines_for_long(repeats: float, capsys: pytest.CaptureFixture[str]) -> None:
    """How often a merge goes wrong without a word, by the share of lines that repeat."""
    for clean in (False, True):
        figures = play(replace(REPEATED, repeats=repeats, same_is_clean=clean), range(600))
        told(f"repeats {repeats}, same is clean: {clean}", figures, capsys)
        assert figures.wrong <= figures.merged * 0.1


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("repeats", [0.0, 0.5])
def test_git_merges_as_the_stand_in_does(repeats: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rates with `git merge-file`, and how often it gives another result than the stand-in."""
    git = Git(tmp_path)
    figures = play(replace(REPEATED, repeats=repeats, text=git.merger), range(150))
    told(f"git merge-file, repeats {repeats}", figures, capsys)
    with capsys.disabled():
        print(f"{git.asked} merges: {git.refused} conflicts, {git.stricter} clean in the stand-in; {git.other} clean and different")
    assert figures.wrong <= figures.merged * 0.1


class Git:
    """Merges with `git merge-file`, and counts where the stand-in would have said something else."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.asked = self.refused = self.stricter = self.other = 0

    @property
    def merger(self) -> Callable[[World], MergeText]:
        """Makes the merge of one world's contents."""

        def of(world: World) -> MergeText:
            return lambda base, ours, theirs: self._merge(world, base, ours, theirs)

        return of

    def _merge(self, world: World, base: File, ours: File, theirs: File) -> File | None:
        texts = [world.text(version) for version in (ours, base, theirs)]
        names = [self._directory / name for name in ("ours", "base", "theirs")]
        for name, text in zip(names, texts, strict=True):
            name.write_text(text)
        done = subprocess.run(["git", "merge-file", "-p", *map(str, names)], capture_output=True, cwd=self._directory, check=False)
        assert 0 <= done.returncode < 128, done.stderr
        mine = merge3(*(text.splitlines(keepends=True) for text in (texts[1], texts[0], texts[2])), same_is_clean=True)
        self.asked += 1
        if done.returncode:
            self.refused += 1
            self.stricter += mine is not None
            return None
        self.other += mine is not None and "".join(mine) != done.stdout.decode()
        return world.put(done.stdout.decode(), 0)

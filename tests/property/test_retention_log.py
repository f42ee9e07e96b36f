"""A log that was cut and joined says of every position that stays what the whole one says: random games, random positions kept."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from rewindd.model.index import Index
from rewindd.model.log import OnConflict, Scope
from rewindd.model.versions import Version
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim, Draft, Merged, merge, rewind, undo
from rewindd.plan.merge import Clash
from rewindd.plan.settle import settle
from rewindd.timeline.delta import delta
from rewindd.timeline.history import Timeline
from support.acts import A, B
from support.game import Game
from support.pruning import pruned
from support.referee import Referee
from support.world import World

TREE = Game(seed=0)
TEXT = Game(seed=0, tree=False, longest=40, at_once=0.25, workspace=0.05)
CROWDED = Game(seed=0, tree=False, longest=8, at_once=0.25, workspace=0.05)
FAMILY = replace(TREE, children=0.3, shared=0.5, contested=8)
STEPS = 60
WORLDS = 40

Came = dict[RelPath, Version | Clash | str]


def _compared(game: Game, counts: Counter[str]) -> None:
    """Plays a game, prunes its log, and compares what both say."""
    referee = game.referee(STEPS)
    world, chance = referee.world, random.Random(game.seed)
    chosen = chance.sample(referee.checkpoints, min(chance.choice((1, 1, 2, 4, 8)), len(referee.checkpoints)))
    done = chance.sample(referee.done, min(chance.choice((0, 0, 1, 4)), len(referee.done)))
    kept = {seq for one in chosen for seq in (one.mark.seq, one.base.seq)} | {seq for one in done for seq in (one.at - 1, one.at)}
    could = {seq for one in referee.checkpoints for seq in (one.mark.seq, one.base.seq)}
    could |= {seq for one in referee.done for seq in (one.at - 1, one.at)}
    whole, less = world.timeline(), pruned(world, kept, could - kept)
    paths = sorted({*world.disk, *world.index, *whole.paths})
    counts["rows"] += len(world.rows)
    counts["left"] += sum(len(less.rows(path)) for path in less.paths)
    for seq in sorted(kept):
        for path in paths:
            assert less.state(seq, path) == whole.state(seq, path), f"state({seq})({path})"
        for session in (A, B):
            mine = [replace(one, seq=0, at_ns=0) for one in delta(whole, session, seq, world.position)]
            assert [replace(one, seq=0, at_ns=0) for one in delta(less, session, seq, world.position)] == mine, f"delta since {seq}"
            for shared in (False, True):
                aim = Aim(session=session, seq=seq, scope=Scope.SESSION, with_shared=shared, also_external=shared)
                _same(referee, whole, less, rewind(whole, aim), rewind(less, aim), counts, f"{session} to {seq}")
            aim = Aim(session=session, seq=seq, scope=Scope.WORKSPACE)
            _same(referee, whole, less, rewind(whole, aim), rewind(less, aim), counts, f"workspace to {seq}")
    for start, end in zip(sorted(kept), sorted(kept)[1:], strict=False):
        for session in (A, B):
            assert _parts(less, session, start, end) == _parts(whole, session, start, end), f"delta {start} to {end}"
    for one in done:
        before, after = undo(whole, one.session, one.at, one.paths), undo(less, one.session, one.at, one.paths)
        _same(referee, whole, less, before, after, counts, f"undo of {one.at}")


def _parts(timeline: Timeline, session: str, start: int, end: int) -> list[tuple[RelPath, Version, Version]]:
    return [(one.path, one.before, one.after) for one in delta(timeline, session, start, end)]  # type: ignore[arg-type]


def _same(
    referee: Referee, whole: Timeline, less: Timeline, drafts: list[Draft], fewer: list[Draft], counts: Counter[str], what: str
) -> None:
    """What comes of it is the same byte for byte, or the shorter log says that it cannot tell."""
    was, now = _came(referee, whole, drafts), _came(referee, less, fewer)
    for path in was.keys() | now.keys():
        counts["compared"] += 1
        if was.get(path) == now.get(path):
            continue
        if isinstance(now.get(path), Clash):
            counts["refused"] += 1
        else:
            raise AssertionError(f"{what}: {path} becomes {now.get(path)}, with the whole log {was.get(path)}")


def _came(referee: Referee, timeline: Timeline, drafts: list[Draft]) -> Came:
    world: World = referee.world
    merged = {draft.path: merge(draft.current, draft.way, referee.merge_text) for draft in drafts if isinstance(draft.way, Merged)}
    settled = settle(timeline, drafts, merged, Index(world.index.values()), OnConflict.MERGE)
    came: Came = {one.path: one.target for one in settled.decisions if one.target != one.expect}
    came |= {one.path: Clash(one.reason) for one in settled.conflicts}
    return came


@pytest.mark.parametrize(("name", "game"), [("tree", TREE), ("text", TEXT), ("crowded", CROWDED), ("family", FAMILY)])
def test_kept_positions_are_as_they_were(name: str, game: Game, capsys: pytest.CaptureFixture[str]) -> None:
    """State, deltas, rewinds and undos are the same at each position that stays; hardly ever a merge is refused for want of its check."""
    counts: Counter[str] = Counter()
    for seed in range(WORLDS):
        try:
            _compared(replace(game, seed=seed), counts)
        except AssertionError as error:
            error.add_note(f"{name}, seed {seed}")
            raise
    with capsys.disabled():
        print(f"\n{name}: {dict(counts)}")
    assert counts["left"] < counts["rows"] * 0.97
    assert counts["refused"] <= counts["compared"] * 0.01

"""What is to be looked at and when, and the directories by path: pure."""

import random

import pytest

from rewindd.paths import ROOT, RelPath
from rewindd.tree.watch.directories import Directories
from rewindd.tree.watch.dirty import MOST_PATHS, Dirt, Dirty, sifted

A, B, C = RelPath("a"), RelPath("b"), RelPath("c")


def paths(*names: str) -> list[RelPath]:
    return [RelPath(name) for name in names]


def test_due_when_quiet() -> None:
    """A path is due when nothing touched it for the quiet time; one that was touched again waits anew."""
    dirty = Dirty()
    dirty.mark([A, B], 10.0)
    dirty.mark([A], 10.4)

    assert dirty.due_s(0.5, 5.0) == 10.5
    assert dirty.take_due(10.5 - 0.5, 10.5 - 5.0).paths == {B: (10.0, 10.0)}
    assert dirty.due_s(0.5, 5.0) == pytest.approx(10.9)
    assert dirty.take_due(10.9 - 0.5, 10.9 - 5.0).paths == {A: (10.0, 10.4)}
    assert dirty.due_s(0.5, 5.0) is None
    dirty.mark([A], 20.0)
    assert dirty.due_s(0.5, 5.0) == 20.5


def test_due_at_the_latest() -> None:
    """A path that is written all the time is due when its first touch is long enough ago; others are not taken with it."""
    dirty = Dirty()
    for tenth in range(52):
        dirty.mark([A], 100.0 + tenth / 10)
    dirty.mark([B], 105.1)

    assert dirty.due_s(0.5, 5.0) == 105.0
    assert dirty.take_due(105.1 - 0.5, 105.1 - 5.0).paths == {A: (100.0, 105.1)}
    assert dirty.due_s(0.5, 5.0) == pytest.approx(105.6)


def test_due_is_never_late() -> None:
    """For random touches, nothing is due before the time that was said to be the first, and nothing due is left behind."""
    rng = random.Random(7)
    dirty, now, model = Dirty(), 0.0, dict[RelPath, tuple[float, float]]()
    for _ in range(3000):
        now += rng.random() / 20
        if rng.random() < 0.8:
            path = RelPath(str(rng.randrange(12)))
            dirty.mark([path], now)
            model[path] = (model.get(path, (now, now))[0], now)
        elif model:
            said = dirty.due_s(0.3, 1.5)
            assert said is not None
            assert said <= min(min(last + 0.3, first + 1.5) for first, last in model.values()) + 1e-9
            due = {path: span for path, span in model.items() if span[1] <= now - 0.3 or span[0] <= now - 1.5}
            assert dirty.take_due(now - 0.3, now - 1.5).paths == due
            model = {path: span for path, span in model.items() if path not in due}


def test_trees_swallow() -> None:
    """What lies below a tree that is to be looked at is not named apart; its neighbours with a like name are."""
    span = (1.0, 1.0)
    dirt = Dirt(dict.fromkeys(paths("a", "a/b/c", "ab", "d/e", "d/e/f/g"), span), dict.fromkeys(paths("a", "a/x", "d/e/f"), span))

    assert sifted(dirt) == Dirt(dict.fromkeys(paths("ab", "d/e"), span), dict.fromkeys(paths("a", "d/e/f"), span))
    assert sifted(Dirt({A: span, ROOT: span}, {B: span, ROOT: span})) == Dirt({}, {ROOT: span})


def test_many_paths_are_the_whole_tree() -> None:
    """Dirt does not grow without bound: beyond the bound it is the root's tree, touched since the first of them."""
    dirty = Dirty()
    dirty.mark([A], 1.0)
    dirty.mark([RelPath(f"f{number}") for number in range(MOST_PATHS)], 2.0)

    assert dirty.take() == Dirt({}, {ROOT: (1.0, 2.0)})


def test_directories_by_tree() -> None:
    """Whatever was put and taken, a tree taken out is exactly what was known at and below it, and nothing is left over at the end."""
    rng = random.Random(3)
    names = [ROOT, *paths(*(f"{a}{b}{c}" for a in "xyz" for b in ("", "/k", "/l") for c in ("", "/m", "/m/n/o") if b or not c))]
    known, model = Directories(), dict[RelPath, int | None]()
    for number in range(2000):
        path = rng.choice(names)
        match rng.randrange(5):
            case 0 | 1:
                assert known.put(path, number) == model.get(path)
                model[path] = number
            case 2:
                assert known.refuse(path, "why") == model.get(path)
                model[path] = None
            case 3 if path != ROOT:
                assert dict(known.take_tree(path)) == {name: wd for name, wd in model.items() if name.below(path)}
                model = {name: wd for name, wd in model.items() if not name.below(path)}
            case _ if path in model and path != ROOT:
                assert dict(known.take_below(path)) == {name: wd for name, wd in model.items() if name.below(path) and name != path}
                model = {name: wd for name, wd in model.items() if not name.below(path) or name == path}
        assert all(known.knows(name) == any(other.below(name) for other in model) for name in names)
        assert known.refused.keys() == {name for name, wd in model.items() if wd is None}

    assert dict(known.take_tree(ROOT)) == model
    assert not any(known.knows(name) for name in names)

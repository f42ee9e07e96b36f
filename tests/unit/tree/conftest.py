"""A workspace directory, a store in memory, and everything closed at the end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.tree.root import Root
from rewindd.tree.watch.feed import Feed
from rewindd.tree.watch.watch import Watch
from support.tree import Memory, open_root
from support.watching import Clock, arm


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def top(tmp_path: Path) -> Path:
    directory = tmp_path / "workspace"
    directory.mkdir()
    return directory


@pytest.fixture
def root(top: Path) -> Iterator[Root]:
    with open_root(top) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(clock: Clock) -> Iterator[Feed]:
    opened = Feed(clock)
    yield opened
    opened.close()


@pytest.fixture
def watch(feed: Feed, top: Path) -> Watch:
    """The watch of `top`, with the root armed and nothing dirty."""
    opened = feed.open()
    arm(opened, top, ".")
    return opened


@pytest.fixture(autouse=True)
def settled() -> Iterator[None]:
    """No test leaves a descriptor open or a fault armed."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    faults.arm(None)
    assert len(os.listdir("/proc/self/fd")) <= before

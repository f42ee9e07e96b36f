"""A workspace directory, a store in memory, and everything closed at the end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.tree.root import Root
from support.tree import Memory, open_root


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


@pytest.fixture(autouse=True)
def settled() -> Iterator[None]:
    """No test leaves a descriptor open or a fault armed."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    faults.arm(None)
    assert len(os.listdir("/proc/self/fd")) <= before

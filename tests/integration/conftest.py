"""One real daemon a module, and for each test a workspace and a client of its own."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

import rewindd
from support.daemon import RealDaemon, real_daemon
from support.desk import Desk

_NUMBERS = count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home directory of the daemon's user."""
    home = tmp_path_factory.mktemp("homes").resolve() / "user"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[RealDaemon]:
    """A running daemon, the same for all tests of a module."""
    with real_daemon(tmp_path_factory.mktemp("real").resolve(), env={"HOME": str(home)}) as daemon:
        yield daemon


@pytest.fixture
def tree(running: RealDaemon) -> Path:
    """An empty directory to be a workspace."""
    root = running.directory / "trees" / str(next(_NUMBERS))
    root.mkdir(parents=True)
    return root


@pytest.fixture
async def desk(running: RealDaemon, tree: Path) -> AsyncIterator[Desk]:
    """A client of the daemon, and the workspace."""
    async with rewindd.connect(socket=running.socket, autostart=False) as client:
        yield Desk(client, tree, running)

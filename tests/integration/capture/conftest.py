"""A daemon that watches, or looks at everything instead, and a workspace of it that is captured as a whole."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from support.daemon import RealDaemon, real_daemon
from support.yard import Yard

_NUMBERS = count(1)


@pytest.fixture(scope="module", params=["fed", "unfed"])
def watching(request: pytest.FixtureRequest) -> bool:
    """Whether the daemon hears of changes; else it looks at all there is. Every test of capture runs both ways."""
    return bool(request.param == "fed")


@pytest.fixture(scope="module")
def env(home: Path, watching: bool) -> dict[str, str]:
    """The daemon's environment."""
    return {"HOME": str(home), "REWINDD_WATCH": "1" if watching else "0"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Iterator[RealDaemon]:
    """A running daemon, the same for all tests of a module."""
    with real_daemon(tmp_path_factory.mktemp("real").resolve(), env=env) as daemon:
        yield daemon


@pytest.fixture
def yard(running: RealDaemon, home: Path, env: dict[str, str]) -> Yard:
    """An empty directory to be a workspace."""
    root = running.directory / "yards" / str(next(_NUMBERS))
    root.mkdir(parents=True)
    return Yard(running, root, home, env)


@pytest.fixture
def repository(yard: Yard) -> Yard:
    """An empty git repository to be a workspace."""
    yard.git("init", "-q")
    return yard

"""A workspace of a real daemon, the person outside, and a grant."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd.blocking import Client
from rewindd.protocol import replies
from support.daemon import RealDaemon
from support.grants import Box, box, grant


@pytest.fixture(autouse=True)
def up_again(running: RealDaemon, home: Path) -> Iterator[None]:
    """A test that stopped the daemon leaves it running for those after it, also where it failed."""
    yield
    if running.process is None:
        running.start(env={"HOME": str(home)})


@pytest.fixture
def person(running: RealDaemon) -> Iterator[Client]:
    """The person outside, on the daemon's own socket."""
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client:
        yield client


@pytest.fixture
def granted(person: Client, tree: Path) -> replies.Grant:
    """A grant of the workspace, for everything."""
    return grant(person, tree)


@pytest.fixture
def inside(granted: replies.Grant) -> Iterator[Box]:
    """The agent inside."""
    with box(granted) as boxed:
        yield boxed

"""A daemon whose store keeps little, with a workspace and a client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import rewindd
from support.daemon import RealDaemon
from support.desk import Desk


@pytest.fixture
async def keeping_two(tmp_path: Path) -> AsyncIterator[Desk]:
    """Of each session two checkpoints are kept, and what is labelled; nothing goes by itself."""
    daemon = RealDaemon(tmp_path.resolve())
    config = daemon.directory / "config" / "rewindd"
    config.mkdir()
    (config / "config.toml").write_text("[retention]\nkeep_last = 2\nkeep_daily = 0\ninterval_s = 0\n")
    home, root = daemon.directory / "home", daemon.directory / "tree"
    home.mkdir()
    root.mkdir()
    try:
        daemon.start(env={"HOME": str(home)})
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
            yield Desk(client, root, daemon)
        daemon.stop()
    finally:
        daemon.kill()

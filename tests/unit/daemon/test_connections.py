"""The budget of connections, and the look at one: its descriptor may be another thing by then."""

import os
import resource
from pathlib import Path

import pytest

from rewindd.daemon import connections


@pytest.mark.parametrize(
    ("limit", "most"), [(128, 32), (1024, 256), (2772, 256), (4096, 1580), (524_288, 2048), (resource.RLIM_INFINITY, 2048)]
)
def test_the_budget(monkeypatch: pytest.MonkeyPatch, limit: int, most: int) -> None:
    """All where descriptors allow, a few where they are scarce."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert connections.budget(connections.MAX_CONNECTIONS) == most


def test_what_is_no_socket_any_more(tmp_path: Path) -> None:
    """It is not looked at, not shut down, and nothing of it stays open."""
    other = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    before = sorted(os.listdir("/proc/self/fd"))
    assert connections._look(other) is None
    connections._shut_down(other, os.fstat(other).st_ino)
    assert sorted(os.listdir("/proc/self/fd")) == before
    os.close(other)
    assert connections._look(other) is None

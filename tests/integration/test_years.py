"""A store of years beside an empty one: what is asked daily takes as long."""

import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

import rewindd.blocking
from rewindd.model.ids import SessionId
from support.daemon import RealDaemon
from support.years import age

ROWS = 200_000
FILES, CONTENTS, TIMES = 50, 8, 15
#: Times what an empty store needs, and milliseconds that the machine's other work may add.
RATIO, SLACK_MS = 2.0, 5.0


def begun(daemon: RealDaemon, root: Path) -> None:
    """A workspace with a session that changed each of its files some times."""
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client, client.session(root, session_id="s") as session:
        for content in range(CONTENTS):
            session.snapshot(*(f"f{number}" for number in range(FILES)))
            for number in range(FILES):
                (root / f"f{number}").write_text(f"{number}\n" * 30 + f"{content}\n")
            session.save()


def measured(daemon: RealDaemon, root: Path, word: str) -> dict[str, float]:
    """How many milliseconds each takes, the median of several."""
    found: dict[str, list[float]] = {"save": [], "list": [], "rewind": []}
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client, client.session(root, session_id="s") as session:
        for turn in range(TIMES):
            session.snapshot("own")
            (root / "own").write_text(f"{word} {turn}\n" * 30)
            began = [time.perf_counter()]
            made = session.save()
            began.append(time.perf_counter())
            assert len(session.list(limit=20)) <= 20
            began.append(time.perf_counter())
            session.rewind(made.id, before=True, restore="files")
            began.append(time.perf_counter())
            for name, (one, other) in zip(found, pairwise(began), strict=True):
                found[name].append((other - one) * 1000)
    return {name: median(each) for name, each in found.items()}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_as_fast_as_on_the_first_day(tmp_path: Path) -> None:
    """`save`, `list -n 20` and `rewind` take at most twice as long with 200,000 rows and 20,000 checkpoints as with none; memory stays."""
    root = tmp_path / "tree"
    root.mkdir()
    daemon = RealDaemon(tmp_path / "d").start()
    try:
        begun(daemon, root)
        measured(daemon, root, "warm")
        young = measured(daemon, root, "young")
        resident = daemon.resident_bytes()
        daemon.stop()
        assert age(daemon.data_dir, SessionId("s"), ROWS) >= ROWS // 10 * 9 // 10
        daemon.start()
        measured(daemon, root, "warmed")
        old = measured(daemon, root, "old")
        assert {name: (took, young[name]) for name, took in old.items() if took > RATIO * young[name] + SLACK_MS} == {}
        assert daemon.resident_bytes() - resident < 40 << 20
        daemon.stop()
    finally:
        daemon.kill()

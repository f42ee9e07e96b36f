"""A store of years beside an empty one: what is asked daily takes as long."""

import re
from pathlib import Path

import pytest
from benchmark.ageing import age
from benchmark.subject import running
from benchmark.years import SESSION, begin, measure

import rewindd.blocking
from rewindd.protocol.integrity import Verified, Verify
from rewindd.protocol.replies import Metrics
from rewindd.protocol.requests import GetMetrics
from rewindd.protocol.retention import Prune, Pruned

ROWS = 200_000
#: Milliseconds that the machine's other work may add to what an empty store's times allow.
SLACK_MS = 5.0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_as_fast_as_on_the_first_day(tmp_path: Path) -> None:
    """Start, first save, `save`, `list -n 20`, `rewind` and `undo` take at most 1.5 times as long with 200,000 rows as with none."""
    figures = measure(tmp_path, rows=ROWS)
    assert {one.name: (one.p50, one.floor_p50) for one in figures if one.p50 > (one.times or 0) * one.floor_p50 + SLACK_MS} == {}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_space_of_years_comes_back(tmp_path: Path) -> None:
    """Of 100,000 checkpoints the last 1,000 stay: the store takes a twentieth then, and is sound; nothing kept its thread for 50 ms."""
    begin(tmp_path)
    data, settings = tmp_path / "daemon" / "data", tmp_path / "daemon" / "rewindd"
    assert age(data, SESSION, 1_000_000) == 100_000
    settings.mkdir()
    (settings / "config.toml").write_text("[retention]\nkeep_last = 1000\nkeep_daily = 0\ninterval_s = 0\n")
    with running(tmp_path / "daemon") as daemon, rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=300) as client:
        before = client.status().store
        planned = client.ask(Prune(dry_run=True), Pruned)
        went = client.ask(Prune(), Pruned)
        after = client.status().store
        assert (planned.dropped, planned.rows) == (went.dropped, went.rows)
        assert after.checkpoints <= 1_010
        assert after.bytes < before.bytes / 20
        assert went.freed_bytes * 0.8 < planned.freed_bytes < went.freed_bytes * 1.2
        assert client.ask(Verify(), Verified).damage == []
        (longest,) = re.findall(r"^rewindd_store_longest_seconds\{.*\} (.*)$", client.ask(GetMetrics(), Metrics).text, re.MULTILINE)
        assert float(longest) < 0.05

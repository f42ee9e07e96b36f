"""The capture benchmark works: it would tell nothing else if it did not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_capture_benchmark_measures(tmp_path: Path) -> None:
    """`scripts/bench capture --quick` ends well: both captured the same files, and every save, rewind and file read back was right."""
    command = [sys.executable, "-m", "benchmark.main", "capture", "--quick", "--json", "--trees", str(tmp_path / "trees")]

    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, check=False, timeout=300)

    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["failure"] is None
    assert {one["files"] for one in told["comparisons"]} == {2000}
    assert all(one["samples"] for one in told["comparisons"])

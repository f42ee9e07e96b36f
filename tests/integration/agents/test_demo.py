"""`scripts/demo-agents`: what it tells is so, it leaves nothing, and README shows what it prints."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: Far above what it takes.
PATIENCE_S = 100.0
#: What differs from run to run: a session's id, a checkpoint's, a plan's, the time of day, the temporary directory.
VARYING = (
    (re.compile(r"\b\d{4}-[0-9a-z]{12}\b"), "SESSION"),
    (re.compile(r"checkpoint [0-9a-z]{10}\b"), "CHECKPOINT"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "PLAN"),
    (re.compile(r"\b\d\d:\d\d UTC"), "TIME"),
    (re.compile(r"/\S*/rewindd-demo-\w+"), "DIRECTORY"),
)


def demo(command: list[str], aside: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "TMPDIR": str(aside)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def same(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text


@pytest.fixture
def aside() -> Iterator[Path]:
    """A directory for temporary files with a short name: a socket's path has 107 bytes at most (unix(7))."""
    with tempfile.TemporaryDirectory(prefix="rd-", dir="/tmp") as directory:
        yield Path(directory)


def test_readme_shows_what_it_prints(aside: Path) -> None:
    """It ends well, leaves neither files nor a daemon, and README's transcript is what it printed."""
    done = demo([str(ROOT / "scripts" / "demo-agents")], aside)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(aside.iterdir()) == []
    (shown,) = re.findall(r"^```console\n\$ scripts/demo-agents\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert same(done.stdout) == same(shown)


def test_what_is_not_so_ends_it(tmp_path: Path, aside: Path) -> None:
    """Where something is not as it tells, it says what, exits with 1, and leaves nothing all the same."""
    source = (ROOT / "scripts" / "demo-agents.py").read_text()
    other = tmp_path / "demo.py"
    other.write_text(source.replace("edited(*WORDS, *PERSON)", "edited(*WORDS)"))
    assert other.read_text() != source
    done = demo([sys.executable, "-I", str(other)], aside)
    assert (done.returncode, "FAILED: taxes' three edits are gone" in done.stderr) == (1, True)
    assert list(aside.iterdir()) == []

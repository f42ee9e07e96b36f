"""The scripts, as far as nothing has to be installed or run for it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Those in bash; what is sourced says so to shellcheck.
SCRIPTS = [path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and "bash" in path.read_text().partition("\n")[0]]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_is_silent() -> None:
    """No script has what shellcheck warns of."""
    assert {"install", "uninstall", "environment", "places"} <= {path.name for path in SCRIPTS}
    done = subprocess.run(["shellcheck", *map(str, SCRIPTS), str(ROOT / ".ci/run")], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout + done.stderr == ""


def run(script: str, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(home / "run")}
    return subprocess.run([ROOT / "scripts" / script, *arguments], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", ["install", "uninstall"])
def test_a_wrong_word_is_usage(script: str, tmp_path: Path) -> None:
    """Exit 2, on stderr, with nothing done; `--help` is exit 0."""
    done = run(script, tmp_path, "--frobnicate")
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert done.stderr.startswith("usage:")
    assert run(script, tmp_path, "--help").returncode == 0


def test_nothing_to_uninstall(tmp_path: Path) -> None:
    """Where nothing was installed it says so, and touches no data; only a purge that was agreed to does."""
    store = tmp_path / ".local/share/rewindd/store.db"
    store.parent.mkdir(parents=True)
    store.touch()
    assert run("uninstall", tmp_path).returncode == 1
    asked = run("uninstall", tmp_path, "--purge")
    assert (asked.returncode, "needs --yes" in asked.stderr) == (1, True)
    assert store.exists()
    assert run("uninstall", tmp_path, "--purge", "--yes").returncode == 0
    assert not store.parent.exists()


def test_what_somebody_else_installed_is_not_replaced(tmp_path: Path) -> None:
    """A program of that name that is not this script's is left alone, and nothing is written."""
    other = tmp_path / ".local/bin/rewindctl"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    done = run("install", tmp_path)
    assert (done.returncode, str(other) in done.stderr) == (1, True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]


def test_a_dry_run_without_a_manager(tmp_path: Path) -> None:
    """It names each path and writes none, and says that there is no systemd to ask."""
    done = run("install", tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"would write {tmp_path}/.local/share/man/man1/rewindd.1" in done.stdout
    assert "no systemd of this user's can be asked" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_hardened_service_is_told(tmp_path: Path) -> None:
    """Where an earlier installation hardened the service, one that does not ask for it says that it stays so, and how to take it back."""
    strict = tmp_path / ".config/systemd/user/rewindd.service.d/strict.conf"
    assert "stays hardened" not in run("install", tmp_path, "--dry-run").stdout
    assert str(strict) not in run("install", tmp_path, "--dry-run", "--no-strict").stdout
    strict.parent.mkdir(parents=True)
    strict.write_text("[Service]\n")
    said = run("install", tmp_path, "--dry-run").stdout
    assert f"the service stays hardened further, by {strict}; `scripts/install --no-strict` takes that back" in said
    assert f"would remove {strict}" in run("install", tmp_path, "--dry-run", "--no-strict").stdout
    assert strict.read_text() == "[Service]\n"

"""Sixteen processes in one tree: each has its own session, its own files, and its own lines in files that all of them edit."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from rewindd import blocking
from rewindd.model.versions import Directory, File, Symlink, Version
from rewindd.paths import ROOT, RelPath
from rewindd.store import edits, index, workspaces
from rewindd.store.database import Connection
from rewindd.store.thread import StoreThread
from support import one_tree
from support.daemon import RealDaemon, real_daemon
from support.desk import Photograph, photograph
from support.dying import log_faults
from support.one_tree import Tally, fill, found

AGENTS = 16
#: Rounds of a usual run: four edits, two saves, a rewind and perhaps its undo in each.
ROUNDS = 2
#: How long a long run works.
LONG_S = 150.0
#: Far above what it takes, so that only what hangs uses it up.
PATIENCE_S = 900.0


def work(daemon: RealDaemon, root: Path, seconds: float, rounds: int) -> list[Tally]:
    """Lets the agents work, all at once; returns what each tells."""
    locks = daemon.directory / "locks"
    locks.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(one_tree.__file__).parents[1]), *sys.path[1:]])}
    program = [sys.executable, one_tree.__file__, daemon.socket, str(root), str(locks)]
    commands = [[*program, str(number), str(seconds), str(rounds)] for number in range(AGENTS)]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for command in commands]
    try:
        told = [process.communicate(timeout=seconds + PATIENCE_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * AGENTS
    return [msgspec.json.decode(each, type=Tally) for each in told]


def logged(daemon: RealDaemon) -> dict[RelPath, Version]:
    """What every path came to, row by row; what never changed is in the index alone."""

    def read(db: Connection) -> dict[RelPath, Version]:
        (workspace,) = workspaces.all_of(db)
        rows = {row.path: row.after for row in edits.since(db, workspace.id, 0)}
        return {entry.path: entry.version for entry in index.load(db, workspace.id)} | rows

    store = StoreThread(str(daemon.data_dir))
    try:
        return store.submit(read).result()
    finally:
        store.close()


def of_log(daemon: RealDaemon) -> Photograph:
    """What the tree must be by the log: a file's content is its digest."""
    seen: Photograph = {}
    for path, version in logged(daemon).items():
        if isinstance(version, File):
            seen[str(path)] = ("file", version.mode, version.digest)
        elif isinstance(version, Symlink):
            seen[str(path)] = ("symlink", 0, os.fsencode(version.target))
        elif isinstance(version, Directory):
            seen[str(path)] = ("directory", version.mode, b"")
    seen.pop(ROOT, None)
    return seen


def with_digests(tree: Photograph) -> Photograph:
    """The tree with each file's digest in place of its content."""
    return {path: (kind, mode, blake3(content).digest() if kind == "file" else content) for path, (kind, mode, content) in tree.items()}


def check(directory: Path, seconds: float, rounds: int, capsys: pytest.CaptureFixture[str]) -> list[Tally]:
    """Lets them work, and compares the tree with what each of them did last, and with the log."""
    with real_daemon(directory) as daemon:
        root = daemon.directory / "tree"
        fill(root, AGENTS)
        tallies = work(daemon, root, seconds, rounds)
        assert [wrong for tally in tallies for wrong in tally.wrong] == []
        assert [found(root, number) for number in range(AGENTS)] == [tally.mine for tally in tallies]
        with blocking.connect(socket=daemon.socket, autostart=False) as client, client.session(root, agent="the last") as session:
            session.materialize(session.save().id, daemon.directory / "copy")
        assert photograph(daemon.directory / "copy") == photograph(root), "what the store holds is not what is on disk"
        assert daemon.said() == ""
        daemon.stop()
        assert log_faults(str(daemon.directory)) == []
        assert of_log(daemon) == with_digests(photograph(root)), "the log does not come to what is on disk"
    with capsys.disabled():
        saves, rewinds, undos = (sum(getattr(tally, name) for tally in tallies) for name in ("saves", "rewinds", "undos"))
        print(f"\n{AGENTS} processes in one tree: {saves} saves, {rewinds} rewinds, {undos} undos")
    return tallies


def test_16_processes_in_one_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every save that was acknowledged is at its checkpoint, every answer is its caller's, and the log comes to what is on disk."""
    tallies = check(tmp_path.resolve(), 0, ROUNDS, capsys)
    assert [(tally.saves, tally.rewinds) for tally in tallies] == [(2 * ROUNDS, ROUNDS)] * AGENTS


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_16_processes_in_one_tree_for_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, for minutes: nobody waits for ever."""
    tallies = check(tmp_path.resolve(), LONG_S, ROUNDS, capsys)
    assert all(tally.rewinds >= ROUNDS for tally in tallies)

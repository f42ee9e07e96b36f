"""A process that dies at any effect of the store leaves what was answered, whole, and nothing half."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from blake3 import blake3

from rewindd.store import blobs as rows
from rewindd.store.blobs import Blobs
from rewindd.store.thread import StoreThread

#: Saves content after content and prints the number of each once it is answered; every third is large.
_CHILD = """
import io, sys
from rewindd import faults
from rewindd.store import answers, blobs as rows
from rewindd.store.blobs import Blobs
from rewindd.store.thread import StoreThread

store = StoreThread(sys.argv[1])
blobs = Blobs(sys.argv[1])
blobs.sweep()
faults.arm(faults.from_spec(sys.argv[2]))
for number in range(6):
    content = b"content %d\\n" % number * (100_000 if number % 3 == 2 else 1)
    if number % 3 == 2:
        digest, size = blobs.stream_in(io.BytesIO(content).read)
        put = lambda db: rows.put_file(db, digest, size, blobs.stored_bytes(digest))
    else:
        blob = blobs.inline(content)
        put = lambda db: rows.put_inline(db, [blob])
    def save(db):
        put(db)
        answers.put(db, "s", str(number), b"", b"", number)
    store.submit(save).result()
    print(number, flush=True)
faults.arm(None)
store.close()
"""


def _content(number: int) -> bytes:
    return b"content %d\n" % number * (100_000 if number % 3 == 2 else 1)


def _run(directory: Path, spec: str) -> tuple[int, list[int]]:
    child = subprocess.run([sys.executable, "-c", _CHILD, str(directory), spec], capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode in (0, -signal.SIGKILL), child.stderr
    return child.returncode, [int(line) for line in child.stdout.split()]


def _check(directory: Path, answered: list[int]) -> None:
    """What was answered is there; at most one more is, whole."""
    store, blobs = StoreThread(str(directory)), Blobs(str(directory))
    blobs.sweep()
    assert not list((directory / "blobs").glob(".new-*"))
    assert store.submit(lambda db: db.execute("PRAGMA integrity_check").fetchone()[0]).result() == "ok"
    keys = store.submit(lambda db: db.execute("SELECT at_ns FROM answers ORDER BY at_ns").fetchall()).result()
    kept = [number for (number,) in keys]
    assert kept in (answered, [*answered, len(answered)])
    for number in kept:
        digest = blake3(_content(number)).digest()
        content = store.submit(partial(rows.get, digest=digest)).result()
        assert (content if isinstance(content, bytes) else b"".join(blobs.open_chunks(digest))) == _content(number)
    store.close()


def test_death_at_each_effect(tmp_path: Path) -> None:
    """For every n: killed at the nth effect, everything answered before is there, and the next life goes on."""
    number, code = 0, -signal.SIGKILL
    while code:
        number += 1
        directory = tmp_path / str(number)
        code, answered = _run(directory, f"die:{number}")
        _check(directory, answered)
    # 6 transactions with a moment before and after each, 2 files with 3 writes at least, a sync and a rename each.
    assert number > 6 * 2 + 2 * 5


def test_life_after_death(tmp_path: Path) -> None:
    """A store whose process died is used again, and dies again, without losing anything that any life answered."""
    ever: set[int] = set()
    for death in (3, 1, 2, 9, 12):
        code, answered = _run(tmp_path / "store", f"die:{death}:store.commit")
        assert code == -signal.SIGKILL
        ever.update(answered)
        store = StoreThread(str(tmp_path / "store"))
        kept = store.submit(lambda db: {number for (number,) in db.execute("SELECT at_ns FROM answers")}).result()
        store.close()
        assert ever <= kept
    assert len(ever) > 3

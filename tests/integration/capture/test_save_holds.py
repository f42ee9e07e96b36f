"""What a save holds: every path as it was at a moment after the request arrived, whoever writes and however fast."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd.client.blocking_session import Session
from rewindd.protocol import replies, requests
from support import scribe
from support.daemon import PATIENCE_S
from support.scribe import ABSENT, STYLES, Board
from support.yard import Yard, differing

#: Saves of one run, and how many long runs there are each way.
SHORT, LONG, RUNS = 100, 500, 10
#: Of all comparisons at most such a part may be missing, because the path changed whenever it was read.
MOST_MISSING = 0.2

CHANGING = "changing while read"


class Reader:
    """The captured state of the files, read from the daemon; contents that it has seen it does not ask for again."""

    def __init__(self, client: rewindd.blocking.Client, session: Session) -> None:
        self._client, self._session = client, session
        self._states: dict[str, int] = {}

    def at(self, position: str) -> dict[str, int]:
        """Returns each captured file with the state that its content tells."""
        blobs: dict[str, str] = {}
        after = None
        while True:
            page = self._client.ask(requests.ListTree(session=self._session.id, position=position, after=after), replies.TreePage)
            for one in page.entries:
                assert one.version is not None
                assert one.version.kind in ("file", "directory"), one
                if one.version.blob is not None:
                    blobs[str(one.path)] = one.version.blob
            if not page.more:
                break
            position, after = page.position, page.entries[-1].path
        self._states = {blob: state for blob, state in self._states.items() if blob in blobs.values()}
        missing = sorted({blob for path, blob in blobs.items() if blob not in self._states and path != "still"})
        while missing:
            came = self._client.ask(requests.ReadBlobs(session=self._session.id, blobs=missing), replies.Contents).contents
            self._states.update((blob, scribe.state_in(content or b"")) for blob, content in zip(missing, came, strict=False))
            missing = missing[len(came) :]
        return {path: self._states[blob] for path, blob in blobs.items() if path != "still"}


@contextmanager
def writers(root: Path, board: Path) -> Iterator[None]:
    """One process of each style writes for the block; all have ended after it."""
    command = [sys.executable, "-m", "support.scribe", str(root), str(board)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(len(STYLES)):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            started.append(subprocess.Popen([*command, str(number)], cwd=Path(scribe.__file__).parents[1], **pipes))  # type: ignore[call-overload]
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == b"ready\n"
        yield
        for one in started:
            one.communicate(timeout=PATIENCE_S)
            assert one.returncode == 0
    finally:
        for one in started:
            one.kill()
            one.communicate()


def excused(session: Session, made: replies.Summary) -> set[str]:
    """The paths that the checkpoint says it does not hold; only for being written whenever they were read."""
    listed = made.incomplete.first if made.incomplete.count <= len(made.incomplete.first) else session.load(made.id).incomplete
    assert len(listed) == made.incomplete.count
    assert {one.reason for one in listed} <= {CHANGING}, listed
    return {str(one.path) for one in listed}


def run(yard: Yard, count: int, board_path: Path) -> None:
    """So many saves beside the writers; then one more when they have ended, which must be the disk."""
    yard.git("init", "-q")
    yard.write("still", "nobody writes this\n")
    board, seen = Board(board_path), Counter[str]()
    places = scribe.paths()
    with yard.client() as client, yard.session() as session:
        reader = Reader(client, session)
        session.save()
        with writers(yard.root, board_path):
            for _ in range(count):
                done = board.done()
                made = session.save()
                begun = board.begun()
                missing, held = excused(session, made), reader.at(made.id)
                seen["missing"] += len(missing)
                for path, slot in places.items():
                    found = held.get(path, ABSENT)
                    seen["absent" if found < 0 else "file"] += 1
                    if path not in missing and not scribe.can_be(path, found, done[slot], begun[slot]):
                        rows = [(one.seq, one.change, one.source) for one in yard.log(session, path)][-5:]
                        raise AssertionError(f"{path}: state {found}, not in {done[slot]}..{begun[slot]}; #{made.id} {rows}")
                assert len([path for path in held if path not in places and not path.endswith((".beside", "still"))]) == 0
        last = session.save()
        assert last.incomplete.count == 0
        assert not differing(yard.disk(), yard.listed(session, last.id))
    board.close()
    compared = count * len(places)
    assert seen["missing"] <= MOST_MISSING * compared, seen
    assert min(seen["absent"], seen["file"]) > compared / 20, seen


def test_what_a_save_holds(yard: Yard, tmp_path: Path) -> None:
    """Beside writers in other processes each save holds every path as it was after the request arrived, or says that it does not."""
    run(yard, SHORT, tmp_path / "board")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(RUNS))
def test_what_ten_thousand_saves_hold(yard: Yard, tmp_path: Path, number: int) -> None:
    """The same 10,000 times, half of them with the feed and half without."""
    del number
    run(yard, LONG, tmp_path / "board")

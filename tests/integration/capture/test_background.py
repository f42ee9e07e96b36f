"""What changes gets into the log without any request, and whose it is."""

import subprocess
import sys
import time

import pytest

from rewindd.client.blocking_session import Session
from support.yard import Yard, until


def sources(yard: Yard, session: Session, path: str) -> list[tuple[str, str | None, str]]:
    """What the log says of a path: the change, whose, and its source."""
    return [(one.change, one.session_id, one.source) for one in yard.log(session, path)]


def test_a_change_is_noticed(yard: Yard) -> None:
    """A file that is written and left alone is in the log soon, and nobody's, in the scan's time where nothing is watched."""
    with yard.session() as session:
        session.save()
        before = yard.rows()
        yard.write("new/deep/file", "1\n")
        until(lambda: yard.rows() > before)
        assert sources(yard, session, "new/deep/file") == [("added", None, "external")]
        (row,) = yard.log(session, "new/deep/file")
        assert session.show(f"#{row.seq}", "new/deep/file").content == b"1\n"


@pytest.mark.parametrize("watching", ["fed"], indirect=True)
class TestWatched:
    """What the feed alone makes possible."""

    def test_it_is_whose_window_is_open(self, yard: Yard) -> None:
        """What is noticed while one session has a window open is that session's."""
        yard.write("old", "0\n")
        with yard.session(session_id=f"window-{yard.root.name}") as session:
            session.save()
            with session.command("make"):
                before = yard.rows()
                yard.write("old", "1\n")
                until(lambda: yard.rows() > before)
            assert sources(yard, session, "old") == [("modified", session.id, "command")]

    def test_made_and_deleted_between_two_saves(self, yard: Yard) -> None:
        """A file that was quiet for a moment and went before the next save can still be had: shown, and brought back."""
        with yard.session() as session:
            session.save()
            before = yard.rows()
            yard.write("short/lived", "worth something\n", 0o640)
            until(lambda: yard.rows() > before)
            (yard.root / "short/lived").unlink()
            (yard.root / "short").rmdir()
            last = session.save()
            assert "short" not in yard.listed(session, last.id)
            (row, *_) = yard.log(session, "short/lived")
            assert session.show(f"#{row.seq}", "short/lived").content == b"worth something\n"
            assert set(session.restore("short").restored) == {"short", "short/lived"}
            assert (yard.root / "short/lived").read_text() == "worth something\n"
            assert (yard.root / "short/lived").stat().st_mode & 0o777 == 0o640

    def test_a_file_that_is_never_quiet(self, yard: Yard) -> None:
        """A file that is written all the while is noticed all the same, after five seconds; nothing is noticed before it is quiet."""
        program = "import sys,time\nwhile True:\n open(sys.argv[1],'a').write('more\\n'); time.sleep(0.05)"
        with yard.session() as session:
            session.save()
            path, before = yard.root / "growing", yard.rows()
            began_s = time.monotonic()
            with subprocess.Popen([sys.executable, "-c", program, str(path)]) as writer:
                try:
                    until(lambda: yard.rows() > before)
                    assert 3.0 < time.monotonic() - began_s < 15.0
                finally:
                    writer.kill()

    def test_nobody_listens(self, yard: Yard) -> None:
        """Where no session is active nothing is noticed; who opens the next one finds it observed, and nobody's."""
        yard.write("old", "0\n")
        with yard.session() as session:
            session.save()
            session.close()
        yard.write("old", "1\n")
        with yard.session(session_id=f"later-{yard.root.name}") as later:
            assert sources(yard, later, "old") == [("modified", None, "external")]
            later.save()
            assert later.rewind("@", scope="session").left is None

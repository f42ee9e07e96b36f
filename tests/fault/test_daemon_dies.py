"""The daemon process dies, or its disk is full, while a client waits; and an editor that saves all the while."""

import os
import queue
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd import errors
from rewindd.client.blocking_session import Session
from support.daemon import RealDaemon, real_daemon
from support.photograph import photograph

SESSION = "the-session"
#: Seconds of silence that the waiting client allows; a restart takes less than one.
LIMIT_S = 20.0


def text(*changed: str) -> str:
    """Forty lines; each argument, `N words`, in place of line N."""
    lines = [f"line {number}" for number in range(40)]
    for line in changed:
        lines[int(line.split()[0])] = line
    return "\n".join(lines) + "\n"


@contextmanager
def at_work(daemon: RealDaemon, root: Path) -> Iterator[Session]:
    """The session's handle, from a client of its own."""
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=LIMIT_S) as client:
        with client.session(root, agent="tests", session_id=SESSION, capture="snapshots") as session:
            yield session


@contextmanager
def dying(daemon: RealDaemon, fault: str) -> Iterator[None]:
    """The daemon lives with the fault armed; when it dies of it, the next one is started, as a service manager would."""
    daemon.stop()
    daemon.start(env={"REWINDD_FAULTS": fault})
    ended: list[int] = []

    def keep() -> None:
        ended.append(daemon.wait())
        daemon.start(wait=False)

    keeper = threading.Thread(target=keep)
    keeper.start()
    yield
    keeper.join(LIMIT_S)
    assert ended == [-9], f"{fault}: {ended}"
    daemon.wait_until_up()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path.resolve() / "tree"
    found.mkdir()
    (found / "file").write_text(text())
    (found / "gone").write_text(text())
    return found


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RealDaemon]:
    with real_daemon(tmp_path.resolve()) as found:
        yield found


def statuses(daemon: RealDaemon) -> list[str]:
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
        return [one.outcome for one in client.status().recovered]


FEW_SAVES = ["die:1:store.blob.sync", "die:1:store.commit", "die:3:store.committed"]
FEW_REWINDS = ["die:1:tree.stage", "die:1:tree.exchange", "die:2:tree.unstage", "die:4:store.committed"]


def test_the_daemon_dies_in_a_save(daemon: RealDaemon, root: Path) -> None:
    """The client that waits gets its answer from the next daemon; the checkpoint is there once, whole."""
    for number, fault in enumerate(FEW_SAVES):
        with at_work(daemon, root) as session:
            session.snapshot(".")
        (root / "file").write_text(text(f"3 {fault}"))
        (root / "big").write_bytes(os.urandom(400_000))
        kept = photograph(root)
        with dying(daemon, fault), at_work(daemon, root) as session:
            session.history.add_user_message(fault)
            summary = session.save(fault)
        with at_work(daemon, root) as session:
            assert [one.label for one in session.list()] == FEW_SAVES[: number + 1]
            shown = session.load(summary.id, content=True)
        assert shown.user_prompts == FEW_SAVES[: number + 1]
        assert {diff.path for diff in shown.file_diffs} == {"file", "big"}
        assert next(diff.after.text for diff in shown.file_diffs if diff.path == "file" and diff.after) == text(f"3 {fault}")
        assert photograph(root) == kept
        assert statuses(daemon) == []


def test_the_daemon_dies_in_a_rewind(daemon: RealDaemon, root: Path) -> None:
    """The client that waits gets its answer from the next daemon, which says what it finished; the tree is as it was."""
    for fault in FEW_REWINDS:
        with at_work(daemon, root) as session:
            session.snapshot(".")
            (root / "file").write_text(text(f"3 first {fault}"))
            (root / "gone").write_text(text())
            first = session.save()
            wanted = photograph(root)
            session.snapshot(".")
            (root / "file").write_text(text(f"3 second {fault}"))
            (root / "gone").unlink()
            (root / "new").write_text("new\n")
            session.save()
        before = photograph(root)
        with dying(daemon, fault), at_work(daemon, root) as session:
            result = session.rewind(first.id)
        assert result.head == first.id
        assert {*result.restored, *result.removed} == {"file", "gone", "new"}
        assert photograph(root) == wanted, fault
        assert len(statuses(daemon)) <= 1
        with at_work(daemon, root) as session:
            session.undo()
            assert photograph(root) == before, fault
            session.redo()
            assert photograph(root) == wanted, fault


def wait_without_asking(daemon: RealDaemon, root: Path) -> None:
    """Returns when it serves a session; nobody has asked for its `status` by then."""
    for _ in range(int(LIMIT_S / 0.05)):
        with suppress(errors.TransportError), at_work(daemon, root) as session:
            session.list()
            return
        select.select([], [], [], 0.05)
    pytest.fail(daemon.said())


def test_what_was_recovered_is_told_to_who_asks_first(daemon: RealDaemon, root: Path) -> None:
    """Also where the daemon that recovered was ended, or killed, before anybody asked it; the one after is silent."""
    with at_work(daemon, root) as session:
        session.snapshot(".")
        first = session.save()
        session.snapshot(".")
        (root / "file").write_text(text("3 second"))
        (root / "gone").unlink()
        session.save()
    daemon.stop()
    daemon.start(env={"REWINDD_FAULTS": "die:1:tree.exchange"})
    with suppress(errors.RewinddError), rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=1) as client:
        with client.session(root, agent="tests", session_id=SESSION, capture="snapshots") as session:
            session.rewind(first.id)
    daemon.wait()
    for end in (daemon.stop, daemon.kill):
        daemon.start(wait=False)
        wait_without_asking(daemon, root)
        end()
    daemon.start()
    assert statuses(daemon) == ["done"]
    daemon.restart()
    assert statuses(daemon) == []


def test_nobody_starts_it_again(tmp_path: Path, root: Path) -> None:
    """A client whose daemon stays dead ends within its limit, and says that the outcome is not known."""
    daemon = RealDaemon(tmp_path.resolve())
    try:
        daemon.start()
        with at_work(daemon, root) as session:
            session.snapshot(".")
        daemon.stop()
        daemon.start(env={"REWINDD_FAULTS": "die:1:store.blob.sync"})
        (root / "file").write_bytes(os.urandom(400_000))
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=1.0) as client:
            with client.session(root, session_id=SESSION, capture="snapshots") as session:
                with pytest.raises(errors.OutcomeUnknown):
                    session.save("lost")
                assert daemon.wait() == -9
                daemon.start()
                assert session.save("again").files == 1
                assert [one.label for one in session.list()][-1] == "again"
    finally:
        daemon.kill()


def test_a_full_disk(daemon: RealDaemon, root: Path) -> None:
    """The store has no room for a moment: the save says so, the daemon lives on, and the next save has everything."""
    with at_work(daemon, root) as session:
        session.snapshot(".")
    daemon.stop()
    daemon.start(env={"REWINDD_FAULTS": "ENOSPC:1:store.blob.write"})
    pid = daemon.pid
    (root / "big").write_bytes(os.urandom(400_000))
    with at_work(daemon, root) as session:
        with pytest.raises(errors.StoreFull):
            session.save()
        assert session.save().files == 1
    assert daemon.process is not None
    assert (daemon.pid, daemon.process.poll()) == (pid, None)


class Editor:
    """Saves a file atomically, in a thread, as often as it is asked to: each save is one line that counts. Holds still when asked."""

    def __init__(self, place: Path) -> None:
        self._place, self._count = place, 0
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._still = threading.Lock()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> "Editor":
        self._save()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wanted.put(None)
        self._thread.join()

    def save_often(self, times: int) -> None:
        """Begins to save, and goes on so many times."""
        self._wanted.put(times)

    @contextmanager
    def holding_still(self) -> Iterator[str]:
        """Gives the line that it saved last."""
        with self._still:
            yield f"30 by the editor, save {self._count}"

    def _live(self) -> None:
        while (times := self._wanted.get()) is not None:
            for _ in range(times):
                self._save()

    def _save(self) -> None:
        with self._still:
            temporary = self._place.with_name(".file.swp")
            temporary.write_text(text("3 second", f"30 by the editor, save {self._count + 1}"))
            temporary.replace(self._place)
            self._count += 1


def test_an_editor_saves_all_the_while(daemon: RealDaemon, root: Path) -> None:
    """Rewinds to and fro of a file that an editor saves atomically at every moment: its last save is always there."""
    outcomes: list[str] = []
    with at_work(daemon, root) as session:
        session.snapshot("file")
        (root / "file").write_text(text("3 first"))
        first = session.save()
        session.snapshot("file")
        (root / "file").write_text(text("3 second"))
        second = session.save()
        with Editor(root / "file") as editor:
            for turn in range(80):
                target = (first, second)[turn % 2]
                editor.save_often(turn % 8 * 12)
                try:
                    result = session.rewind(target.id)
                except errors.Conflict:
                    outcomes.append("conflict")
                else:
                    outcomes.append("kept" if result.kept else "merged" if result.merged else "done")
                with editor.holding_still() as line:
                    assert line in (root / "file").read_text().splitlines(), f"{turn}: {outcomes[-1]}"
    assert [name for name in photograph(root) if ".rewindd-" in name] == []
    assert {"kept", "merged"} <= {*outcomes}, outcomes

"""A day's operations, a round at a time, against one daemon; and what the daemon holds of the system's, to be compared before and after."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import zmq

import rewindd.blocking
from rewindd.protocol import replies, requests, wire
from support.daemon import PATIENCE_S, RealDaemon
from support.grants import Box, grant, revoke

#: Files of the workspace, and of the one that comes and goes.
FILES, PASSING = 60, 20
#: Threads by which two looks may differ; fewer than the rounds between them.
WORKERS = 3
#: Requests that are sent and whose answers nobody reads.
UNREAD = 40
#: Who opens a session, a window and a bracket, says so, and is gone before any of them is over.
_WHO_DIES = """
import os, signal, sys
import rewindd.blocking
client = rewindd.blocking.connect(socket=sys.argv[1], autostart=False).__enter__()
session = client.session(sys.argv[2], session_id=sys.argv[3]).__enter__()
session.command("make").__enter__()
session.editing("dying").__enter__()
open(os.path.join(sys.argv[2], "dying"), "a").write("half\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Footprint:
    """What a daemon that has nothing to do holds: descriptors by what they are, threads, tasks, watched directories, files."""

    descriptors: dict[str, int]
    threads: int
    tasks: list[str]
    watches: int
    run: list[str]
    data: list[str]


class Day:
    """Rounds of everything, in one workspace that stays and one that comes and goes; its sessions are the same each day."""

    def __init__(self, daemon: RealDaemon) -> None:
        self.daemon, self.rounds = daemon, 0
        self.root = daemon.directory / "tree"
        for number in range(FILES):
            self._write(f"d{number % 6}/f{number}", f"{number}\n" * 20)

    def spend(self, rounds: int) -> None:
        """Does all of it so often."""
        for _ in range(rounds):
            self.rounds += 1
            with rewindd.blocking.connect(socket=self.daemon.socket, autostart=False, timeout_s=PATIENCE_S * 4) as client:
                self._work(client)
                self._come_and_go(client)
                self._through_a_grant(client)
                self._tend(client)
            self._die()
            self._leave_unread()

    def footprint(self) -> Footprint:
        """What the daemon holds now."""
        own = Path(f"/proc/{self.daemon.pid}")
        watches = 0
        kinds: Counter[str] = Counter()
        for one in os.listdir(own / "fd"):
            try:
                to = os.readlink(own / "fd" / one)
                told = (own / "fdinfo" / one).read_text()
            except FileNotFoundError:  # closed meanwhile
                continue
            kinds[to.partition(":")[0] if to.startswith(("socket:", "pipe:")) else to] += 1
            watches += told.count("inotify wd:")
        run, data = ([str(each.relative_to(top)) for each in sorted(top.rglob("*"))] for top in self._places())
        return Footprint(
            descriptors=dict(sorted(kinds.items())),
            threads=len(os.listdir(own / "task")),
            tasks=self._tasks(),
            watches=watches,
            run=run,
            data=sorted(name for name in data if not name.startswith(("blobs/", "packs/"))),
        )

    def settled(self, wanted: Footprint | None = None) -> Footprint:
        """Returns what it holds when that stays, or is what is wanted: connections end, and work behind the answers, a moment later.

        Fewer watches than wanted are as good: where nobody is at work they end some seconds later. So are some threads more or less,
        of those that work wherever a call blocks: they come as they are needed, and stay a while.
        """
        last = self._told(wanted)
        for _ in range(int(PATIENCE_S / 0.5)):
            select.select([], [], [], 0.5)
            now = self._told(wanted)
            if now == wanted or (wanted is None and now == last):
                return now
            last = now
        return last

    def _told(self, wanted: Footprint | None) -> Footprint:
        found = self.footprint()
        if wanted is not None and found.watches <= wanted.watches:
            found = replace(found, watches=wanted.watches)
        if wanted is not None and abs(found.threads - wanted.threads) <= WORKERS:
            found = replace(found, threads=wanted.threads)
        return found

    # ---- what is done

    def _work(self, client: rewindd.blocking.Client) -> None:
        with client.session(self.root, session_id="one") as mine, client.session(self.root, session_id="other") as theirs:
            start = mine.save("the beginning")
            with mine.editing("d1/f1"):
                self._write("d1/f1", f"in a bracket {self.rounds}\n")
            with mine.command("make"):
                self._write(f"d2/made-{self.rounds % 5}", f"by a command {self.rounds}\n" * 50)
            with mine.turn("now this"):
                mine.history.add_user_message(f"prompt {self.rounds}")
                mine.snapshot("d3/f3")
                self._write("d3/f3", f"after a snapshot {self.rounds}\n")
            theirs.snapshot("d1/f1", "d3/f3")
            self._write("d3/f3", f"of the other {self.rounds}\n")
            client.ask(requests.ReadEvents(session=mine.id, wait_ms=20), replies.Notices)
            theirs.save()
            barrier = client.barrier(self.root, f"barrier {self.rounds}")
            mine.snapshot("d4")
            shutil.rmtree(self.root / "d4")
            mine.save("removed")
            mine.rewind("@", before=True, on_conflict="keep")
            mine.undo()
            mine.redo()
            mine.restore("d4/f4", position=start.id)
            assert (self.root / "d4" / "f4").is_file()
            mine.rewind(f"barrier:{barrier.id}")
            mine.undo()
            mine.rewind(start.id, on_conflict="keep", dry_run=True)
            mine.rewind(start.id, on_conflict="keep")
            mine.pending(patch=True)
            mine.list()
            mine.load(start.id, content=True)
            mine.show("@", "d1/f1")
            mine.blame("d1/f1")
            client.barriers(self.root)
            client.checkpoints(self.root)
            copied = self.daemon.directory / "copied"
            mine.materialize(start.id, copied)
            shutil.rmtree(copied)
            mine.close()
            theirs.close()

    def _come_and_go(self, client: rewindd.blocking.Client) -> None:
        """A workspace that is worked in, forgotten, and removed."""
        root = self.daemon.directory / f"passing-{self.rounds}"
        for number in range(PASSING):
            self._write(str(root / f"deep/{number}/file"), f"{self.rounds} {number}\n")
        with client.session(root) as session:
            session.snapshot("deep")
            shutil.rmtree(root / "deep" / "1")
            session.save()
            session.rewind("@", before=True)
            session.close()
        client.forget(root)
        shutil.rmtree(root)

    def _through_a_grant(self, client: rewindd.blocking.Client) -> None:
        granted = grant(client, self.root)
        with zmq.Context[zmq.Socket[bytes]]() as context:
            box = Box(context, str(granted.socket))
            opened = box.exchange("session.open", directory=b"/box/project", agent="sandboxed")
            assert opened["ok"], opened
            session = rewindd_id(opened)
            assert box.exchange("snapshot", session=session, paths=[b"d5/f5"])["ok"]
            self._write("d5/f5", f"in a sandbox {self.rounds}\n")
            assert box.exchange("save", session=session)["ok"]
            assert not box.exchange("status")["ok"]
            if self.rounds % 2:
                revoke(client, granted)
                box.socket.close()
            else:
                box.socket.close()
                revoke(client, granted)
        client.forget(session)

    def _tend(self, client: rewindd.blocking.Client) -> None:
        copy = self.daemon.directory / "copy"
        client.prune()
        client.gc()
        assert client.verify(sample=20, drill=1).damage == []
        client.backup(copy)
        shutil.rmtree(copy)
        client.status()
        client.sessions(self.root, closed=True)

    def _die(self) -> None:
        """A client that is killed in the middle; what it held ends with it."""
        done = subprocess.run([sys.executable, "-c", _WHO_DIES, self.daemon.socket, str(self.root), "dying"], check=False)
        assert done.returncode == -signal.SIGKILL
        with rewindd.blocking.connect(socket=self.daemon.socket, autostart=False) as client:
            with client.session(self.root, session_id="dying") as session:
                session.save()
                session.close()

    def _leave_unread(self) -> None:
        """Asks, and goes before the answers come."""
        asked = wire.encode_request(requests.ListSessions(all=True), 1)
        with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.DEALER) as dealer:
            dealer.setsockopt(zmq.LINGER, int(PATIENCE_S * 1000))
            dealer.connect(f"ipc://{self.daemon.socket}")
            for _ in range(UNREAD):
                dealer.send(asked)

    # ---- means

    def _write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def _places(self) -> tuple[Path, Path]:
        return self.daemon.directory / "run", self.daemon.data_dir

    def _tasks(self) -> list[str]:
        """The awaits of all tasks, as the daemon tells them on SIGUSR1."""
        marker = "end of the tasks"
        dumps = self.daemon.said().count(marker)
        os.kill(self.daemon.pid, signal.SIGUSR1)
        for _ in range(int(PATIENCE_S / 0.01)):
            if self.daemon.said().count(marker) > dumps:
                break
            select.select([], [], [], 0.01)
        told = self.daemon.said().rpartition("tasks (SIGUSR1):")[2].partition(marker)[0].splitlines()
        awaits = [name for line in told if (name := line.rpartition(" in ")[2] if line.startswith("    ") else "|")]
        return sorted(" > ".join(each.split()) for each in "\n".join(awaits).split("|") if each.strip())


def rewindd_id(opened: dict[str, object]) -> str:
    """The id of the session that was opened."""
    session = opened["session"]
    assert isinstance(session, dict)
    return str(session["id"])

"""A small daemon for the client's tests: a ROUTER in a thread that answers as it is told. Also a program: `peer.py SOCKET`."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import zmq

from rewindd import errors
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests, wire

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
Frame = replies.Reply | errors.RewinddError | wire.Progress
#: One frame, several with the seconds after which each is sent, or silence.
Answer = Frame | list[tuple[float, Frame]] | None


def stats(messages: int = 0, tokens: int = 0, tool_calls: int = 0) -> replies.Stats:
    """Statistics of a session."""
    return replies.Stats(
        start_time=NOON, total_messages=messages, total_tool_calls=tool_calls, total_duration_s=0.0, estimated_tokens=tokens
    )


@dataclass
class Book:
    """What the fake keeps: one session, its events and checkpoints, and the answers by key. Outlives a peer, as a store does."""

    root: str = "/work"
    events: list[requests.EventBody] = field(default_factory=list)
    heads: dict[str, int | None] = field(default_factory=dict)
    head: str | None = None
    event: int | None = None
    stats: replies.Stats = field(default_factory=stats)
    answers: dict[str, Frame] = field(default_factory=dict)
    done: list[requests.Request] = field(default_factory=list)

    def answer(self, request: requests.Request) -> Frame:
        """The answer of a daemon that works; each key's effect once."""
        if request.key is not None and request.key in self.answers:
            return self.answers[request.key]
        if request.deadline_ms is not None and request.deadline_ms < time.monotonic() * 1000:
            return errors.Expired("too late")
        try:
            reply = self._do(request)
        except errors.RewinddError as exc:
            return exc
        if request.mutates:
            self.done.append(request)
        if request.key is not None:
            self.answers[request.key] = reply
        return reply

    def _do(self, request: requests.Request) -> replies.Reply:
        match request:
            case requests.Ping():
                return replies.Pong(pid=os.getpid())
            case requests.Stop():
                return replies.Stopping(pid=os.getpid())
            case requests.OpenSession() | requests.ShowSession() | requests.CloseSession():
                return replies.SessionReply(session=self.info())
            case requests.Record(events=events, stats=delta, base=base):
                self._append(events, delta, base)
                return replies.Recorded(recorded=len(events), stats=self.stats, head=self.head, event=self.event)
            case requests.Save(events=events, stats=delta, base=base, label=label):
                self._append(events, delta, base)
                self.head = f"c{len(self.heads) + 1}"
                self.heads[self.head] = self.event
                return replies.Saved(checkpoint=self.summary(self.head, label), event=self.event)
            case requests.Rewind(position=position, base=base, dry_run=dry_run):
                self._check(base)
                if position not in self.heads:
                    raise errors.UnknownCheckpoint(f"no {position}")
                if not dry_run:
                    self.head, self.event = position, self.heads[position]
                return self._rewound(position, dry_run)
            case requests.TakeSnapshot(paths=paths) | requests.BeginEdit(paths=paths):
                kept = [replies.Kept(path=wire_path(path), kind="file", size=1, blob="00") for path in paths]
                return replies.Snapshots(snapshots=kept, skipped=[], edit="e1" if isinstance(request, requests.BeginEdit) else None)
            case requests.EndEdit() | requests.Release():
                return replies.Released(released=1)
            case requests.ListPending():
                return replies.Changes(changes=[])
            case requests.ListCheckpoints():
                return replies.Checkpoints(checkpoints=[self.summary(name, None) for name in self.heads])
            case requests.ReadBlob(blob=blob, offset=offset):
                data = (blob * 3).encode()
                return replies.Chunk(data=data[offset : offset + 5], size=len(data))
            case _:
                raise errors.UnknownOp(request.op)

    def _check(self, base: requests.Base | None) -> None:
        if base is not None and (base.head, base.event) != (self.head, self.event):
            raise errors.HeadMoved("moved", head=self.head)

    def _append(self, events: list[requests.EventBody], delta: requests.StatsDelta | None, base: requests.Base | None) -> None:
        self._check(base)
        self.events += events
        self.event = len(self.events) if events else self.event
        more = delta or requests.StatsDelta(messages=len(events))
        self.stats = stats(
            self.stats.total_messages + more.messages,
            self.stats.estimated_tokens + more.tokens,
            self.stats.total_tool_calls + more.tool_calls,
        )

    def info(self) -> replies.SessionInfo:
        """The one session."""
        return replies.SessionInfo(
            id="s1",
            workspace="w1",
            root=FsText(self.root),
            agent="a",
            parent_id=None,
            capture="snapshots",
            attribution="declared",
            opened_at=NOON,
            last_seen_at=NOON,
            closed_at=None,
            head=self.head,
            event=self.event,
            stats=self.stats,
        )

    def summary(self, checkpoint: str, label: str | None) -> replies.Summary:
        """A checkpoint."""
        return replies.Summary(
            id=checkpoint,
            session_id="s1",
            parent_id=None,
            label=label,
            created_at=NOON,
            is_head=True,
            automatic=False,
            files=0,
            insertions=0,
            deletions=0,
            stats=self.stats,
            incomplete=replies.Incomplete(count=0, first=[]),
        )

    def _rewound(self, position: str, dry_run: bool) -> replies.RewindResult:
        return replies.RewindResult(
            operation_id=None if dry_run else "o1",
            plan_id="p1",
            checkpoint_id=position,
            dry_run=dry_run,
            head=self.head,
            event=self.event,
            stats=self.stats,
            restored=[],
            removed=[],
            merged=[],
            kept=[],
            conflicts=[],
            steps=[],
            left=None,
            not_quiet=[],
        )


def wire_path(path: FsText) -> RelPath:
    """A path as a reply names it."""
    return RelPath(path)


class Peer:
    """A ROUTER on `socket`, in a thread; answers what `answer` returns, after `delay_s()`."""

    def __init__(self, socket: str, answer: Callable[[requests.Request], Answer], *, delay_s: Callable[[], float] = lambda: 0.0) -> None:
        self.socket, self._answer, self._delay_s = socket, answer, delay_s
        self.received: list[requests.Request] = []
        self.bodies: list[bytes] = []
        self.got_one = threading.Event()
        self._ready, self._stop = threading.Event(), threading.Event()
        self.end_after: int | None = None
        self._thread = threading.Thread(target=self._serve)

    def start(self) -> "Peer":
        """Returns when it listens."""
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def stop(self) -> None:
        """Ends it; replies that are handed over still arrive."""
        self._stop.set()
        self._thread.join()

    def join(self) -> None:
        """Waits for a peer that ends by itself."""
        self._thread.join()

    def _serve(self) -> None:
        context = zmq.Context()
        router = context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 500)
        router.setsockopt(zmq.RCVHWM, 0)
        router.bind(f"ipc://{self.socket}")
        self._ready.set()
        due: list[tuple[float, list[bytes]]] = []
        try:
            while not self._stop.is_set() and len(self.received) != self.end_after:
                if router.poll(1 if due else 10):
                    due += self._take_all(router)
                now = time.monotonic()
                for _, frames in [one for one in due if one[0] <= now]:
                    router.send_multipart(frames)
                due = [one for one in due if one[0] > now]
            for _, frames in due:
                router.send_multipart(frames)
        finally:
            router.close()
            context.term()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.socket)

    def _take_all(self, router: "zmq.Socket[bytes]") -> list[tuple[float, list[bytes]]]:
        taken: list[tuple[float, list[bytes]]] = []
        with contextlib.suppress(zmq.Again):
            while len(self.received) != self.end_after:
                taken += self._take(router.recv_multipart(zmq.NOBLOCK))
        return taken

    def _take(self, frames: list[bytes]) -> list[tuple[float, list[bytes]]]:
        route, body = wire.split_route(frames)
        envelope = wire.decode_envelope(body)
        request = wire.decode_request(body, envelope.op)
        self.received.append(request)
        self.bodies.append(body)
        answer = self._answer(request)
        self.got_one.set()
        if answer is None:
            return []
        script = answer if isinstance(answer, list) else [(self._delay_s(), answer)]
        now = time.monotonic()
        return [(now + delay_s, [*route, _sealed(envelope.id, frame)]) for delay_s, frame in script]


def _sealed(number: wire.RequestId, frame: Frame) -> bytes:
    if isinstance(frame, wire.Progress):
        return wire.encode_progress(number, frame)
    if isinstance(frame, errors.RewinddError):
        return wire.encode_error(number, frame)
    return wire.seal(number, wire.encode_reply(frame))


@contextmanager
def peer(socket: str, answer: Callable[[requests.Request], Answer], *, delay_s: Callable[[], float] = lambda: 0.0) -> Iterator[Peer]:
    """A peer for the block."""
    one = Peer(socket, answer, delay_s=delay_s).start()
    try:
        yield one
    finally:
        one.stop()


def main() -> None:
    """Serves on argv[1] until SIGTERM; notes its pid in argv[2]. A second one on the socket would steal it, and be noted too."""
    with Path(sys.argv[2]).open("a") as file:
        file.write(f"{os.getpid()} {os.environ.get('REWINDD_STARTED_BY')} {os.getppid()} {os.getsid(0)}\n")
    one = Peer(sys.argv[1], Book().answer).start()

    def end(number: int, frame: FrameType | None) -> None:
        one._stop.set()

    signal.signal(signal.SIGTERM, end)
    one.join()


if __name__ == "__main__":
    main()

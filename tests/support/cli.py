"""A daemon that is a dictionary, and a `rewindctl` that runs in this process against it."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import pytest

from rewindd.cli.program import execute
from rewindd.errors import RewinddError
from rewindd.paths import FsText, RelPath
from rewindd.protocol.replies import Incomplete, Notice, Reply, RewindResult, SessionInfo, Sessions, Stats, StepInfo, Summary
from rewindd.protocol.requests import ListSessions, Request
from rewindd.protocol.wire import Progress

R = TypeVar("R", bound=Reply)
Answer = Reply | RewinddError

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STATS = Stats(start_time=NOON, total_messages=2, total_tool_calls=1, total_duration_s=62.5, estimated_tokens=42)


@dataclass
class FakeDaemon:
    """Answers each kind of request as it was told to, and remembers what was asked of it."""

    answers: dict[type[Request], list[Answer]] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    connected: list[tuple[str | None, bool | None]] = field(default_factory=list)
    notices: dict[str, list[Notice]] = field(default_factory=dict)

    def tell(self, kind: type[Request], *answers: Answer) -> None:
        """Gives the answers in this order; the last one stays."""
        self.answers[kind] = list(answers)

    def connect(self, *, socket: str | None, autostart: bool | None) -> AbstractContextManager["FakeDaemon"]:
        self.connected.append((socket, autostart))
        return nullcontext(self)

    def ask(
        self, request: Request, expected: type[R], *, timeout_s: float | None = None, on_progress: Callable[[Progress], None] | None = None
    ) -> R:
        del timeout_s, on_progress
        self.asked.append(request)
        told = self.answers[type(request)]
        answer = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(answer, RewinddError):
            raise answer
        assert isinstance(answer, expected)
        return answer

    @property
    def last(self) -> object:
        return self.asked[-1]


@dataclass
class Ran:
    """What a run of `rewindctl` left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        assert self.out.count("\n") == 1
        return found

    @property
    def error(self) -> dict[str, object]:
        return msgspec.convert(self.json["error"], dict[str, object])

    def objects(self, field: str) -> list[dict[str, object]]:
        return msgspec.convert(self.json[field], list[dict[str, object]])


Rewindctl = Callable[..., Ran]


def rewindctl(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    """Returns a function that runs the command line with its arguments, and `env` as the environment."""

    def run(*args: str, env: Mapping[str, str] | None = None) -> Ran:
        capsys.readouterr()
        status = execute(args, env or {}, daemon.connect)
        out, err = capsys.readouterr()
        return Ran(int(status), out, err)

    return run


def session(session_id: str = "s1", *, seen_s: int = 0, agent: str = "an-agent", root: str = "/w") -> SessionInfo:
    """An open session, last seen `seen_s` seconds after noon."""
    return SessionInfo(
        id=session_id,
        workspace="w1",
        root=FsText(root),
        agent=agent,
        parent_id=None,
        capture="snapshots",
        attribution="declared",
        opened_at=NOON,
        last_seen_at=NOON.replace(second=seen_s),
        closed_at=None,
        head=None,
        event=None,
        stats=STATS,
    )


def summary(checkpoint_id: str = "c1", **changes: object) -> Summary:
    """A checkpoint in brief."""
    plain = Summary(
        id=checkpoint_id,
        session_id="s1",
        parent_id=None,
        label="a label",
        created_at=NOON,
        is_head=False,
        automatic=False,
        files=2,
        insertions=3,
        deletions=1,
        stats=STATS,
        incomplete=Incomplete(count=0, first=[]),
    )
    return msgspec.structs.replace(plain, **changes)


def rewound(**changes: object) -> RewindResult:
    """A rewind that restored one file."""
    plain = RewindResult(
        operation_id="op1",
        plan_id="plan1",
        checkpoint_id="c1",
        dry_run=False,
        head="c1",
        event=None,
        stats=STATS,
        restored=[RelPath("a.txt")],
        removed=[],
        merged=[],
        kept=[],
        conflicts=[],
        steps=[StepInfo(path=RelPath("a.txt"), action="restore", why="yours", insertions=1, deletions=2)],
        left=None,
        not_quiet=[],
    )
    return msgspec.structs.replace(plain, **changes)


def one_session(daemon: FakeDaemon) -> None:
    """Lets one session be open wherever it is asked for."""
    daemon.tell(ListSessions, Sessions(sessions=[session()], root=FsText("/w")))

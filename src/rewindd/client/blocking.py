"""The client without async, for command lines, hooks and scripts. Loads no asyncio and no anyio."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from rewindd.client import autostart as starting
from rewindd.client.caller import Caller
from rewindd.client.exchange import TIMEOUT_S, Exchange, OnProgress
from rewindd.client.line import Line
from rewindd.errors import RewinddError, TransportError, UnknownSession
from rewindd.protocol import replies
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request

if TYPE_CHECKING:  # a command line needs `ask` alone, and starts faster without these
    from rewindd.client.blocking_session import Session
    from rewindd.client.calls import AnyPath
    from rewindd.client.seat import Work

#: How long a listener holds the connection, which several threads may use, at a time.
HELD_MS = 1000

R = TypeVar("R", bound=Reply)
T = TypeVar("T")


def connect(
    *,
    socket: str | os.PathLike[str] | None = None,
    autostart: bool | None = None,
    timeout_s: float | None = None,
    required: bool = True,
) -> "Client":
    """Returns a client; the first request connects it. Use it in a `with`, or `close` it.

    Args:
        socket: the daemon's; by default as the environment says.
        autostart: whether a missing daemon is started; by default unless `REWINDD_AUTOSTART` is 0.
        timeout_s: seconds of silence that end a call; by default 2 for snapshots, else 10.
        required: False makes calls without a daemon return false placeholders instead of raising.

    Raises:
        BadConfig: the socket's path is too long.
    """
    path = starting.socket_of(socket, os.environ)
    command = starting.daemon_command(path) if starting.wanted(autostart, os.environ) else None
    return Client(starting.Starter(socket_path=path, command=command), timeout_s=timeout_s, required=required)


class Client:
    """A connection to the daemon; several threads may use it, one request at a time."""

    def __init__(self, starter: starting.Starter, *, timeout_s: float | None = None, required: bool = True) -> None:
        self._line = Line(starter)
        self._caller = Caller(timeout_s=timeout_s, required=required)
        self._sessions: list[Session] = []

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; a second call does nothing."""
        self._line.close()

    def ask(self, request: Request, expected: type[R], *, timeout_s: float | None = None, on_progress: OnProgress | None = None) -> R:
        """Sends one request and returns its reply. `timeout_s` bounds the silence, not the work.

        Raises:
            Unavailable: no daemon, and nothing was sent.
            Timeout: no answer to what changes nothing.
            OutcomeUnknown: no answer to what may have been done.
            RewinddError: whatever the daemon answered.
        """
        return self._ask(self._caller.exchange(request, expected, timeout_s=timeout_s, on_progress=on_progress))

    def run(self, work: "Work[T]", *, timeout_s: float | None = None) -> T:
        """Drives one of `calls`; returns its placeholder when there is no daemon and none is required."""
        from rewindd.client.seat import Run

        try:
            with Run(work.steps) as run:
                while run.call is not None:
                    try:
                        reply = self._ask(
                            self._caller.exchange(
                                run.call.request,
                                run.call.expected,
                                timeout_s=timeout_s,
                                usual_s=work.timeout_s,
                                on_progress=work.on_progress,
                            )
                        )
                    except RewinddError as exc:
                        run.throw(exc)
                    else:
                        run.send(reply)
                return run.result
        except RewinddError as exc:
            return self._caller.missed(exc, work.placeholder)

    @property
    def gaps(self) -> int:
        """How many calls no daemon heard, where none is required."""
        return self._caller.gaps

    def status(self) -> replies.Status:
        """Returns the daemon's state."""
        from rewindd.client import calls

        return self.run(calls.status())

    def verify(self, *, sample: float = 100.0, drill: int = 0, progress: OnProgress | None = None) -> replies.Verified:
        """Compares every row and content of the store with what was written; see `rewindd.Client.verify`."""
        from rewindd.client import integrity

        return self.run(integrity.verify(sample, drill, on_progress=progress))

    def backup(self, directory: "AnyPath", *, progress: OnProgress | None = None) -> replies.BackedUp:
        """Copies the whole store to a directory that is not there, or empty; see `rewindd.Client.backup`."""
        from rewindd.client import integrity

        return self.run(integrity.backup(directory, on_progress=progress))

    def prune(self, directory: "AnyPath | None" = None, *, dry_run: bool = False, progress: OnProgress | None = None) -> replies.Pruned:
        """Drops what `[retention]` does not keep; see `rewindd.Client.prune`."""
        from rewindd.client import retention

        return self.run(retention.prune(directory, dry_run=dry_run, on_progress=progress))

    def gc(self, *, progress: OnProgress | None = None) -> replies.Collected:
        """Removes contents that nothing names; see `rewindd.Client.gc`."""
        from rewindd.client import retention

        return self.run(retention.gc(on_progress=progress))

    def forget(self, what: "AnyPath", *, dry_run: bool = False, progress: OnProgress | None = None) -> replies.Forgotten:
        """Erases a session, a workspace, or every version of a path; see `rewindd.Client.forget`."""
        from rewindd.client import retention

        return self.run(retention.forget(what, dry_run=dry_run, on_progress=progress))

    def sessions(self, directory: "AnyPath | None" = None, *, closed: bool = False) -> list[replies.SessionInfo]:
        """Returns the open sessions (`closed`: those too), oldest first: of a directory's workspace, or all."""
        from rewindd.client import calls

        return self.run(calls.sessions(directory, closed=closed))

    def checkpoints(self, workspace: "AnyPath", *, limit: int | None = None) -> list[replies.Summary]:
        """Returns the newest checkpoints of all sessions of a workspace (its id, or a directory), oldest first."""
        from rewindd.client import calls

        return self.run(calls.workspace_checkpoints(workspace, limit))

    def barrier(
        self, workspace: "AnyPath", label: str | None = None, *, wait: bool = True, progress: OnProgress | None = None
    ) -> replies.Barrier:
        """Makes one named point over all open sessions of a workspace (its id, or a directory); durable on return.

        Each gets a checkpoint at the same position, which is its head from then on; `session.rewind("barrier:ID")` in any of them takes
        files, conversations and statistics of all of them back to it, or of none. What a session's handle has not told yet is not in it.

        Args:
            wait: for the workspace's first capture to be complete; without, what it did not reach yet is `incomplete`.
            progress: is called about once a second while it waits, with `done` of `total`; it must not block.

        Raises:
            UnknownWorkspace: there is none such, or its directory is gone.
        """
        from rewindd.client import calls

        return self.run(calls.barrier(workspace, label, wait=wait, on_progress=progress))

    def barriers(self, workspace: "AnyPath", *, limit: int | None = None) -> list[replies.Barrier]:
        """Returns the newest barriers of a workspace (its id, or a directory), oldest first."""
        from rewindd.client import calls

        return self.run(calls.barriers(workspace, limit))

    @property
    def notices(self) -> "dict[str, list[replies.Notice]]":
        """What rode on replies and was not taken yet, of each session for which there is something."""
        return self._caller.post.waiting

    def events(self, session: "Session | str | None" = None, *, diff: bool = False, ack: bool = True) -> "Iterator[replies.Notice]":
        """Yields what others do to what a session works on, as it comes, and waits for it; as the asynchronous client's `events`.

        Other threads' calls come in between: the connection is held for a second at a time at most.
        """
        from rewindd.client.listening import Listening

        def wanted() -> list[str]:
            given = self._sessions if session is None else [session]
            return [name for one in given if (name := one if isinstance(one, str) else one.id)]

        listening = Listening(wanted, self._caller.post, diff=diff, ack=ack)
        while sessions := listening.open():
            for name in sessions:
                try:
                    told = self.ask(listening.question(name, HELD_MS // len(sessions)), replies.Notices, timeout_s=TIMEOUT_S)
                    listening.heard(name, told)
                except UnknownSession:
                    listening.closed(name)
                except TransportError:
                    if self._caller.required:
                        raise
                    return
            while listening.ready:
                yield listening.ready.popleft()

    @contextmanager
    def session(
        self,
        workspace: "AnyPath" = ".",
        *,
        agent: str | None = None,
        session_id: str | None = None,
        parent_id: str | None = None,
        from_position: str | None = None,
        capture: str | None = None,
        attribution: str | None = None,
        exact: bool = False,
        replaced: str | None = None,
    ) -> "Iterator[Session]":
        """Opens a session on a directory, or comes back to the one with that id, for the block.

        Leaving the block tells what was recorded and leaves the session open; `Session.close` ends it. `replaced`: what to do where
        another directory has the place of the workspace's: `adopt` (the workspace goes on) or `new`; without it that is AlreadyExists.
        """
        from rewindd.client.blocking_session import Session
        from rewindd.client.handle import opening

        asked = opening(
            workspace,
            agent=agent,
            session_id=session_id,
            parent_id=parent_id,
            from_position=from_position,
            capture=capture,
            attribution=attribution,
            exact=exact,
            replaced=replaced,
        )
        session = Session(self.run, asked, required=self._caller.required, post=self._caller.post, listen=self.events)
        session.open()
        self._sessions.append(session)
        try:
            yield session
        except BaseException:
            session.leave(quietly=True)
            raise
        finally:
            self._sessions.remove(session)
        session.leave(quietly=not self._caller.required)

    def _ask(self, exchange: Exchange[R]) -> R:
        try:
            reply = self._line.ask(exchange)
        except RewinddError as exc:
            self._caller.failed(exc)
            raise
        self._caller.heard()
        return reply

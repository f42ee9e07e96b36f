"""What `run --session` does while the agent works: its window stays open, and its work is saved whenever it is quiet."""

import os
import time
from collections.abc import Callable

from rewindd.cli.invocation import Asker
from rewindd.errors import RewinddError
from rewindd.protocol.replies import Changes, Edits, Pong, Saved, Window, WindowChanges
from rewindd.protocol.requests import CloseWindow, ListPending, OpenWindow, Ping, ReadLog, Save

#: How often it is asked whether something changed, in seconds: often enough to tell quiet from work, seldom enough to cost nothing.
POLL_S = 5.0
#: Work is saved when nothing changed for so long.
QUIET_S = 30.0
#: A window lasts an hour; the next one is opened before.
RENEW_S = 50 * 60.0


class Tending:
    """Looks after one session; called from time to time, in one thread. Trouble with the daemon is noted, and tried again.

    Attributes:
        saved: the ids of the checkpoints that were made.
        trouble: what went wrong last; None where nothing did.
        lapsed: True where there was no window for a while: what was changed then is not the session's.
    """

    def __init__(self, client: Asker, session: str, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.saved: list[str] = []
        self.trouble: RewinddError | None = None
        self.lapsed = False
        self._client, self._session, self._now_s = client, session, now_s
        self._window, self._daemon, self._renew_at_s = "", 0, 0.0
        self._seen = self._kept = 0
        self._changed_at_s = self._poll_at_s = now_s()

    def begin(self) -> int:
        """Opens the window; returns how many paths are not captured yet. Raises RewinddError where it cannot."""
        opened = self._open()
        self._seen = self._kept = self._newest()
        self._poll_at_s = self._now_s() + POLL_S
        return opened.incomplete

    def look(self) -> float:
        """Looks whether something is to be done, and does it; returns the seconds until it is to be called again."""
        if self._now_s() >= self._poll_at_s:
            try:
                self._look()
            except RewinddError as exc:
                self.trouble = exc
            self._poll_at_s = self._now_s() + POLL_S
        return max(self._poll_at_s - self._now_s(), 0.0)

    def finish(self, label: str | None) -> None:
        """Closes the window and saves. Raises RewinddError where it cannot."""
        closed = self._client.ask(CloseWindow(session=self._session, window=self._window), WindowChanges)
        self.lapsed = self.lapsed or closed.ended
        self._save(label, wait=True)

    def _look(self) -> None:
        """A daemon that started anew knows no window."""
        is_another = self._client.ask(Ping(), Pong).pid != self._daemon
        self.lapsed = self.lapsed or is_another
        if is_another or self._now_s() >= self._renew_at_s:
            self._open()
        newest = self._newest()
        if newest != self._seen:
            self._seen, self._changed_at_s = newest, self._now_s()
        elif newest != self._kept and self._now_s() - self._changed_at_s >= QUIET_S:
            if self._client.ask(ListPending(session=self._session), Changes).changes:
                self._save(None, wait=False)
            # Not what is newest after the save: what came in between is not in it.
            self._kept = newest

    def _open(self) -> Window:
        self._daemon = self._client.ask(Ping(), Pong).pid
        opened = self._client.ask(OpenWindow(session=self._session, kind="turn", pid=os.getpid()), Window)
        self._window, self._renew_at_s = opened.window, self._now_s() + RENEW_S
        return opened

    def _newest(self) -> int:
        """Looks at the tree; returns the number of the newest row of the log, 0 where it has none."""
        edits = self._client.ask(ReadLog(session=self._session, limit=1), Edits).edits
        return edits[-1].seq if edits else 0

    def _save(self, label: str | None, *, wait: bool) -> None:
        self.saved.append(self._client.ask(Save(session=self._session, label=label, wait=wait), Saved).checkpoint.id)

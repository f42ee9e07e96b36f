"""One run of `rewindctl`: what the global options said, where words go, and the client, connected by the first question."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Protocol, TypeVar

from rewindd.cli.screen import Screen
from rewindd.cli.settings import Settings
from rewindd.cli.where import absolute, base_directory

if TYPE_CHECKING:
    from rewindd.paths import FsText
    from rewindd.protocol.replies import Notice, Reply
    from rewindd.protocol.requests import Request
    from rewindd.protocol.wire import Progress

    R = TypeVar("R", bound=Reply)
else:
    R = TypeVar("R")


class Asker(Protocol):
    """A client, as far as a command needs one."""

    @property
    def notices(self) -> "dict[str, list[Notice]]":
        """What the daemon told beside its answers, by session."""
        ...

    def ask(
        self,
        request: "Request",
        expected: type[R],
        *,
        timeout_s: float | None = None,
        on_progress: "Callable[[Progress], None] | None" = None,
    ) -> R:
        """Sends a request and returns its reply. Raises RewinddError."""
        ...


class Connect(Protocol):
    """Makes a client."""

    def __call__(self, *, socket: str | None, autostart: bool | None) -> AbstractContextManager[Asker]:
        """Returns the client, closed when its block is left."""
        ...


class Invocation:
    """Made once, closed at the end. Everything that a command needs of its surroundings it has from here."""

    def __init__(self, env: Mapping[str, str], connect: Connect | None = None) -> None:
        self.settings = Settings()
        self.env = env
        self.screen = Screen(self.settings, env)
        self._connect = connect
        self._clients: dict[bool | None, Asker] = {}
        self._open = ExitStack()
        self._notices: dict[str, list[Notice]] = {}

    def ask(self, request: "Request", expected: type[R], *, autostart: bool | None = None, timeout_s: float | None = None) -> R:
        """Asks the daemon. `autostart`: None is as the environment says.

        Raises:
            RewinddError: as the client raises it.
        """
        return self._client(autostart).ask(request, expected, timeout_s=timeout_s, on_progress=self.screen.progress)

    def quietly(self) -> Asker:
        """Returns what asks the daemon and shows no progress: while the terminal is a command's. Good until `hang_up`."""
        return self._client(None)

    def hang_up(self) -> None:
        """Closes the connections; the next question makes a new one."""
        for client in self._clients.values():
            self._notices |= client.notices
        self._clients.clear()
        self._open.close()

    def tell_notices(self) -> None:
        """Says that there are notices, where the daemon told of some. They stay unacknowledged."""
        if self._notices:
            from rewindd.cli.render.notices import waiting

            for line in waiting(self._notices):
                self.screen.say(line)

    @property
    def socket(self) -> str | None:
        """The socket that was named, absolute; None for the usual one."""
        given = self.settings.socket
        return None if given is None else str(absolute(given, base_directory(None, self.env)))

    @property
    def directory(self) -> str:
        """The directory that the command is about: `-C`, else the current one."""
        return base_directory(self.settings.directory, self.env)

    def paths(self, given: "tuple[str, ...]") -> "list[FsText]":
        """Returns the absolute paths of those that the person typed."""
        return [absolute(path, self.directory) for path in given]

    def _client(self, autostart: bool | None) -> Asker:
        client = self._clients.get(autostart)
        if client is None:
            client = self._open.enter_context(self._connector()(socket=self.socket, autostart=autostart))
            self._clients[autostart] = client
        return client

    def _connector(self) -> Connect:
        if self._connect is not None:
            return self._connect
        from rewindd.client.blocking import connect

        if self.settings.verbose:
            import logging

            logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")
        return connect

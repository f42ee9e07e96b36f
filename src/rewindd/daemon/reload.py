"""The configuration while the daemon runs: read again as a whole, and taken over as a whole or not at all."""

import logging
from datetime import UTC, datetime
from typing import Protocol

import anyio
import anyio.to_thread

from rewindd import errors
from rewindd.configuration import reading
from rewindd.daemon import config, log
from rewindd.daemon.config import Settings
from rewindd.model.capture import CaptureSettings
from rewindd.paths import FsText
from rewindd.protocol.replies import ConfigInfo

_log = logging.getLogger(__name__)


class Tuned(Protocol):
    """What is told of other settings."""

    def retune(self, capture: CaptureSettings, told: ConfigInfo) -> None:
        """Takes over what is captured, and what the settings come from. Returns at once."""
        ...


class Tunable:
    """The settings that count now. Used from the event loop only. `changed` is set by a reload, and another one takes its place."""

    def __init__(self, settings: Settings, service: Tuned) -> None:
        """Takes what the daemon was started with; tells the service what that came from."""
        self._begun_with, self._service = settings, service
        self.now = settings
        self.changed = anyio.Event()
        self._read_at = datetime.now(UTC)
        self._tell(None)

    @property
    def idle_exit_s(self) -> int:
        """Seconds without work after which a daemon that a client started ends; 0: never."""
        return self.now.idle_exit_s

    async def reload(self) -> bool:
        """Reads the configuration again, and takes over what can be changed; a file that is wrong changes nothing. True: it was taken over.

        What the command line said stays. What needs a restart is said in the log and in `status`.
        """
        try:
            found = await anyio.to_thread.run_sync(lambda: reading.read(self.now.config, required=False))
        except errors.BadConfig as error:
            _log.error("the configuration was not changed: %s", error)
            self._tell(str(error))
            return False
        self.now, before = config.with_files(self.now, found), self.now
        self._read_at = datetime.now(UTC)
        log.set_level(self.now.log_level)
        self._tell(None)
        _log.info("read %s again; changed: %s", ", ".join(found.files) or "no file", ", ".join(_changed(before, self.now)) or "nothing")
        if self._waiting():
            _log.warning("%s needs a restart: `rewindctl daemon restart`", ", ".join(self._waiting()))
        self.changed.set()
        self.changed = anyio.Event()
        return True

    def _tell(self, trouble: str | None) -> None:
        told = ConfigInfo(
            path=FsText(self.now.config),
            files=[FsText(path) for path in self.now.files],
            read_at=self._read_at,
            trouble=trouble,
            waiting=self._waiting(),
        )
        self._service.retune(self.now.capture, told)

    def _waiting(self) -> list[str]:
        return ["daemon.data_dir"] if self.now.data_dir != self._begun_with.data_dir else []


#: Settings of the daemon and the keys that they come from; `[capture]`, `[store]`, `[integrity]` and `[protect]` are told as sections.
_KEYS = {
    "data_dir": "daemon.data_dir",
    "allow_network_data_dir": "daemon.allow_network_data_dir",
    "log_level": "daemon.log_level",
    "idle_exit_s": "daemon.idle_exit_s",
    "capture": "[capture], [store], [integrity] or [protect]",
    "textfile": "metrics.textfile",
    "textfile_interval_s": "metrics.interval_s",
    "check_namespaces": "daemon.check_namespaces",
    "allow_namespaces_of": "daemon.allow_namespaces_of",
}


def _changed(before: Settings, now: Settings) -> list[str]:
    return [key for field, key in _KEYS.items() if getattr(before, field) != getattr(now, field)]

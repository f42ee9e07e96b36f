"""Words to the service manager, sd_notify(3): ready, reloading, stopping, alive. Without one they go nowhere."""

import logging
import os
import socket
import time
from collections.abc import MutableMapping

_log = logging.getLogger(__name__)


class Notifier:
    """Sends states to the address that the environment named; takes the variables out of it, as children are not to speak for us.

    `beat_s` is how often the manager wants to hear that we live: half of its watchdog's time, as sd_watchdog_enabled(3) advises; None
    where it has no watchdog over this process.
    """

    def __init__(self, env: MutableMapping[str, str]) -> None:
        address = env.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        pid, every_us = env.pop("WATCHDOG_PID", ""), env.pop("WATCHDOG_USEC", "")
        is_ours = pid in ("", str(os.getpid())) and every_us.isdecimal() and int(every_us) > 0
        self.beat_s = int(every_us) / 2_000_000 if self._address and is_ours else None

    @property
    def is_heard(self) -> bool:
        """True where there is a manager to speak to."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """Says that requests are answered from now on, or that a reload is over."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Says that the configuration is being read again; `ready` ends it. The time is for managers from systemd 253 on."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reading the configuration again")

    def alive(self, status: str) -> None:
        """Feeds the watchdog."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        """Says that the end has begun."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(os.fsencode(state), self._address)
            except OSError as exc:
                _log.warning("the service manager was not told %s: %s", state.partition("\n")[0], exc.strerror)

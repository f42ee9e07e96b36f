"""Words to the service manager, sd_notify(3): ready, stopping. Without one they go nowhere."""

import logging
import os
import socket
from collections.abc import MutableMapping

_log = logging.getLogger(__name__)


class Notifier:
    """Sends states to the address that the environment named; takes the variable out of it, as children are not to speak for us."""

    def __init__(self, env: MutableMapping[str, str]) -> None:
        address = env.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Says that requests are answered from now on."""
        self._send(f"READY=1\nSTATUS={status}")

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

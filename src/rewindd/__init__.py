"""rewindd: snapshots, checkpoints and a rewind that can be undone, for coding agents.

`import rewindd` loads nothing else; each public name loads what it needs when it is first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rewindd.client.api import Client as Client
    from rewindd.client.api import connect as connect
    from rewindd.client.api import open as open  # noqa: A004 - the interface's name
    from rewindd.client.history import SessionStats as SessionStats
    from rewindd.client.session import Session as Session
    from rewindd.errors import RewinddError as RewinddError
    from rewindd.model.conversation import ToolCallRecord as ToolCallRecord
    from rewindd.protocol.replies import Checkpoint as Checkpoint
    from rewindd.protocol.replies import FileDiff as FileDiff
    from rewindd.protocol.replies import FileVersion as FileVersion
    from rewindd.protocol.replies import Notice as Notice
    from rewindd.protocol.replies import RewindResult as RewindResult
    from rewindd.protocol.replies import Summary as Summary

__version__ = "0.1.0"

_HOMES = {
    "Client": "rewindd.client.api",
    "connect": "rewindd.client.api",
    "open": "rewindd.client.api",
    "Session": "rewindd.client.session",
    "SessionStats": "rewindd.client.history",
    "RewinddError": "rewindd.errors",
    "ToolCallRecord": "rewindd.model.conversation",
    "Checkpoint": "rewindd.protocol.replies",
    "FileDiff": "rewindd.protocol.replies",
    "FileVersion": "rewindd.protocol.replies",
    "Notice": "rewindd.protocol.replies",
    "RewindResult": "rewindd.protocol.replies",
    "Summary": "rewindd.protocol.replies",
}
_MODULES = ("blocking", "errors")


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"rewindd.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rewindd' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*_HOMES, *_MODULES, "__version__"]

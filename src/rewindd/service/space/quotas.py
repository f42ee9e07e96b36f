"""What is over its quota, as it was last looked at; `retention.quota` looks, and tells."""

from dataclasses import dataclass, field

import msgspec

from rewindd.model.ids import WorkspaceId
from rewindd.model.retention import Retention
from rewindd.protocol.retention import OverQuota


class Told(msgspec.Struct, frozen=True, array_like=True):
    """When somebody was told first that it is too much, 0: nobody was; how often the rules were halved since, and when last."""

    at_ns: int = 0
    pressed: int = 0
    pressed_at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """What a workspace was last looked through with: its newest checkpoint's number, the rules, and how tightly they were taken."""

    newest: int
    rules: Retention
    pressed: int


@dataclass(slots=True)
class Quota:
    """What is over its quota now: the store, and workspaces by their ids; of which of them who was told; what was looked through."""

    looked: dict[WorkspaceId, Looked] = field(default_factory=dict)
    over: dict[str, OverQuota] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)

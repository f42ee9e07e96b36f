"""What recovery did, for `status`: noted with the commit that closes each operation, until a daemon that said so ends.

Nobody may ask the daemon that recovered: it is ended when it is idle, dies again, or is started by another command.

And whether a power cut came in between: a daemon that only died has lost nothing of what it wrote to files, synced or not.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from rewindd.errors import StoreError
from rewindd.protocol.parts import Recovered
from rewindd.service.bridge import Bridge
from rewindd.store import upkeep
from rewindd.store.database import Connection

#: Operations that are named at most, the newest.
MOST_TOLD = 20
_NAME = "recovered"
#: In which boot everything was begun that is not over (random(4), "boot_id"; another one at each boot).
_BOOT = "boot"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Of each operation its id, and what became of it.
_Noted = list[tuple[str, str]]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Noted)


class Recoveries:
    """The operations that were recovered in this life, and in those before it that nobody was told of.

    `may_have_lost`: a power cut may have taken what was not synced of an operation that is not over.
    """

    def __init__(self) -> None:
        self._listed: dict[str, Recovered] = {}
        self._is_told = True
        self._boot = _this_boot()
        self.may_have_lost = True

    async def load(self, bridge: Bridge) -> None:
        """Takes up what an earlier life noted. Raises StoreError."""
        noted = await bridge.transact(_noted)
        self._listed = {id_: Recovered(operation_id=id_, outcome=outcome) for id_, outcome in noted}
        self._is_told = not noted
        self.may_have_lost = self._boot is None or await bridge.transact(lambda db: upkeep.find(db, _BOOT)) != self._boot

    async def all_over(self, bridge: Bridge) -> None:
        """Notes that no operation of an earlier boot is open any more. Durable on return. Raises StoreError."""
        boot = self._boot
        if boot is not None and self.may_have_lost:
            await bridge.transact(lambda db: upkeep.put(db, _BOOT, boot))
            self.may_have_lost = False

    def add(self, done: Recovered) -> None:
        """Has `status` name it, once `note` is committed."""
        self._listed.pop(done.operation_id, None)
        self._listed[done.operation_id] = done
        self._is_told = False

    async def tell(self, bridge: Bridge) -> list[Recovered]:
        """Returns them, the newest last; the next life need not say so again. A store that fails meanwhile lets it say so again."""
        listed = list(self._listed.values())
        if not self._is_told:
            with suppress(StoreError):
                await bridge.transact(partial(_drop, told=listed), lasting=False)
                self._is_told = len(listed) == len(self._listed)
        return listed


def _this_boot() -> bytes | None:
    """Returns what this boot is known by; None where that is not to be had."""
    try:
        return BOOT_ID.read_bytes().strip() or None
    except OSError:
        return None


def note(db: Connection, done: Recovered) -> None:
    """Notes an operation in the transaction that closes it: what is recovered durably is told durably."""
    others = [one for one in _noted(db) if one[0] != done.operation_id]
    upkeep.put(db, _NAME, _encoder.encode([*others, (done.operation_id, done.outcome)][-MOST_TOLD:]))


def _noted(db: Connection) -> _Noted:
    found = upkeep.find(db, _NAME)
    return _decoder.decode(found) if found is not None else []


def _drop(db: Connection, told: Sequence[Recovered]) -> None:
    known = {one.operation_id for one in told}
    left = [one for one in _noted(db) if one[0] not in known]
    if left:
        upkeep.put(db, _NAME, _encoder.encode(left))
    else:
        upkeep.drop(db, _NAME)

"""What recovery did, for `status`: noted with the commit that closes each operation, until a daemon that said so ends.

Nobody may ask the daemon that recovered: it is ended when it is idle, dies again, or is started by another command.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import msgspec

from rewindd.errors import StoreError
from rewindd.protocol.parts import Recovered
from rewindd.service.bridge import Bridge
from rewindd.store import upkeep
from rewindd.store.database import Connection

#: Operations that are named at most, the newest.
MOST_TOLD = 20
_NAME = "recovered"
#: Of each operation its id, and what became of it.
_Noted = list[tuple[str, str]]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Noted)


class Recoveries:
    """The operations that were recovered in this life, and in those before it that nobody was told of."""

    def __init__(self) -> None:
        self._listed: dict[str, Recovered] = {}
        self._is_told = True

    async def load(self, bridge: Bridge) -> None:
        """Takes up what an earlier life noted. Raises StoreError."""
        noted = await bridge.transact(_noted)
        self._listed = {id_: Recovered(operation_id=id_, outcome=outcome) for id_, outcome in noted}
        self._is_told = not noted

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

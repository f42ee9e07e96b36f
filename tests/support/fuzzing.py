"""What is fuzzed: each target takes any bytes, and raises where something other than the documented errors came of them.

`scripts/fuzz` runs them under atheris; `tests/property/test_fuzz_corpus.py` gives them what was kept of that in tests/data/fuzz: of each
target the inputs that led somewhere of their own (`TARGET.corpus`, a MessagePack list), and those that were a trouble once (`TARGET-…`).
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import get_args

import msgspec

from rewindd import errors
from rewindd.configuration import parsing, schema
from rewindd.legacy import format as layout
from rewindd.model.grant import Grant, GrantedOps, Through
from rewindd.model.ids import GrantId, SessionId, WorkspaceId
from rewindd.protocol import replies, wire
from rewindd.service.doors import doortelling, doorway
from support import dying
from support.hostile import ODD, requests_kept
from support.siege import KNOWN, WITHOUT, siege
from support.vectors import vectors

KEPT = Path(__file__).parents[1] / "data" / "fuzz"
ORIGINALS = sorted((Path(__file__).parents[1] / "data" / "checkpoint-json").glob("*.json"))
#: Those that take the wire's messages.
OF_MESSAGES = ("wire", "door", "dispatch")
Target = Callable[[bytes], None]

#: What decoding may say of a body.
_OF_THE_WIRE = (errors.BadRequest, errors.TooLarge, errors.UnsupportedVersion, errors.UnknownOp)
_THROUGH = Through(grant=GrantId("g"), workspace=WorkspaceId("w"), sessions=frozenset({SessionId(dying.SESSION)}))
_GRANT = Grant(
    id=_THROUGH.grant, workspace=_THROUGH.workspace, ops=frozenset(GrantedOps), inside="/box", quota_bytes=1, created_at_ns=1, ends_at_ns=2
)
#: Fields that are spoilt in a message, at most.
_SPOILS = 4
_VECTORS = vectors()


def targets() -> dict[str, Callable[[], AbstractContextManager[Target]]]:
    """Returns all targets: each is entered once, and called for each input."""
    plain: dict[str, Target] = {"wire": _wire, "door": _door, "legacy": _legacy, "config": _config}
    return {**{name: partial(_always, target) for name, target in plain.items()}, "dispatch": _dispatch}


def kept(name: str) -> list[bytes]:
    """Returns what was kept for a target: what was a trouble, then what leads somewhere. `message-…` is for all who take messages."""
    named = [f"{name}-*", *(["message-*"] if name in OF_MESSAGES else [])]
    return [file.read_bytes() for pattern in named for file in sorted(KEPT.glob(pattern))] + corpus(name)


def corpus(name: str) -> list[bytes]:
    """Returns what leads somewhere of its own."""
    file = KEPT / f"{name}.corpus"
    return msgspec.msgpack.decode(file.read_bytes(), type=list[bytes]) if file.exists() else []


def keep(name: str, inputs: list[bytes]) -> None:
    """Writes a target's corpus: the shortest first, so that the file changes little."""
    (KEPT / f"{name}.corpus").write_bytes(msgspec.msgpack.encode(sorted(set(inputs), key=lambda one: (len(one), one))))


def seeds(name: str) -> list[bytes]:
    """Returns inputs that are valid, to begin with."""
    if name == "legacy":
        return [file.read_bytes() for file in ORIGINALS]
    if name == "config":
        lines = [f"[{one.section}]\n{one.key} = {value}\n" for one in schema.settings().values() for value in ("1", '"/x"', "[]", "true")]
        return ["".join(lines[::4]).encode(), *(line.encode() for line in lines)]
    if name == "wire":
        return [one.body for one in vectors()]
    known = [{**one.meaning, **{field: value for field, value in KNOWN.items() if field in one.meaning}} for one in requests_kept(WITHOUT)]
    return [msgspec.msgpack.encode(one) for one in known]


def spoil(body: bytes, seed: int) -> bytes:
    """Returns a message with fields of another value, another message's, or gone; bytes that are no message come back as they are."""
    chance = random.Random(seed)
    try:
        fields = msgspec.msgpack.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body
    if not isinstance(fields, dict):
        return body
    others = chance.choice(_VECTORS).meaning
    for name in chance.choices([*map(str, fields), *others], k=chance.randint(1, _SPOILS)):
        way = chance.random()
        if way < 0.5:
            fields[name] = chance.choice(ODD)
        elif way < 0.8 and name in others:
            fields[name] = others[name]
        elif name not in ("v", "op"):
            fields.pop(name, None)
    return msgspec.msgpack.encode(fields)


@contextmanager
def _always(target: Target) -> Iterator[Target]:
    """A target that needs nothing."""
    yield target


def _wire(body: bytes) -> None:
    """Both ends' decoders; a request that was read is written and read again as the same, and every error can be told."""
    for read in (wire.decode_envelope, _request_of, wire.decode_reply_head):
        try:
            read(body)
        except _OF_THE_WIRE as exc:
            _same(wire.error_of(wire.decode_reply_head(wire.encode_error(wire.decode_id(body), exc))).code, exc.code)
    for kind in get_args(replies.Reply):
        try:
            found = wire.decode_reply(body, kind)
        except errors.BadRequest:
            continue
        _same(wire.decode_fields(wire.encode_reply(found), kind), found)


def _request_of(body: bytes) -> None:
    envelope = wire.decode_envelope(body)
    request = wire.decode_request(body, envelope.op)
    _same(wire.decode_request(wire.encode_request(request, envelope.id), envelope.op), request)


def _same(one: object, other: object) -> None:
    """As text, in which what is no number equals itself."""
    assert one == other or repr(one) == repr(other)


def _door(body: bytes) -> None:
    """What a grant lets in is of its own sessions and workspace; what it does not, it refuses with a word, which can be told inside."""
    try:
        request = wire.decode_request(body, wire.decode_envelope(body).op)
    except _OF_THE_WIRE:
        return
    try:
        inner = doorway.enter(request, _GRANT, _THROUGH)
    except (errors.NotPermitted, errors.UnknownSession, errors.OutsideWorkspace, errors.BadRequest) as exc:
        _same(doortelling.told_error(exc, _GRANT, _THROUGH, "/home/ada/project").code, exc.code)
        return
    assert type(inner) in doorway.OFFERED
    assert inner.session in (None, "", dying.SESSION)
    assert getattr(inner, "scope", "session") == "session"
    assert not any(path.startswith("/") or ".." in path.split("/") for path in getattr(inner, "paths", ()))


def _legacy(content: bytes) -> None:
    """A checkpoint file of the reference is a checkpoint that can be written again, or refused as what it is."""
    try:
        found = layout.decode(content)
    except errors.BadRequest:
        return
    assert layout.decode(layout.encode(found)) == found


def _config(text: bytes) -> None:
    """A configuration file is settings, or refused with the file's name."""
    try:
        layer = parsing.parse(text, "/the/file")
    except errors.BadConfig as exc:
        _same(exc.fields["path"], "/the/file")
        return
    parsing.merge([layer])


@contextmanager
def _dispatch() -> Iterator[Target]:
    """The whole service. It is not asked to write, or look, where others have their work."""
    with siege() as besieged:

        def answer(body: bytes) -> None:
            try:
                envelope = wire.decode_envelope(body)
                request = wire.decode_request(body, envelope.op)
            except _OF_THE_WIRE:
                return
            directory = getattr(request, "directory", None)
            if envelope.op in WITHOUT or (directory is not None and Path(directory).exists()):
                return
            besieged.portal.call(besieged.begin)
            besieged.check(body)

        yield answer

"""A program: looks at files and packs their contents, in a process of its own, for the first capture of a large workspace.

In the daemon the threads that read, the one of the store and the event loop take turns with one interpreter, at each of the six
calls of the system that a file takes: two threads that read are no faster than one there. This process writes nothing and decides
nothing: a file that it does not tell of, whatever the reason, is looked at by the daemon.

Each message, either way, is its length in 4 bytes and then MessagePack. It ends when its input does.
"""

import signal
import struct
import sys
from collections.abc import Iterator
from typing import IO, NamedTuple

import msgspec

from rewindd.errors import UnknownWorkspace
from rewindd.model.log import Signature
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.store.blobs import Blobs, InlineBlob
from rewindd.store.codec import path_of
from rewindd.store.packs import MEMBER_BYTES, Pack, packed
from rewindd.tree.look import Hasher, Look, Refusal
from rewindd.tree.root import Root
from rewindd.tree.survey import look_inside

#: Bytes of larger contents after which a message ends: one transaction of the store's, some milliseconds.
ALONE_BYTES = 256 << 10
#: The same for small ones, of which a portion mostly has fewer. Their digests lie anywhere in an index of some hundred pages, and a
#: transaction writes each page that it touches: with 256 KiB the store wrote 77,500 times for 20,000 files, with this 55,200 times.
TOGETHER_BYTES = 2 << 20

LENGTH = struct.Struct(">I")


class Portion(NamedTuple):
    """What is to be read: a workspace's root, and files below it, each with the bytes that it has at most."""

    root: str
    device: int
    inode: int
    born_ns: int
    files: list[tuple[bytes, int]]


class Seen(NamedTuple):
    """What one of the files is, by its number in the portion; of a signature the values in their order."""

    number: int
    digest: bytes
    size: int
    mode: int
    signature: tuple[int, int, int, int, int, int, int, bool]


class Part(NamedTuple):
    """Contents of a portion as the store takes them. The last part says what was seen of the whole portion; before that it is None."""

    packs: list[Pack]
    inline: list[InlineBlob]
    seen: list[Seen] | None = None


_encode = msgspec.msgpack.Encoder().encode
_portion_of = msgspec.msgpack.Decoder(Portion).decode


def main() -> None:
    """Answers portions until there are no more."""
    # Whoever ends the daemon by the keyboard ends this by the end of its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while (message := receive(source)) is not None:
        for part in _parts(_portion_of(message)):
            send(target, _encode(part))


def receive(source: IO[bytes]) -> bytes | None:
    """Returns the next message; None where there is no whole one any more."""
    length = source.read(LENGTH.size)
    if len(length) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(length)
    message = source.read(size)
    return message if len(message) == size else None


def send(target: IO[bytes], message: bytes) -> None:
    """Writes a message. Raises BrokenPipeError where nobody reads it."""
    target.write(LENGTH.pack(len(message)))
    target.write(message)
    target.flush()


def _parts(portion: Portion) -> Iterator[Part]:
    seen: list[Seen] = []
    together, alone = _Contents(TOGETHER_BYTES), _Contents(ALONE_BYTES)
    try:
        root = Root.open(portion.root, portion.device, portion.inode, portion.born_ns)
    except UnknownWorkspace:  # the daemon meets that too, and says so
        yield Part([], [], [])
        return
    with root:
        for number, (path, most) in enumerate(portion.files):
            look = _look(root, path_of(path), most)
            if look is None or not isinstance(look.version, File) or look.signature is None or look.content is None:
                continue
            version = look.version
            seen.append(Seen(number, version.digest, version.size, version.mode, _values(look.signature)))
            (together if version.size <= MEMBER_BYTES else alone).add(version.digest, look.content)
            if together.is_full or alone.is_full:
                yield Part(list(packed(together.take())) if together.is_full else [], _inline(alone) if alone.is_full else [])
    yield Part(list(packed(together.take())), _inline(alone), seen)


class _Contents:
    """Contents by digest, until there is enough of them."""

    def __init__(self, enough_bytes: int) -> None:
        self._enough_bytes, self._size = enough_bytes, 0
        self._contents: dict[bytes, bytes] = {}

    def add(self, digest: bytes, content: bytes) -> None:
        if digest not in self._contents:
            self._contents[digest] = content
            self._size += len(content)

    @property
    def is_full(self) -> bool:
        return self._size >= self._enough_bytes

    def take(self) -> list[tuple[bytes, bytes]]:
        taken = list(self._contents.items())
        self._contents, self._size = {}, 0
        return taken


def _look(root: Root, path: RelPath, most: int) -> Look | None:
    found = look_inside(root, path, None, Hasher(), refuse=lambda size: Refusal("has grown", False) if size > most else None)
    return found if isinstance(found, Look) else None


def _inline(contents: _Contents) -> list[InlineBlob]:
    return [Blobs.inline(content, digest) for digest, content in contents.take()]


def _values(one: Signature) -> tuple[int, int, int, int, int, int, int, bool]:
    return one.device, one.inode, one.size, one.mtime_ns, one.ctime_ns, one.mode, one.links, one.racy


if __name__ == "__main__":
    main()

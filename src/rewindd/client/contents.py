"""The content of a version, as far as it needs no asking."""

import base64
import os

from rewindd.errors import BadRequest, InternalError
from rewindd.protocol.replies import Chunk, FileVersion


def inline(version: FileVersion) -> bytes | None:
    """Returns the content that the version carries itself, None when it is to be asked for. A symlink's is its target."""
    if version.text is not None:
        return version.text.encode()
    if version.base64 is not None:
        return base64.b64decode(version.base64)
    if version.target is not None:
        return os.fsencode(version.target)
    return None


def blob_of(version: FileVersion) -> str:
    """Returns the name of a file's content. Raises BadRequest when it is no file."""
    if version.blob is None:
        raise BadRequest(f"a version of kind {version.kind!r} has no content to read", kind=version.kind)
    return version.blob


def piece(chunk: Chunk, offset: int, blob: str) -> bytes:
    """Returns a chunk's bytes. Raises InternalError when it is empty before the blob's end."""
    if not chunk.data and offset < chunk.size:
        raise InternalError(f"blob {blob[:16]}: nothing at {offset} of {chunk.size} bytes")
    return chunk.data

"""The daemon's end of a reader: a process that reads files for it and packs their contents (`reader_program`)."""

import fcntl
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

import msgspec

from rewindd.model.log import IndexEntry, Signature
from rewindd.model.session import Workspace
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.service.capture import reader_program
from rewindd.service.capture.reader_program import Part, Portion, Seen, receive, send
from rewindd.store.codec import path_to_bytes

#: What the pipe to us holds, a whole message as a rule: with the usual 64 KiB (pipe(7)) both sides would take turns.
PIPE_BYTES = 1 << 20

_encode = msgspec.msgpack.Encoder().encode
_part_of = msgspec.msgpack.Decoder(Part).decode
_log = logging.getLogger(__name__)


class Reader:
    """A process that reads. All of it blocks, and is for worker threads, one at a time."""

    def __init__(self, process: subprocess.Popen[bytes], source: IO[bytes], target: IO[bytes]) -> None:
        """Takes a process that was just started, and the pipes from it and to it."""
        self._process, self._source, self._target = process, source, target
        self._is_gone = False

    @classmethod
    def start(cls) -> "Reader | None":
        """Starts the process; None where there can be none."""
        try:
            # Not where the daemon stands: a module that lies there would be imported first.
            process = subprocess.Popen(
                [sys.executable, "-m", reader_program.__name__], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as exc:
            _log.warning("no process can be started that reads (%s); this one does it, in twice the time", exc)
            return None
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("pipes were asked for")
        with suppress(OSError):  # F_SETPIPE_SZ in fcntl(2): a user has only so many pages of them
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return cls(process, process.stdout, process.stdin)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def read(self, workspace: Workspace, files: Sequence[tuple[RelPath, int]], keep: Callable[[Part], object]) -> list[IndexEntry]:
        """Reads files, each with the bytes that it has at most; returns what they are. `keep` is given the contents, part by part.

        What is not returned is to be looked at by the caller: it is no regular file, larger, changing, gone, or cannot be read; or the
        process ended. Raises what `keep` does.
        """
        if self._is_gone:
            return []
        self._is_gone = True  # until all of its answer was heard
        place = workspace.root, workspace.device, workspace.inode, workspace.born_ns
        try:
            send(self._target, _encode(Portion(*place, files=[(path_to_bytes(path), size) for path, size in files])))
            while (part := _part_of(receive(self._source) or b"")).seen is None:
                keep(part)
            entries = [_entry(files[one.number][0], one) for one in part.seen]
        except (BrokenPipeError, ValueError, IndexError) as exc:  # msgspec's errors are ValueErrors
            _log.warning("the process that reads is of no use any more (%s); this one goes on with it", exc)
            return []
        keep(part)
        self._is_gone = False
        return entries

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        with suppress(BrokenPipeError):  # what it did not take any more
            self._target.close()
        with self._process:
            return


def _entry(path: RelPath, one: Seen) -> IndexEntry:
    device, inode, size, mtime_ns, ctime_ns, mode, links, racy = one.signature
    signature = Signature(device=device, inode=inode, size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, mode=mode, links=links, racy=racy)
    return IndexEntry(path=path, version=File(one.digest, one.size, one.mode), signature=signature, since=0)

"""A whole copy of the store in a directory of somebody's choice, made while everything else goes on: a data directory of its own.

Until it is whole a file in it says so: what has that file is opened by nobody, and made anew by who asks again. Once it is, its database
knows for which request it was made: who asks that again, because no answer came, gets the copy that is there.
"""

import contextlib
import os
import shutil
from pathlib import Path

import anyio
import msgspec

from rewindd.errors import AlreadyExists, BadRequest, StoreError
from rewindd.faults import effect
from rewindd.paths import FsText
from rewindd.protocol.integrity import BackedUp, MakeBackup
from rewindd.service.state import State
from rewindd.service.turn import Turn
from rewindd.store import copying
from rewindd.store.database import FILE_NAME, sync_directory
from rewindd.store.opening import UNFINISHED_NAME
from rewindd.store.seam import is_failing, translated

_NOTE = "copied"
_UNFINISHED = "This copy of a store of rewindd is not whole yet, or was cut off: make it again with the same command.\n"


class _Made(msgspec.Struct, frozen=True, array_like=True):
    """What a copy says of its making. `request`: what stands for the key; empty: there was none."""

    request: bytes
    linked: int
    copied: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Made)


async def make_backup(state: State, request: MakeBackup, turn: Turn) -> bytes:
    """Copies the whole store to a directory, which is a data directory of its own then; durable on return.

    Raises:
        BadRequest: it is no directory that can be had, or it is the store's own.
        AlreadyExists: something is in it.
        StoreFull, StoreIO: it cannot be written; what was is removed.
    """
    target = await state.bridge.work(_target, state, request.directory)
    async with state.care.copying:
        # Who got no answer in time may have asked again while the copy was made.
        kept = await state.bridge.transact(turn.kept)
        if kept is not None:
            return kept
        told = await _copied(state, target, turn.name)
        return await state.bridge.transact(lambda db: turn.keep(db, told))


async def _copied(state: State, target: Path, name: bytes | None) -> BackedUp:
    made, damage = await state.bridge.work(_made_for, target, name), list[str]()
    if made is None:
        is_made = await state.bridge.work(_take, target)
        try:
            made, damage = await _copy_all(state, target, name or b"")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await state.bridge.work(_clear, target, is_made)
            raise
    return await state.bridge.work(_told, target, made, damage)


async def _copy_all(state: State, target: Path, name: bytes) -> tuple[_Made, list[str]]:
    await state.bridge.work(_prepare, target)
    # Files first, then the database, then the files that came meanwhile: no row is in the copy whose file is not.
    linked, copied = await state.bridge.work(_take_files, state, target)
    new = target / f"{FILE_NAME}.new"
    await state.bridge.copy(new, lambda done, total: 0.0)
    more = await state.bridge.work(_take_files, state, target)
    made = _Made(name, linked + more[0], copied + more[1])
    damage = await state.bridge.work(copying.put_in_order, new, (_NOTE, _encoder.encode(made)))
    await state.bridge.work(_finish, new, target)
    return made, damage


def _target(state: State, directory: FsText) -> Path:
    """Returns where the copy goes. In a worker thread."""
    if not os.path.isabs(directory) or "\0" in directory:
        raise BadRequest(f"{directory!r} is no absolute path", field="directory")
    target = Path(os.path.normpath(directory))
    real = os.path.realpath(target)
    if f"{real}/".startswith(f"{state.data_dir}/") or f"{state.data_dir}/".startswith(f"{real}/"):
        raise BadRequest(f"{directory!r} is the store's own directory, or holds it; a backup lies elsewhere", field="directory")
    return target


def _made_for(target: Path, name: bytes | None) -> _Made | None:
    """Returns what is said of a whole copy that was made for the same request; None where there is none. In a worker thread."""
    if name is None or not (target / FILE_NAME).is_file() or (target / UNFINISHED_NAME).exists():
        return None
    found = copying.noted_in(target / FILE_NAME, _NOTE)
    made = _decoder.decode(found) if found is not None else None
    return made if made is not None and made.request == name else None


def _take(target: Path) -> bool:
    """Makes the directory, or empties what was cut off there; returns whether it was not there. In a worker thread."""
    try:
        effect("store.backup.mkdir")
        target.mkdir(mode=0o700)
    except FileExistsError:
        if not target.is_dir() or not _is_free(target):
            message = f"{str(target)!r} is there, and not an empty directory; a backup gets one of its own"
            raise AlreadyExists(message, path=str(target)) from None
        return False
    except OSError as exc:
        raise _unusable(exc, target, "made") from exc
    return True


def _is_free(target: Path) -> bool:
    """True for an empty directory, and for one in which only a copy is that was cut off."""
    names = set(os.listdir(target))
    ours = {name for name in names if name in ("blobs", UNFINISHED_NAME) or name.startswith(FILE_NAME)}
    return not names or (UNFINISHED_NAME in names and names == ours)


def _prepare(target: Path) -> None:
    try:
        _empty(target)
        effect("store.backup.chmod")
        target.chmod(0o700)
        effect("store.backup.mark")
        with (target / UNFINISHED_NAME).open("w") as file:
            effect("store.backup.mark")
            file.write(_UNFINISHED)
        copying.sync_file(target / UNFINISHED_NAME)
        effect("store.backup.mkdir")
        (target / "blobs").mkdir(mode=0o700)
        sync_directory(target.parent)
    except OSError as exc:
        raise _unusable(exc, target, "written") from exc


def _unusable(exc: OSError, target: Path, how: str) -> BadRequest | StoreError:
    """The error for a directory that cannot be had: the caller's, unless the disk fails."""
    if is_failing(exc):
        return translated(exc, f"writing a backup to {target}")
    return BadRequest(f"{str(target)!r} cannot be {how}: {(exc.strerror or str(exc)).lower()}", field="directory")


def _clear(target: Path, is_made: bool) -> None:
    """Removes what was written; what cannot be removed is said to be unfinished."""
    with contextlib.suppress(OSError):
        _empty(target)
        if is_made:
            target.rmdir()


def _empty(target: Path) -> None:
    """Removes all that is in it; last what says that it is not whole. Raises OSError."""
    for name in sorted(os.listdir(target), key=lambda name: name == UNFINISHED_NAME):
        effect("store.backup.remove")
        if name == "blobs":
            shutil.rmtree(target / name)
        else:
            (target / name).unlink(missing_ok=True)


def _take_files(state: State, target: Path) -> tuple[int, int]:
    """Gives every content file that the target has not a second name there, or copies it; durable on return. In a worker thread."""
    linked = copied = 0
    try:
        for directory in sorted(Path(state.data_dir, "blobs").iterdir()):
            if not directory.is_dir():
                continue
            below = target / "blobs" / directory.name
            effect("store.backup.mkdir")
            below.mkdir(mode=0o700, exist_ok=True)
            there = set(os.listdir(below))
            for name in os.listdir(directory):
                if name not in there:
                    with contextlib.suppress(FileNotFoundError):  # nobody needs it any more
                        is_link = _take_file(directory / name, below / name)
                        linked, copied = linked + is_link, copied + (not is_link)
            sync_directory(below)
        sync_directory(target / "blobs")
    except OSError as exc:
        raise translated(exc, f"writing a backup to {target}") from exc
    return linked, copied


def _take_file(source: Path, target: Path) -> bool:
    """Returns whether it is a link; a file system of its own, or one that has no links, needs a copy."""
    try:
        effect("store.backup.link")
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        copying.copy_file(source, target)
        return False
    return True


def _finish(new: Path, target: Path) -> None:
    """Makes the copy one that can be opened; durable on return. In a worker thread."""
    copying.publish(new, target / FILE_NAME)
    try:
        effect("store.backup.unmark")
        (target / UNFINISHED_NAME).unlink()
        sync_directory(target)
    except OSError as exc:
        raise translated(exc, f"writing a backup to {target}") from exc


def _told(target: Path, made: _Made, damage: list[str]) -> BackedUp:
    rows, checkpoints, blobs = copying.held_by(target / FILE_NAME) or (0, 0, 0)
    return BackedUp(
        directory=FsText(target),
        bytes=sum(os.lstat(os.path.join(directory, name)).st_size for directory, _, names in os.walk(target) for name in names),
        rows=rows,
        checkpoints=checkpoints,
        blobs=blobs,
        linked=made.linked,
        copied=made.copied,
        damage=damage,
    )

"""Gathers what `doctor` judges by: from the file system, the kernel, the user's systemd, and the daemon, if one answers."""

import os
from collections.abc import Iterator, Mapping

import rewindd
from rewindd import errors, places
from rewindd.cli.doctor import kernel
from rewindd.cli.doctor.facts import Configured, Facts, Room
from rewindd.cli.doctor.manager import manager
from rewindd.cli.invocation import Invocation
from rewindd.configuration import reading
from rewindd.configuration.schema import Config
from rewindd.protocol.replies import Health, Status
from rewindd.protocol.requests import GetHealth, GetStatus

#: Seconds that the daemon has for each of two answers: one that is busy answers these in some hundredths.
PATIENCE_S = 3.0
#: Paths below the data directory that are looked at: a store of this size is seen to the end, and of a larger one a part.
MOST_PLACES = 20_000
#: Of the open ones, so many are named.
NAMED = 5


def gather(run: Invocation) -> Facts:
    """Returns the facts. Starts no daemon; systemd may start one, where its socket is there."""
    env = run.env
    socket = os.path.abspath(run.socket or places.socket_path(env, os.getuid()))
    listens = kernel.listens(socket)
    status, health, silent, refused = _ask(run)
    refusal = refused if isinstance(refused, errors.NotPermitted) else None
    configured, data_dir = _configured(env, str(status.config.path) if status is not None and status.config is not None else None)
    if status is not None:
        data_dir = status.data_dir
    return Facts(
        uid=os.getuid(),
        version=rewindd.__version__,
        socket=kernel.look(socket),
        # Who is in a sandbox may not see the kernel's table of the daemon's sockets.
        listens=listens or refusal is not None,
        runtime_dir=kernel.look(os.path.dirname(socket)),
        socket_lock=kernel.lock(f"{socket}.lock"),
        data_dir=kernel.look(data_dir),
        data_lock=kernel.lock(os.path.join(data_dir, "lock")),
        open_places=tuple(_open_places(data_dir)),
        room=_room(data_dir),
        config=configured,
        manager=manager(env),
        inotify=kernel.inotify(),
        silent=silent,
        is_refused=refusal is not None and "op" not in refusal.fields,
        is_granted=refusal is not None and "op" in refusal.fields,
        supported=str(refused.fields.get("supported")) if isinstance(refused, errors.UnsupportedVersion) else None,
        status=status,
        health=health,
    )


def _ask(run: Invocation) -> tuple[Status | None, Health | None, str | None, errors.RewinddError | None]:
    """Returns what the daemon says, why it does not where it does not, and the error that says so."""
    try:
        status = run.ask(GetStatus(), Status, autostart=False, timeout_s=PATIENCE_S)
    except errors.RewinddError as exc:
        return None, None, exc.message, exc
    try:
        return status, run.ask(GetHealth(), Health, autostart=False, timeout_s=PATIENCE_S), None, None
    except errors.UnknownOp:
        return status, None, None, None
    except errors.RewinddError as exc:
        return status, None, exc.message, None


def _configured(env: Mapping[str, str], used: str | None) -> tuple[Configured, str]:
    """Returns the configuration, and the data directory as it says. `used`: the file that a daemon goes by."""
    path, named = reading.config_file(used, env)
    try:
        found = reading.read(path, required=named and used is None)
    except errors.BadConfig as exc:
        return Configured(path=path, trouble=exc.message), reading.data_dir(Config(), env)
    store = found.config.store
    trusted = (*found.files, *(reading.home_path(path, env) or path for path in found.config.daemon.allow_namespaces_of))
    writable = tuple(file for file in trusted if kernel.look(file).mode & 0o022 and kernel.look(file).kind == "file")
    told = Configured(path=path, writable=writable, max_store_bytes=store.max_bytes, min_free_bytes=store.min_free_bytes)
    return told, reading.data_dir(found.config, env)


def _room(path: str) -> Room | None:
    """Returns the file system of a directory, or of the nearest one above that is there."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    kind, mounted_at = kernel.mount_of(path)
    return Room(kind=kind, mounted_at=mounted_at, free_bytes=found.f_bavail * found.f_frsize, total_bytes=found.f_blocks * found.f_frsize)


def _open_places(data_dir: str) -> Iterator[str]:
    """Yields what below the data directory others may read, write or search, or is another's; the first of it."""
    named = 0
    for number, path in enumerate(_walk(data_dir)):
        if number >= MOST_PLACES or named >= NAMED:
            return
        found = kernel.look(path)
        if found.kind in ("file", "directory") and (found.mode & 0o077 or found.uid != os.getuid()):
            named += 1
            yield path


def _walk(directory: str) -> Iterator[str]:
    if kernel.look(directory).kind == "directory":
        yield directory
    for parent, directories, files in os.walk(directory):
        directories.sort()
        for name in (*sorted(files), *directories):
            yield os.path.join(parent, name)

"""What is right and wrong, one function a check, each of the facts alone. A check about what nobody could tell finds nothing."""

from collections.abc import Callable, Iterable, Iterator
from shlex import quote

from rewindd.cli.doctor.facts import Facts, Finding, Lock, Place, State
from rewindd.cli.doctor.keeping import check_gaps, check_git, check_integrity, check_rules, check_store, check_watching, check_windows
from rewindd.cli.doctor.manager import SERVICE, SOCKET
from rewindd.cli.render.words import size
from rewindd.cli.versions import is_older
from rewindd.model.capture import MIN_FREE_BYTES, MIN_FREE_PART
from rewindd.model.filesystems import FLEETING
from rewindd.places import MAX_SOCKET_BYTES

Check = Callable[[Facts], Iterable[Finding]]

#: File systems of another machine: locks and syncs are as good as the network, and the server.
_REMOTE = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.rclone",
)
#: Of a limit: from here on something is to be done.
_NEARLY = 0.9
#: Each client is a descriptor, and libzmq ends the process when there is none left (libzmq 1306).
_FEW_DESCRIPTORS = 1024


def check_daemon(facts: Facts) -> Iterator[Finding]:
    """Does a daemon answer?"""
    if facts.status is not None:
        told = f"process {facts.status.pid} answers, version {facts.status.version}"
        if facts.silent is not None:
            yield _problem("daemon", f"{told}, but not how it is: {facts.silent}", "rewindctl logs")
        else:
            yield _ok("daemon", told)
    elif facts.is_granted:
        yield _ok("daemon", "it answers, through a grant; of how it is, ask outside the sandbox")
    elif facts.is_refused:
        where = "rewindctl grant WORKSPACE, outside; where it is the daemon that is inside, start it outside: rewindctl daemon restart"
        yield _problem("daemon", f"it does not speak with who is here: {facts.silent}", where)
    elif facts.supported is not None:
        remedy = "rewindctl daemon restart" if is_older(facts.supported) else "use the rewindctl that was installed with it"
        yield _problem("daemon", f"it does not speak with this rewindctl: {facts.silent}", remedy)
    elif facts.listens:
        holder = facts.socket_lock.holder
        remedy = f"kill -USR1 {holder}; rewindctl logs" if holder else "rewindctl logs"
        yield _problem("daemon", f"somebody listens on the socket and does not answer: {facts.silent}", remedy)
    else:
        yield _note("daemon", "none runs; what only it knows is not told", "rewindctl daemon start")


def check_versions(facts: Facts) -> Iterator[Finding]:
    """Is the daemon of this version?"""
    if facts.status is not None and facts.status.version != facts.version:
        yield _problem(
            "versions", f"the daemon is version {facts.status.version}, rewindctl is {facts.version}", "rewindctl daemon restart"
        )


def check_socket(facts: Facts) -> Iterator[Finding]:
    """Is the socket there, ours, ours alone, and does anybody listen?"""
    socket = facts.socket
    bytes_long = len(socket.path.encode(errors="surrogateescape"))
    if bytes_long > MAX_SOCKET_BYTES:
        yield _problem(
            "socket", f"{socket.path} has {bytes_long} bytes, a socket's path at most {MAX_SOCKET_BYTES}", "export REWINDD_SOCKET=…"
        )
    elif not socket.is_there:
        yield _ok("socket", f"{socket.path}: not there; a daemon makes it")
    elif socket.kind != "socket":
        yield _problem(
            "socket", f"{socket.path} is no socket, so no daemon can listen there", f"mv {quote(socket.path)} {quote(socket.path)}.old"
        )
    elif socket.uid != facts.uid:
        yield _problem("socket", f"{socket.path} belongs to user {socket.uid}", "export REWINDD_SOCKET=…")
    elif not facts.listens:
        yield _problem("socket", f"{socket.path} is left over: nobody listens on it", "rewindctl daemon start")
    elif socket.mode & 0o077:
        yield _problem("socket", f"others may use {socket.path} (mode {socket.mode:04o})", f"chmod 600 {quote(socket.path)}")
    else:
        yield _ok("socket", f"{socket.path}: somebody listens")


def check_locks(facts: Facts) -> Iterator[Finding]:
    """Who holds the locks, and is it one and the same?"""
    socket, data = facts.socket_lock, facts.data_lock
    if socket.holder is not None and not facts.listens:
        yield _problem(
            "locks", f"{_who(socket)} holds {socket.path} and listens on no socket", f"kill {socket.holder or 'it'}; rewindctl daemon start"
        )
    if data.holder is not None and data.holder != socket.holder:
        yield _problem("locks", f"{_who(data)} holds {data.path}, and is not the daemon of this socket", f"kill {data.holder or 'it'}")
    elif data.holder is not None:
        yield _ok("locks", f"{_who(data)} holds socket and data directory")


def check_unit(facts: Facts) -> Iterator[Finding]:
    """What does systemd make of it?"""
    manager = facts.manager
    if manager.trouble is not None:
        yield _note("unit", f"{manager.trouble}; clients start the daemon", None)
        return
    service, socket = manager.units[SERVICE], manager.units[SOCKET]
    if service.load != "loaded" or socket.load != "loaded":
        yield _note("unit", "the units are not installed; clients start the daemon", "scripts/install")
    elif "failed" in (service.active, socket.active):
        failed = SERVICE if service.active == "failed" else SOCKET
        yield _problem(
            "unit", f"{failed} has failed ({manager.units[failed].result})", f"rewindctl logs; systemctl --user reset-failed {failed}"
        )
    elif socket.active != "active":
        yield _problem("unit", f"{SOCKET} is {socket.active}: systemd starts no daemon", f"systemctl --user enable --now {SOCKET}")
    elif facts.status is not None and service.main_pid != facts.status.pid:
        yield _note(
            "unit",
            f"the daemon is process {facts.status.pid}, and not systemd's",
            f"rewindctl daemon stop; systemctl --user restart {SOCKET}",
        )
    else:
        yield _ok("unit", f"{SOCKET} is {socket.active} ({socket.enabled}), {SERVICE} is {service.active}")


def check_lingering(facts: Facts) -> Iterator[Finding]:
    """Does the user's systemd outlive the last logout?"""
    if facts.manager.lingers is True:
        yield _ok("lingering", "the daemon goes on after the last logout")
    elif facts.manager.lingers is False:
        yield _note("lingering", "the daemon ends at the last logout; an agent in tmux may not", "loginctl enable-linger")


def check_config(facts: Facts) -> Iterator[Finding]:
    """Can the configuration be used, and is it the one in use?"""
    told = facts.status.config if facts.status is not None else None
    if facts.config.trouble is not None:
        yield _problem("config", facts.config.trouble, "rewindctl config check")
    elif told is not None and told.trouble is not None:
        yield _problem("config", f"the daemon did not take it over: {told.trouble}", "rewindctl config check")
    elif told is not None and told.waiting:
        yield _note("config", f"changed, and the daemon needs a restart for it: {', '.join(told.waiting)}", "rewindctl daemon restart")
    else:
        yield _ok("config", f"{facts.config.path} and its drop-ins can be used")
    for path in facts.config.writable:
        yield _problem("config", f"others may change {path}", f"chmod go-w {quote(path)}")


def check_permissions(facts: Facts) -> Iterator[Finding]:
    """Are the directories ours alone?"""
    for place in (facts.runtime_dir, facts.data_dir):
        yield from _private(place, facts.uid)
    if facts.open_places and facts.data_dir.mode & 0o077 == 0:
        told = ", ".join(facts.open_places)
        yield _problem(
            "permissions", f"others' or open to others below the data directory: {told}", f"chmod -R go= {quote(facts.data_dir.path)}"
        )


def check_file_system(facts: Facts) -> Iterator[Finding]:
    """Is the data where it stays?"""
    room = facts.room
    if room is None:
        return
    remedy = "rewindctl daemon stop, move the directory, and name it as data_dir in [daemon] (docs/configuration.md)"
    if room.kind in FLEETING:
        yield _problem("file system", f"{facts.data_dir.path} is on {room.kind}: {FLEETING[room.kind]}", remedy)
    elif room.kind in _REMOTE:
        yield _problem("file system", f"{facts.data_dir.path} is on {room.kind}: locks and syncs are another machine's", remedy)
    else:
        yield _ok("file system", f"{facts.data_dir.path} is on {room.kind}, mounted at {room.mounted_at}")


def check_disk(facts: Facts) -> Iterator[Finding]:
    """Is there room for more?"""
    room, config = facts.room, facts.config
    if facts.status is not None and facts.status.store.on_reserve:
        left = size(facts.status.store.reserve_bytes)
        told = f"on reserve: the disk is full, nothing new is taken in, and rewinds have {left} left"
        yield _problem("disk", told, "make room there, or lower reserve_bytes in [store]")
    if room is None or config.trouble is not None:
        return
    held_back = facts.status.store.reserve_bytes if facts.status is not None else 0
    keep_bytes = config.min_free_bytes or max(MIN_FREE_BYTES, room.total_bytes // MIN_FREE_PART)
    if room.free_bytes < keep_bytes:
        yield _problem(
            "disk",
            f"{size(room.free_bytes)} are free and {size(keep_bytes)} are to stay so: no content is captured",
            "make room there, or lower min_free_bytes in [store]",
        )
    else:
        beside = f"; the store holds {size(held_back)} back for rewinds on a full disk" if held_back else ""
        yield _ok("disk", f"{size(room.free_bytes)} are free, {size(keep_bytes)} stay so{beside}")
    held = facts.status.store.bytes if facts.status is not None else 0
    if held > config.max_store_bytes * _NEARLY:
        yield _problem("disk", f"the store has {size(held)} and may have {size(config.max_store_bytes)}", "raise max_bytes in [store]")


def check_descriptors(facts: Facts) -> Iterator[Finding]:
    """Are there descriptors for more clients?"""
    health = facts.health
    if health is None:
        return
    told = f"{health.descriptors} of {health.max_descriptors} are in use"
    if health.max_descriptors < _FEW_DESCRIPTORS:
        yield _problem("descriptors", f"{told}, and each client needs one", "raise the hard limit: LimitNOFILE= of the unit, or ulimit -Hn")
    elif health.descriptors > health.max_descriptors * _NEARLY:
        yield _problem("descriptors", told, "close clients: ss -xp shows who is connected")
    else:
        yield _ok("descriptors", told)


def check_inotify(facts: Facts) -> Iterator[Finding]:
    """Is there inotify for more directories, and for the daemon at all?"""
    budget = facts.inotify
    if budget is None:
        return
    told = f"{budget.watches} of {budget.max_watches} watches, {budget.instances} of {budget.max_instances} instances"
    if budget.watches > budget.max_watches * _NEARLY:
        yield _problem(
            "inotify", f"your programs use {told}", f"sudo sysctl fs.inotify.max_user_watches={max(budget.max_watches * 2, 65536)}"
        )
    elif budget.instances > budget.max_instances * _NEARLY:
        yield _problem(
            "inotify", f"your programs use {told}", f"sudo sysctl fs.inotify.max_user_instances={max(budget.max_instances * 2, 128)}"
        )
    else:
        watches = facts.health.watches if facts.health is not None else None
        ours = "" if watches is None else f"; the daemon has {watches} of the watches"
        yield _ok("inotify", f"your programs use {told}{ours}")


def _private(place: Place, uid: int) -> Iterator[Finding]:
    if not place.is_there:
        return
    if place.kind != "directory":
        yield _problem("permissions", f"{place.path} is no directory", f"mv {quote(place.path)} {quote(place.path)}.old")
    elif place.uid != uid:
        yield _problem("permissions", f"{place.path} belongs to user {place.uid}", f"sudo chown -R {uid} {quote(place.path)}")
    elif place.mode & 0o077:
        yield _problem("permissions", f"others may use {place.path} (mode {place.mode:04o})", f"chmod 700 {quote(place.path)}")
    else:
        yield _ok("permissions", f"{place.path} is yours alone")


def _who(lock: Lock) -> str:
    if not lock.holder:
        return "a process that cannot be seen from here"
    return f"process {lock.holder} ({lock.command})" if lock.command else f"process {lock.holder}"


def _ok(check: str, message: str) -> Finding:
    return Finding(check=check, state=State.OK, message=message)


def _note(check: str, message: str, remedy: str | None) -> Finding:
    return Finding(check=check, state=State.NOTE, message=message, remedy=remedy)


def _problem(check: str, message: str, remedy: str) -> Finding:
    return Finding(check=check, state=State.PROBLEM, message=message, remedy=remedy)


#: In the order in which they are told.
CHECKS: tuple[Check, ...] = (
    check_daemon,
    check_versions,
    check_socket,
    check_locks,
    check_unit,
    check_lingering,
    check_config,
    check_permissions,
    check_file_system,
    check_disk,
    check_descriptors,
    check_inotify,
    check_store,
    check_integrity,
    check_watching,
    check_rules,
    check_gaps,
    check_windows,
    check_git,
)


def examine(facts: Facts) -> list[Finding]:
    """Returns what all checks find."""
    return [finding for check in CHECKS for finding in check(facts)]

"""`doctor`: each check, of facts that were made up: what is right, what is wrong, and that what nobody could tell is not told."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from rewindd.cli.doctor import checks, keeping, kernel
from rewindd.cli.doctor.checks import CHECKS, examine
from rewindd.cli.doctor.facts import Configured, Facts, Finding, Inotify, Lock, Manager, Place, Room, State, Unit
from rewindd.cli.doctor.manager import SERVICE, SOCKET, unit
from rewindd.model.capture import MAX_STORE_BYTES
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies

GIB = 1 << 30
UP = Unit(load="loaded", active="active", enabled="enabled", result="success", main_pid=7)
CONFIG = replies.ConfigInfo(path=FsText("/c"), files=[], read_at=datetime(2026, 11, 22, tzinfo=UTC))
STATUS = replies.Status(
    version="1.0",
    protocol=1,
    features=[],
    pid=7,
    uptime_s=1.0,
    socket=FsText("/r/s"),
    data_dir=FsText("/d"),
    store=replies.StoreInfo(bytes=4096, blobs=0, rows=0, checkpoints=0),
    recovered=[],
    workspaces=[],
    sessions=0,
    config=CONFIG,
)
GAP = replies.GapInfo(root=FsText("/w"), missing=0, trouble=None, limited=0, unseen=0, first=[], windows=[], interrupted=False)
HEALTH = replies.Health(
    pid=7, descriptors=20, max_descriptors=4096, watches=10, overflows=0, damage=[], unchecked=[], git="/usr/bin/git", gaps=[GAP]
)
#: A daemon that is as it should be, run by systemd.
WELL = Facts(
    uid=1000,
    version="1.0",
    socket=Place(path="/r/s", kind="socket", mode=0o600, uid=1000),
    listens=True,
    runtime_dir=Place(path="/r", kind="directory", mode=0o700, uid=1000),
    socket_lock=Lock(path="/r/s.lock", holder=7, command="rewindd"),
    data_dir=Place(path="/d", kind="directory", mode=0o700, uid=1000),
    data_lock=Lock(path="/d/lock", holder=7, command="rewindd"),
    open_places=(),
    room=Room(kind="ext4", mounted_at="/", free_bytes=50 * GIB, total_bytes=100 * GIB),
    config=Configured(path="/c", max_store_bytes=MAX_STORE_BYTES),
    manager=Manager(units={SERVICE: UP, SOCKET: UP}, lingers=True),
    inotify=Inotify(max_watches=1000, max_instances=128, watches=10, instances=1),
    silent=None,
    is_refused=False,
    status=STATUS,
    health=HEALTH,
)


def with_(facts: Facts = WELL, **changes: object) -> Facts:
    return replace(facts, **changes)  # type: ignore[arg-type]  # the names are the fields'


def status(**changes: object) -> replies.Status:
    return msgspec.structs.replace(STATUS, **changes)


def health(**changes: object) -> replies.Health:
    return msgspec.structs.replace(HEALTH, **changes)


def gap(**changes: object) -> replies.Health:
    return health(gaps=[msgspec.structs.replace(GAP, **changes)])


#: No daemon, and none that was ever started here.
NONE = with_(
    socket=Place(path="/r/s"),
    listens=False,
    runtime_dir=Place(path="/r"),
    socket_lock=Lock(path="/r/s.lock"),
    data_dir=Place(path="/d"),
    data_lock=Lock(path="/d/lock"),
    manager=Manager(trouble="there is no systemctl"),
    silent="no daemon",
    status=None,
    health=None,
)


def test_all_is_well() -> None:
    """Where nothing is wrong each check says so, and none has a remedy."""
    found = examine(WELL)
    assert {one.state for one in found} == {State.OK}
    assert [one.remedy for one in found] == [None] * len(found)
    told = {one.check for one in found}
    assert told == {
        *("daemon", "socket", "locks", "unit", "lingering", "config", "permissions", "file system", "disk"),
        *("descriptors", "inotify", "store", "gaps", "git"),
    }


def test_no_daemon_is_no_problem() -> None:
    """Without a daemon nothing is wrong, it is said, and what only it knows is not told."""
    found = examine(NONE)
    assert State.PROBLEM not in {one.state for one in found}
    assert next(one for one in found if one.check == "daemon").remedy == "rewindctl daemon start"
    assert not {one.check for one in found} & {"descriptors", "store", "gaps", "windows", "git", "versions", "watching"}


PROBLEMS: dict[str, tuple[Facts, str, str, str]] = {
    "silent": (with_(status=None, health=None, silent="no answer in 5 s"), "daemon", "does not answer: no answer in 5 s", "kill -USR1 7"),
    "in a sandbox": (
        with_(status=None, health=None, silent="process 9 has another mount namespace", is_refused=True),
        *("daemon", "process 9 has another mount namespace", "rewindctl grant WORKSPACE"),
    ),
    "half silent": (with_(health=None, silent="timeout"), "daemon", "not how it is: timeout", "rewindctl logs"),
    "old daemon": (with_(status=status(version="0.9")), "versions", "version 0.9, rewindctl is 1.0", "rewindctl daemon restart"),
    "stale": (with_(NONE, socket=WELL.socket), "socket", "left over", "rewindctl daemon start"),
    "no socket": (with_(NONE, socket=Place(path="/r/s", kind="file", uid=1000)), "socket", "is no socket", "mv /r/s"),
    "long": (with_(NONE, socket=Place(path="/" + "x" * 200)), "socket", "201 bytes", "REWINDD_SOCKET"),
    "foreign socket": (with_(socket=Place(path="/r/s", kind="socket", mode=0o600, uid=0)), "socket", "user 0", "REWINDD_SOCKET"),
    "open socket": (with_(socket=Place(path="/r/s", kind="socket", mode=0o666, uid=1000)), "socket", "mode 0666", "chmod 600 /r/s"),
    "deaf": (with_(NONE, socket_lock=WELL.socket_lock), "locks", "process 7 (rewindd) holds /r/s.lock", "kill 7"),
    "two": (with_(data_lock=Lock(path="/d/lock", holder=9)), "locks", "process 9 holds /d/lock", "kill 9"),
    "hidden": (with_(data_lock=Lock(path="/d/lock", holder=0)), "locks", "cannot be seen", "kill it"),
    "failed": (
        with_(manager=Manager(units={SERVICE: Unit(load="loaded", active="failed", enabled="", result="core-dump"), SOCKET: UP})),
        "unit",
        "rewindd.service has failed (core-dump)",
        "reset-failed rewindd.service",
    ),
    "socket unit off": (
        with_(manager=Manager(units={SERVICE: UP, SOCKET: Unit(load="loaded", active="inactive", enabled="disabled", result="")})),
        "unit",
        "rewindd.socket is inactive",
        "enable --now rewindd.socket",
    ),
    "bad file": (with_(config=Configured(path="/c", trouble="/c: line 1: unknown key x")), "config", "unknown key x", "config check"),
    "bad reload": (
        with_(status=status(config=replies.ConfigInfo(path=FsText("/c"), files=[], read_at=CONFIG.read_at, trouble="bad"))),
        "config",
        "did not take it over: bad",
        "config check",
    ),
    "writable file": (
        with_(config=Configured(path="/c", writable=("/c d",), max_store_bytes=MAX_STORE_BYTES)),
        "config",
        "others may change",
        "chmod go-w '/c d'",
    ),
    "open runtime directory": (
        with_(runtime_dir=Place(path="/r", kind="directory", mode=0o755, uid=1000)),
        "permissions",
        "mode 0755",
        "chmod 700 /r",
    ),
    "foreign data": (with_(data_dir=Place(path="/d", kind="directory", mode=0o700, uid=0)), "permissions", "user 0", "chown -R 1000 /d"),
    "data is a file": (with_(data_dir=Place(path="/d", kind="file", uid=1000)), "permissions", "no directory", "mv /d"),
    "open files": (with_(open_places=("/d/store.db",)), "permissions", "/d/store.db", "chmod -R go= /d"),
    "tmpfs": (
        with_(room=Room(kind="tmpfs", mounted_at="/d", free_bytes=50 * GIB, total_bytes=50 * GIB)),
        "file system",
        "memory",
        "data_dir",
    ),
    "overlay": (
        with_(room=Room(kind="overlay", mounted_at="/", free_bytes=50 * GIB, total_bytes=50 * GIB)),
        "file system",
        "container",
        "data_dir",
    ),
    "network": (
        with_(room=Room(kind="nfs4", mounted_at="/h", free_bytes=50 * GIB, total_bytes=50 * GIB)),
        "file system",
        "another machine",
        "data_dir",
    ),
    "disk full": (
        with_(room=Room(kind="ext4", mounted_at="/", free_bytes=GIB, total_bytes=100 * GIB)),
        "disk",
        "5.0 GiB are to stay",
        "min_free_bytes",
    ),
    "store full": (
        with_(status=status(store=replies.StoreInfo(bytes=MAX_STORE_BYTES, blobs=0, rows=0, checkpoints=0))),
        "disk",
        "may have 10.0 GiB",
        "max_bytes",
    ),
    "on reserve": (
        with_(status=status(store=replies.StoreInfo(bytes=9, blobs=0, rows=0, checkpoints=0, on_reserve=True, reserve_bytes=4 << 20))),
        "disk",
        "rewinds have 4.0 MiB left",
        "make room",
    ),
    "low limit": (with_(health=health(max_descriptors=256)), "descriptors", "20 of 256", "LimitNOFILE"),
    "descriptors": (with_(health=health(descriptors=4000)), "descriptors", "4000 of 4096", "ss -xp"),
    "watches": (
        with_(inotify=Inotify(max_watches=100, max_instances=9, watches=99, instances=1)),
        "inotify",
        "99 of 100",
        "max_user_watches=65536",
    ),
    "instances": (
        with_(inotify=Inotify(max_watches=100, max_instances=9, watches=1, instances=9)),
        "inotify",
        "9 of 9",
        "max_user_instances=128",
    ),
    "damage": (with_(health=health(damage=["edits: row 5 missing from index"])), "store", "damaged: edits", "cp -a /d"),
    "stands still": (with_(health=gap(trouble="no room", missing=4)), "gaps", "stands still: no room", "rewindctl -C /w capture"),
    "unseen": (
        with_(health=gap(unseen=2, first=[replies.PathReason(path=RelPath("a"), reason="permission denied")])),
        "gaps",
        "2 paths could not be looked at: a (permission denied)",
        "rewindctl -C /w capture",
    ),
    "interrupted": (with_(health=gap(interrupted=True)), "gaps", "could not be closed", "rewindctl daemon restart"),
    "no git": (with_(health=health(git=None)), "git", "every merge is a conflict", "apt-get install git"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong(name: str) -> None:
    """Each trouble is found by its check alone, as a problem, with what to do about it."""
    facts, check, message, remedy = PROBLEMS[name]
    found = [one for one in examine(facts) if one.state is State.PROBLEM]
    assert [one.check for one in found] == [check]
    assert message in found[0].message
    assert remedy in (found[0].remedy or "")


NOTES: dict[str, tuple[Facts, str, str]] = {
    "no units": (
        with_(manager=Manager(units=dict.fromkeys((SERVICE, SOCKET), unit("LoadState=not-found\n")), lingers=True)),
        "unit",
        "scripts/install",
    ),
    "by hand": (
        with_(status=status(pid=8), socket_lock=Lock(path="/l", holder=8), data_lock=Lock(path="/m", holder=8)),
        "unit",
        "rewindctl daemon stop",
    ),
    "no linger": (with_(manager=Manager(units={SERVICE: UP, SOCKET: UP}, lingers=False)), "lingering", "loginctl enable-linger"),
    "waits": (
        with_(status=status(config=replies.ConfigInfo(path=FsText("/c"), files=[], read_at=CONFIG.read_at, waiting=["daemon.data_dir"]))),
        "config",
        "rewindctl daemon restart",
    ),
    "limited": (with_(health=gap(limited=3)), "gaps", "raise the limit"),
    "under way": (with_(health=gap(missing=3)), "gaps", "capture"),
    "forgotten window": (
        with_(health=gap(windows=[replies.WindowInfo(session_id="s", kind="turn", open_s=3000.0, pid=None)])),
        "windows",
        "rewindctl --session s session close",
    ),
    "no inotify": (with_(health=health(watches=None)), "watching", "config show"),
    "in part": (
        with_(
            status=status(
                workspaces=[
                    replies.WorkspaceInfo(
                        id="w",
                        root=FsText("/w"),
                        capture="workspace",
                        baseline=replies.Baseline(state="complete", done=0, total=0),
                        watch="partly",
                        watch_reason="a limit",
                    )
                ]
            )
        ),
        "watching",
        "rewindctl status",
    ),
    "rules": (
        with_(
            status=status(
                workspaces=[
                    replies.WorkspaceInfo(
                        id="w",
                        root=FsText("/w"),
                        capture="workspace",
                        baseline=replies.Baseline(state="complete", done=0, total=0),
                        watch="on",
                        rules_reason="git is not installed",
                    )
                ]
            )
        ),
        "rules",
        "rewindctl -C /w capture",
    ),
    "taken back": (with_(status=status(recovered=[replies.Recovered(operation_id="o", outcome="rolled-back")])), "store", "again"),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_worth_to_know(name: str) -> None:
    """What is no fault is a note with something to do, and there is no problem."""
    facts, check, remedy = NOTES[name]
    found = [one for one in examine(facts) if one.state is not State.OK]
    assert [(one.check, one.state) for one in found] == [(check, State.NOTE)]
    assert remedy in (found[0].remedy or "")


def test_what_is_no_gap() -> None:
    """A window that a process's end closes, or that is young, is not stuck; a finished recovery is not worth a word."""
    windows = [
        replies.WindowInfo(session_id="s", kind="turn", open_s=3000.0, pid=9),
        replies.WindowInfo(session_id="s", kind="command", open_s=3.0, pid=None),
    ]
    facts = with_(health=gap(windows=windows), status=status(recovered=[replies.Recovered(operation_id="o", outcome="done")]))
    assert {one.state for one in examine(facts)} == {State.OK}


def test_every_check_is_asked() -> None:
    """No check is written and forgotten."""
    written = {value for module in (checks, keeping) for name, value in vars(module).items() if name.startswith("check_")}
    assert written == set(CHECKS)
    assert all(isinstance(one, Finding) for one in examine(WELL))


LOCKS = """1: FLOCK  ADVISORY  WRITE 3921 fe:00:3654123 0 EOF
2: POSIX  ADVISORY  WRITE 5 fe:00:77 0 EOF
3: FLOCK  ADVISORY  READ 6 fe:00:77 0 EOF
4: FLOCK  ADVISORY  WRITE -1 00:2f:78 0 EOF
4: -> FLOCK  ADVISORY  WRITE 9 00:2f:79 0 EOF
5: FLOCK  ADVISORY  WRITE 10 00:2f:80 0 EOF
6: FLOCK  ADVISORY  WRITE 11 fe:00:80 0 EOF
"""


@pytest.mark.parametrize(("inode", "pid"), [(3654123, 3921), (77, None), (78, 0), (79, None), (80, 11), (1, None)])
def test_who_holds_a_lock(inode: int, pid: int | None) -> None:
    """The holder of an exclusive flock on that inode, of that device where there are several; who waits holds nothing."""
    assert kernel.holder(LOCKS, os.makedev(0xFE, 0), inode) == pid


MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /run rw - tmpfs tmpfs rw
31 30 0:26 / /run/user/1000 rw - tmpfs tmpfs rw
40 22 0:40 / /home/a\040b rw - nfs4 server:/x rw
41 22 0:41 / /over rw - tmpfs below rw
42 41 0:42 / /over rw - overlay above rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind", "point"),
    [
        ("/home/x", "ext4", "/"),
        ("/run/user/1000/rewindd", "tmpfs", "/run/user/1000"),
        ("/runner", "ext4", "/"),
        ("/home/a b/data", "nfs4", "/home/a b"),
        ("/over/d", "overlay", "/over"),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str, point: str) -> None:
    """The nearest mount point above counts, and of two at one place the upper one."""
    assert kernel.mounted(MOUNTS, path) == (kind, point)


def test_a_unit_as_systemctl_tells_it() -> None:
    """`systemctl show` prints properties; one that is missing, or empty, is no error."""
    told = unit("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nResult=success\nMainPID=12\n")
    assert told == Unit(load="loaded", active="active", enabled="enabled", result="success", main_pid=12)
    assert unit("LoadState=loaded\nMainPID=\n").main_pid == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0::/user.slice/user-1000.slice/user@1000.service/background.slice/rewindd.service\n", "rewindd.service"),
        ("0::/user@0.service/app.slice/rewindd.service\n", "rewindd.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope\n", None),
        ("0::/system.slice/cron.service\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service\n", None),
        ("1:name=systemd:/user.slice/user@1.service/a.service\n0::/\n", "a.service"),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_the_unit_of_a_process(text: str, name: str | None) -> None:
    """A service below the user's own manager; not the manager itself, nor the system's services, nor a scope."""
    assert kernel.unit_in(text) == name


def test_places_as_they_are(tmp_path: Path) -> None:
    """A path is told by what it is itself, not by what a link leads to."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert kernel.look(str(tmp_path / "none")).is_there is False
    assert kernel.look(str(tmp_path / "link")).kind == "other"
    assert kernel.look(str(tmp_path)).kind == "directory"

"""Applying steps: what is handed over, what is kept, and that somebody else's change always stays."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.errors import StoreCorrupt
from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File, Symlink, Version
from rewindd.paths import LinkTarget, RelPath
from rewindd.tree import rename
from rewindd.tree.apply import StageFailed, apply, rescue, sweep, sync
from rewindd.tree.root import Root
from rewindd.tree.stage import stage_name
from support.tree import Memory, mode_of, never, open_root, read_back, seen_at, settle_times, signature_at, stages_in

FILE = RelPath("file")


def step_to(root: Root, path: RelPath, target: Version, memory: Memory) -> Step:
    seen = seen_at(root, path, memory)
    if seen.content is not None:
        memory.keep(seen.content)
    return Step(path=path, expect=seen.version, target=target, signature=seen.signature)


def test_replacing_hands_over_group_attributes_and_mode(root: Root, top: Path, memory: Memory) -> None:
    """A replaced file keeps its group, its user attributes and its access list; the mode is the target's."""
    file = top / "file"
    file.write_bytes(b"now")
    os.setxattr(file, "user.note", b"kept")
    acl = bytes.fromhex("0200000001000600ffffffff020006000100000004000400ffffffff10000600ffffffff20000400ffffffff")
    os.setxattr(file, "system.posix_acl_access", acl)
    if os.geteuid() == 0:
        os.chown(file, 1234, 4321)
    old = file.stat()
    outcome = apply(root, "op", [step_to(root, FILE, memory.file(b"then", mode_of(file)), memory)], memory, never)[0]
    assert outcome.done
    new = file.stat()
    assert file.read_bytes() == b"then"
    assert (new.st_uid, new.st_gid, new.st_mode) == (old.st_uid, old.st_gid, old.st_mode)
    assert os.getxattr(file, "user.note") == b"kept"
    assert os.getxattr(file, "system.posix_acl_access") == acl


def test_a_new_file_in_a_setgid_directory_has_its_group(root: Root, top: Path, memory: Memory) -> None:
    """What is created in a set-group-id directory belongs to the directory's group, directories made on the way too."""
    if os.geteuid() == 0:
        os.chown(top, -1, 4321)
    top.chmod(0o2775)
    steps = [
        Step(path=RelPath("new"), expect=ABSENT, target=Directory(0o2775)),
        Step(path=RelPath("new/file"), expect=ABSENT, target=memory.file(b"x")),
    ]
    assert all(outcome.done for outcome in apply(root, "op", steps, memory, never))
    assert {(top / name).stat().st_gid for name in ("new", "new/file")} == {top.stat().st_gid}


def test_the_other_name_of_a_file_keeps_its_content(root: Root, top: Path, tmp_path: Path, memory: Memory) -> None:
    """Content and mode of a hard-linked file change under our name only."""
    for name, target in (("file", memory.file(b"then")), ("mode", memory.file(b"now", 0o755))):
        (top / name).write_bytes(b"now")
        (top / name).chmod(0o644)
        os.link(top / name, tmp_path / f"other-{name}")
        assert apply(root, "op", [step_to(root, RelPath(name), target, memory)], memory, never)[0].done
        assert seen_at(root, RelPath(name), memory).version == target
        assert (tmp_path / f"other-{name}").read_bytes() == b"now"
        assert mode_of(tmp_path / f"other-{name}") == 0o644


def test_a_mode_alone_keeps_inode_and_mtime(root: Root, top: Path, memory: Memory) -> None:
    """A change of mode touches neither content nor times of a file with one name."""
    (top / "file").write_bytes(b"x")
    old = (top / "file").stat()
    assert apply(root, "op", [step_to(root, FILE, memory.file(b"x", 0o4755), memory)], memory, never)[0].done
    new = (top / "file").stat()
    assert (new.st_ino, new.st_mtime_ns, mode_of(top / "file")) == (old.st_ino, old.st_mtime_ns, 0o4755)


def test_what_changed_since_the_plan_stays(root: Root, top: Path, memory: Memory) -> None:
    """Written, replaced, removed, chmodded or created since: `changed`, and their state stays in place."""
    names = ["written", "replaced", "removed", "chmodded", "linked"]
    for name in names:
        (top / name).write_bytes(b"planned")
    steps = [step_to(root, RelPath(name), memory.file(b"then"), memory) for name in names]
    steps += [step_to(root, RelPath("gone"), memory.file(b"then"), memory)]
    (top / "written").write_bytes(b"theirs!")
    (top / "new").write_bytes(b"theirs")
    (top / "new").rename(top / "replaced")
    (top / "removed").unlink()
    (top / "chmodded").chmod(0o700)
    (top / "linked").unlink()
    (top / "linked").symlink_to("written")
    (top / "gone").mkdir()
    before = read_back(top, memory)
    outcomes = apply(root, "op", steps, memory, never)
    assert {(outcome.done, outcome.reason, outcome.version) for outcome in outcomes} == {(False, "changed", UNKNOWN)}
    assert read_back(top, memory) == before


def at_effect(name: str, act: object) -> None:
    """Runs `act` once, right before the first effect of that name."""

    def hook(effect: str) -> None:
        if effect == name:
            faults.arm(None)
            assert callable(act)
            act()

    faults.arm(hook)


@pytest.mark.parametrize("kind", ["write", "save", "remove", "directory"])
@pytest.mark.parametrize("wanted", ["replace", "remove", "mode"])
def test_a_change_in_the_last_moment_stays(root: Root, top: Path, memory: Memory, kind: str, wanted: str) -> None:
    """Somebody who comes between our last look and the system call keeps what they made; no stage is left."""
    file = top / "file"
    file.write_bytes(b"planned")
    targets: dict[str, Version] = {"replace": memory.file(b"then"), "remove": ABSENT, "mode": memory.file(b"planned", 0o755)}
    target = targets[wanted]
    planned = step_to(root, FILE, target, memory)

    def change() -> None:
        if kind == "write":
            file.write_bytes(b"theirs")
        elif kind == "save":
            (top / "temp").write_bytes(b"theirs")
            (top / "temp").rename(file)
        else:
            file.unlink()
            if kind == "directory":
                file.mkdir()
                (file / "inside").write_bytes(b"theirs")

    at_effect({"replace": "tree.exchange", "remove": "tree.remove", "mode": "tree.chmod"}[wanted], change)
    outcome = apply(root, "op", [planned], memory, never)[0]
    assert stages_in(top) == []
    if kind == "remove":
        assert not file.exists()
    else:
        assert (outcome.done, outcome.reason) == (False, "changed")
        assert (file / "inside" if kind == "directory" else file).read_bytes() == b"theirs"


@pytest.mark.parametrize("comes_back", [False, True])
def test_without_exchange_a_change_stays_too(
    root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    """On a file system that cannot exchange: a save before the rename aside is put back, one in the moment of absence stays."""
    file = top / "file"
    file.write_bytes(b"planned")
    planned = step_to(root, FILE, memory.file(b"then"), memory)

    def refuse(from_fd: int, from_name: str, to_fd: int, to_name: str, flags: int) -> None:
        if comes_back and to_name == "file" and not file.exists():
            file.write_bytes(b"theirs")
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(rename, "_renameat2", refuse)
    if not comes_back:
        at_effect("tree.exchange", lambda: file.write_bytes(b"theirs"))
    outcome = apply(root, "op", [planned], memory, never)[0]
    assert (outcome.done, outcome.reason) == (False, "changed")
    assert file.read_bytes() == b"theirs"
    assert stages_in(top) == []


def test_a_late_write_through_an_old_handle_is_put_back(root: Root, top: Path, memory: Memory) -> None:
    """A program that had the file open and writes while other paths are done: its content comes back in place."""
    for name in ("file", "removed"):
        (top / name).write_bytes(b"planned")
    steps = [step_to(root, FILE, memory.file(b"then"), memory), step_to(root, RelPath("removed"), ABSENT, memory)]
    settle_times(top)
    with (top / "file").open("r+b") as one, (top / "removed").open("r+b") as two:

        def write() -> None:
            for handle in (one, two):
                handle.write(b"LATE")
                handle.flush()

        at_effect("tree.unstage", write)
        first = apply(root, "op", steps[:1], memory, never)
        assert first[0].done  # too late for the one being removed right now
        (top / "file").write_bytes(b"planned")
    with (top / "removed").open("r+b") as handle:
        planned = step_to(root, RelPath("removed"), ABSENT, memory)
        extra = step_to(root, RelPath("zzz"), memory.file(b"x"), memory)

        def write_late() -> None:
            handle.write(b"EVEN LATER")
            handle.flush()

        at_effect("tree.create", write_late)
        outcomes = apply(root, "op", [planned, extra], memory, never)
    assert [(outcome.done, outcome.reason) for outcome in outcomes] == [(False, "changed"), (True, None)]
    assert (top / "removed").read_bytes() == b"EVEN LATER"
    assert stages_in(top) == []


def test_an_atomically_saving_editor_loses_nothing(top: Path, memory: Memory) -> None:
    """500 rounds against an editor that writes a temporary file and renames it over, all the while: after each, the newest save is in
    place, or is what our plan had seen and replaced. Now and then we come second, and say so."""
    file, ended, turn, newest = top / "file", threading.Event(), threading.Lock(), [b"save 0"]
    file.write_bytes(newest[0])

    def edit() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            (top / "temp").write_bytes(b"save %d" % number)
            with turn:
                newest[0] = b"save %d" % number
                (top / "temp").rename(file)

    editor = threading.Thread(target=edit)
    editor.start()
    planned, lost, changed = set[bytes](), list[bytes](), 0
    try:
        for number in range(500):
            with open_root(top) as root:
                step = step_to(root, FILE, memory.file(b"ours %d" % number), memory)
                assert isinstance(step.expect, File)
                planned.add(memory.blobs[step.expect.digest])
                changed += not apply(root, f"op{number}", [step], memory, never)[0].done
            with turn:
                if newest[0] not in planned and file.read_bytes() != newest[0]:
                    lost.append(newest[0])
    finally:
        ended.set()
        editor.join()
    assert lost == []
    assert changed > 0
    assert stages_in(top) == []


def test_a_directory_that_somebody_uses_stays(root: Root, top: Path, memory: Memory) -> None:
    """A directory with an entry that the plan does not know is kept, `not-empty`; what the plan knew in it goes."""
    (top / "directory").mkdir()
    (top / "directory" / "ours").write_bytes(b"x")
    steps = [step_to(root, RelPath(name), ABSENT, memory) for name in ("directory", "directory/ours")]
    swap = step_to(root, RelPath("directory"), memory.file(b"a file"), memory)
    (top / "directory" / "theirs").write_bytes(b"y")
    outcomes = apply(root, "op", steps, memory, never)
    assert [(outcome.done, outcome.reason) for outcome in outcomes] == [(False, "not-empty"), (True, None)]
    assert os.listdir(top / "directory") == ["theirs"]
    outcomes = apply(root, "op", [swap], memory, never)
    assert [(outcome.done, outcome.reason) for outcome in outcomes] == [(False, "not-empty")]


def test_as_wanted_already_is_done_untouched(root: Root, top: Path, memory: Memory) -> None:
    """A path that is as the target says, whatever was expected, is done, and its times do not move."""
    (top / "file").write_bytes(b"then")
    old = (top / "file").stat()
    step = Step(path=FILE, expect=memory.file(b"now"), target=memory.file(b"then", mode_of(top / "file")))
    outcome = apply(root, "op", [step], memory, never)[0]
    assert outcome.done
    assert (top / "file").stat().st_ctime_ns == old.st_ctime_ns
    assert outcome.signature == signature_at(root, FILE, memory)


def test_unknown_is_never_touched(root: Root, top: Path, memory: Memory) -> None:
    """A step from or to unknown does nothing."""
    (top / "file").write_bytes(b"x")
    here = seen_at(root, FILE, memory).version
    for expect, target in ((UNKNOWN, ABSENT), (here, UNKNOWN)):
        outcome = apply(root, "op", [Step(path=FILE, expect=expect, target=target)], memory, never)[0]
        assert (outcome.done, outcome.reason) == (False, "unknown")
    assert (top / "file").exists()


def test_stop_leaves_the_rest(root: Root, top: Path, memory: Memory) -> None:
    """Once asked to stop, the remaining steps come back `stopped` and their paths are as before; nothing staged stays."""
    steps = [Step(path=RelPath(name), expect=ABSENT, target=memory.file(b"x")) for name in "abc"]
    asked = iter([False] * 4 + [True] * 100)
    outcomes = apply(root, "op", steps, memory, lambda: next(asked))
    assert [outcome.reason for outcome in outcomes] == [None, "stopped", "stopped"]
    assert os.listdir(top) == ["a"]


def test_a_parent_that_became_a_link_leads_nowhere(root: Root, top: Path, tmp_path: Path, memory: Memory) -> None:
    """Nothing is written through a link out of the workspace."""
    (top / "d").mkdir()
    (top / "d" / "file").write_bytes(b"now")
    step = step_to(root, RelPath("d/file"), memory.file(b"then"), memory)
    (top / "d").rename(tmp_path / "outside")
    (top / "d").symlink_to(tmp_path / "outside")
    root.forget(RelPath("."))
    assert apply(root, "op", [step], memory, never)[0].reason == "changed"
    assert (tmp_path / "outside" / "file").read_bytes() == b"now"


def test_corrupt_content_touches_nothing(root: Root, top: Path, memory: Memory) -> None:
    """The store's error while staging passes, the tree is untouched and no stage is left."""

    class Corrupt(Memory):
        def chunks(self, version: File) -> Iterator[bytes]:
            yield b"half"
            raise StoreCorrupt("a blob is damaged")

    (top / "file").write_bytes(b"now")
    with pytest.raises(StoreCorrupt):
        apply(root, "op", [step_to(root, FILE, memory.file(b"then"), memory)], Corrupt(), never)
    assert os.listdir(top) == ["file"]
    assert (top / "file").read_bytes() == b"now"


def test_rescue_puts_back_what_nobody_had_looked_at(root: Root, top: Path, memory: Memory) -> None:
    """Killed between the exchange and the look: an editor's save in the stage is put back, and our own content is not."""
    steps = [
        Step(path=RelPath(name), expect=memory.file(b"planned"), target=memory.file(b"then")) for name in ("saved", "as-planned", "partial")
    ]
    steps.append(Step(path=RelPath("removed"), expect=memory.file(b"planned"), target=ABSENT))
    for name, in_place, staged in (
        ("saved", b"then", b"their save"),
        ("as-planned", b"then", b"planned"),
        ("partial", b"planned", b"th"),
        ("removed", None, b"their save"),
    ):
        for path, content in ((name, in_place), (stage_name("op", RelPath(name)), staged)):
            if content is not None:
                (top / path).write_bytes(content)
                (top / path).chmod(0o644)
    assert rescue(root, "op", steps) == [RelPath("saved"), RelPath("removed")]
    assert {path.name: path.read_bytes() for path in top.iterdir()} == {
        "saved": b"their save",
        "as-planned": b"then",
        "partial": b"planned",
        "removed": b"their save",
    }


def test_sweep_removes_one_operations_stages(root: Root, top: Path) -> None:
    """Stages of that operation go, in the directories given and above them; other names stay."""
    (top / "a" / "b").mkdir(parents=True)
    for name in (".rewindd-op-1", "a/.rewindd-op-2", "a/b/.rewindd-op-3", "a/.rewindd-other-1", "a/file"):
        (top / name).touch()
    (top / ".rewindd-op-4").mkdir()
    assert sweep(root, "op", [RelPath("a/b"), RelPath("a/gone")]) == 4
    assert stages_in(top) == ["a/.rewindd-other-1"]
    assert (top / "a" / "file").exists()


def test_sync_takes_what_is_there(root: Root, top: Path, memory: Memory) -> None:
    """Files, links, directories and absent paths, also below absent directories, can be synced."""
    (top / "file").touch()
    (top / "file").chmod(0)
    (top / "link").symlink_to("nowhere")
    (top / "d").mkdir()
    synced: list[str] = []
    faults.arm(synced.append)
    sync(root, [RelPath(name) for name in ("file", "link", "d", "gone/below/deep")])
    assert set(synced) == {"tree.sync"}


@contextmanager
def as_nobody(top: Path) -> Iterator[None]:
    """Runs as an ordinary user, for whom permissions count."""
    if os.geteuid() != 0:
        yield
        return
    for directory in (top, *top.parents):
        if str(directory) != "/tmp" and directory.owner() == "root" and str(directory).startswith("/tmp/"):
            directory.chmod(directory.stat().st_mode | 0o011)
    os.chown(top, 65534, 65534)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_permissions_count_for_ordinary_users(top: Path, memory: Memory) -> None:
    """A directory that a step opens is worked in; one that must go is opened first; one that stays closed fails all, untouched."""
    with as_nobody(top), open_root(top) as root:
        for name in ("opened", "leaving", "closed"):
            (top / name).mkdir()
            (top / name / "file").write_bytes(b"now")
            (top / name / "file").chmod(0o644)
        old, new = memory.file(b"now"), memory.file(b"then")
        for name, mode in (("opened", 0o555), ("leaving", 0o500), ("closed", 0o555)):
            (top / name).chmod(mode)
        closed = Step(path=RelPath("closed/file"), expect=old, target=new)
        steps = [
            Step(path=RelPath("opened"), expect=Directory(0o555), target=Directory(0o755)),
            Step(path=RelPath("opened/file"), expect=old, target=new),
            Step(path=RelPath("leaving"), expect=Directory(0o500), target=Symlink(LinkTarget("opened"))),
            Step(path=RelPath("leaving/file"), expect=old, target=ABSENT),
            Step(path=RelPath("narrow"), expect=ABSENT, target=Directory(0o500)),
            Step(path=RelPath("narrow/file"), expect=ABSENT, target=new),
        ]
        before = read_back(top, memory)
        with pytest.raises(StageFailed) as caught:
            apply(root, "op", [*steps, closed], memory, never)
        assert [(failure.path, failure.reason) for failure in caught.value.failures] == [("closed/file", "permission denied")]
        assert read_back(top, memory) == before
        outcomes = apply(root, "op", steps, memory, never)
        assert [outcome.reason for outcome in outcomes] == [None] * 6
        assert read_back(top, memory) == {
            RelPath("opened"): Directory(0o755),
            RelPath("opened/file"): new,
            RelPath("leaving"): Symlink(LinkTarget("opened")),
            RelPath("narrow"): Directory(0o500),
            RelPath("narrow/file"): new,
            RelPath("closed"): Directory(0o555),
            RelPath("closed/file"): old,
        }
        for name in ("closed", "narrow"):
            (top / name).chmod(0o700)


def test_the_room_knows_only_what_is_below_it() -> None:
    """Importing the tree loads neither anyio, zmq, sqlite3 nor the store."""
    code = "import sys, rewindd.tree.apply, rewindd.tree.observe, rewindd.tree.merge; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"anyio", "zmq", "sqlite3", "asyncio", "rewindd.store"} & set(loaded)

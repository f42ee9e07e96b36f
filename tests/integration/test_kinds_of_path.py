"""Every kind of path, through snapshot, change, save, rewind and undo on the real daemon."""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from support.desk import Desk, Photograph, reasons, saved

pytestmark = pytest.mark.anyio

Change = Callable[[Path], object]


def nothing(root: Path) -> None:
    """Leaves the tree as it is."""


def replace_by_directory(root: Path) -> None:
    (root / "it").unlink()
    (root / "it").mkdir()
    (root / "it" / "inside").write_text("inside\n")


def replace_by_file(root: Path) -> None:
    shutil.rmtree(root / "it")
    (root / "it").write_text("now a file\n")


def replace_by_another_file(root: Path) -> None:
    (root / "it").unlink()
    (root / "it").write_text("another\n")
    (root / "it").chmod(0o600)


def replace_by_link(root: Path) -> None:
    (root / "it").unlink()
    (root / "it").symlink_to("elsewhere")


def write(content: bytes, mode: int = 0o644) -> Change:
    """Returns a change that writes `it` whole."""

    def change(root: Path) -> None:
        (root / "it").write_bytes(content)
        (root / "it").chmod(mode)

    return change


def make_link(target: str) -> Change:
    """Returns a change that makes `it` a link to something."""

    def change(root: Path) -> None:
        (root / "it").unlink(missing_ok=True)
        (root / "it").symlink_to(target)

    return change


def make_directory(*inside: str, mode: int = 0o755) -> Change:
    """Returns a change that makes `it` a directory with these files in it."""

    def change(root: Path) -> None:
        (root / "it").mkdir()
        for name in inside:
            place = root / "it" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"{name}\n")
        (root / "it").chmod(mode)

    return change


def remove(root: Path) -> None:
    place = root / "it"
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()


CHANGES: dict[str, tuple[Change, Change]] = {
    "text is edited": (write(b"one\ntwo\n"), write(b"one\n2\n")),
    "no line feed at the end": (write(b"one"), write(b"one\ntwo")),
    "text becomes binary": (write(b"text\n"), write(bytes(range(256)) * 9)),
    "binary is edited": (write(b"\0\1\2" * 999), write(b"\0\1\3" * 999)),
    "not UTF-8": (write(b"caf\xe9\n"), write(b"caf\xc3\xa9\n")),
    "carriage returns": (write(b"a\r\nb\r\n"), write(b"a\nb\n")),
    "emptied": (write(b"full\n"), write(b"")),
    "filled": (write(b""), write(b"full\n")),
    "an empty file is made": (nothing, write(b"")),
    "a file is made": (nothing, write(b"new\n")),
    "a file is deleted": (write(b"old\n"), remove),
    "made executable": (write(b"#!/bin/sh\n", 0o644), write(b"#!/bin/sh\n", 0o755)),
    "mode and content": (write(b"a\n", 0o600), write(b"b\n", 0o444)),
    "set-user-id": (write(b"a\n", 0o755), write(b"a\n", 0o4755)),
    "a dangling link is made": (nothing, make_link("nowhere")),
    "a link is turned": (make_link("one"), make_link("two")),
    "a link is deleted": (make_link("one"), remove),
    "a link to a directory": (nothing, make_link("/etc")),
    "a link to itself": (make_link("it"), make_link("./it")),
    "a link becomes a file": (make_link("target"), replace_by_another_file),
    "a file becomes a link": (write(b"x\n"), replace_by_link),
    "a link whose target is not UTF-8": (nothing, make_link(os.fsdecode(b"\xff\xfe"))),
    "an empty directory is made": (nothing, make_directory()),
    "an empty directory is removed": (make_directory(), remove),
    "a directory's mode": (make_directory(mode=0o755), lambda root: (root / "it").chmod(0o700)),
    "a tree is made": (nothing, make_directory("a", "b/c", "b/d/e")),
    "a tree is removed": (make_directory("a", "b/c", "b/d/e"), remove),
    "a file becomes a directory": (write(b"file\n"), replace_by_directory),
    "a directory becomes a file": (make_directory("a", "b/c"), replace_by_file),
    "deleted and made again": (write(b"first\n"), replace_by_another_file),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_there_and_back(desk: Desk, name: str) -> None:
    """For each change of a path: a rewind gives back exactly what was, and undo and redo give either again, to the byte and mode."""
    prepare, change = CHANGES[name]
    (desk.root / "bystander").write_text("not touched\n")
    prepare(desk.root)
    async with desk.session() as session:
        await session.snapshot("it")
        start = await session.save("start")
        before = desk.photograph()
        await session.snapshot("it")
        change(desk.root)
        after = desk.photograph()
        made = await session.save("changed")
        assert made.files > 0

        result = await session.rewind(start.id)
        assert (desk.photograph(), result.kept) == (before, [])
        await session.undo()
        assert desk.photograph() == after
        await session.redo()
        assert desk.photograph() == before
        await session.rewind(made.id)
        assert desk.photograph() == after
        await session.rewind(made.id, before=True)
        assert desk.photograph() == before


ODD_NAMES = (
    b"with space",
    b" leading and trailing ",
    b"new\nline",
    b"tab\there",
    b"-leading-dash",
    b"--option=value",
    b"n" * 255,
    "ü".encode() * 127,
    b"\xff\xfe not utf-8",
    b"quote'\"back\\slash",
    b"*?[glob]",
    b":(top)magic",
    b"@",
    b"#42",
    b"...",
    b".hidden",
    b".gitignore",
    b".github",
    b"dir with space/and\nmore",
    b"\xc0dir/\xc1file",
)


async def test_odd_names(desk: Desk) -> None:
    """Names that programs stumble over are kept, listed and given back to the byte, named as str, bytes or absolute."""
    names = [os.fsdecode(name) for name in ODD_NAMES]
    async with desk.session() as session:
        kept = await session.snapshot(*ODD_NAMES[:7], *names[7:14], *(desk.root / name for name in names[14:]))
        assert ([str(one.path) for one in kept.snapshots], kept.skipped) == (names, [])
        assert {one.kind for one in kept.snapshots} == {"absent"}
        for number, name in enumerate(names):
            desk.write(name, f"{number}\n")
        full = desk.photograph()
        made = await session.save("odd")
        found = {str(diff.path) for diff in (await session.load(made.id)).file_diffs}
        assert found >= set(names)

        result = await session.rewind(made.id, before=True)
        assert desk.photograph() == {}
        assert {str(path) for path in result.removed} >= set(names)
        await session.undo()
        assert desk.photograph() == full


async def test_a_deep_tree(desk: Desk) -> None:
    """A tree of 300 levels goes and comes back; a name at its end is found though only the top was named."""
    bottom = "/".join(["d"] * 300)
    async with desk.session() as session:
        await session.snapshot(".")
        desk.write(f"{bottom}/file", "at the bottom\n")
        deep = desk.photograph()
        made = await session.save("deep")
        assert made.files == 301
        await session.rewind(made.id, before=True)
        assert desk.photograph() == {}
        await session.rewind(made.id)
        assert desk.photograph() == deep


async def test_a_hard_linked_file_is_replaced(desk: Desk) -> None:
    """A rewind of a file with another name outside the workspace leaves that name its content."""
    outside = desk.daemon.directory / "outside-name"
    outside.write_text("before\n")
    (desk.root / "linked").hardlink_to(outside)
    async with desk.session() as session:
        await session.snapshot("linked")
        start = await session.save()
        await session.snapshot("linked")
        outside.write_text("after\n")
        await session.save()
        await session.rewind(start.id)
        assert (desk.read("linked"), outside.read_text()) == ("before\n", "after\n")


async def test_two_names_of_one_file_inside(desk: Desk) -> None:
    """A write through one name of a file is seen under the other too, and both come back."""
    desk.write("a", "before\n")
    (desk.root / "b").hardlink_to(desk.root / "a")
    async with desk.session() as session:
        await session.snapshot("a", "b")
        start = await session.save()
        await session.snapshot("a", "b")
        (desk.root / "a").write_text("after\n")
        assert {str(one.path) for one in await session.pending()} == {"a", "b"}
        await session.rewind(start.id)
        assert (desk.read("a"), desk.read("b")) == ("before\n", "before\n")


def make_specials(root: Path) -> socket.socket:
    """Makes a FIFO and a listening socket; the FIFO has no writer: who opens it for reading hangs."""
    os.mkfifo(root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(root / "sock"))
    return listener


async def test_special_files_are_skipped(desk: Desk) -> None:
    """FIFOs and sockets are never opened: skipped by name and in a directory, also the second time; a save says so, and goes on."""
    desk.write("file", "content\n")
    with make_specials(desk.root):
        async with desk.session() as session:
            for paths in (("fifo", "sock", "file"), ("fifo", "file"), (".",), (".",)):
                kept = await session.snapshot(*paths)
                specials = {name for name in ("fifo", "sock") if name in paths or "." in paths}
                assert reasons(kept.skipped) == dict.fromkeys(specials, "special-file")
                assert [str(one.path) for one in kept.snapshots] == ["file"]
            desk.write("file", "changed\n")
            made = await session.save()
            assert made.files == 1
            assert reasons(made.incomplete.first) == {"fifo": "special-file", "sock": "special-file"}
            await session.rewind(made.id, before=True)
            assert desk.read("file") == "content\n"
            assert stat.S_ISFIFO((desk.root / "fifo").stat().st_mode)


async def test_a_file_that_became_a_fifo(desk: Desk) -> None:
    """A file replaced by a FIFO is neither read nor removed: a rewind says what is in the way, and touches nothing."""
    async with desk.session() as session:
        made = await saved(session, desk, "it", "file\n")
        await saved(session, desk, "it", "more\n")
        (desk.root / "it").unlink()
        os.mkfifo(desk.root / "it")
        kept = await session.snapshot("it")
        assert (reasons(kept.skipped), kept.snapshots) == ({"it": "special-file"}, [])
        after = await session.save()
        assert reasons(after.incomplete.first) == {"it": "special-file"}
        result = await session.rewind(made.id)
        assert reasons(result.kept).keys() == {"it"}
        assert stat.S_ISFIFO((desk.root / "it").stat().st_mode)


async def test_unchanged_files_are_not_rewritten(desk: Desk) -> None:
    """A rewind writes what differs and nothing else: the others keep inode and times."""
    for name in ("same", "other", "sub/same"):
        desk.write(name, f"{name}\n")
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        await session.snapshot(".")
        desk.write("other", "changed\n")
        await session.save()
        names = ("same", "sub/same", "sub")
        before = [os.lstat(desk.root / name) for name in names]
        await session.rewind(start.id)
        after = [os.lstat(desk.root / name) for name in names]
        assert [(one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in before] == [
            (one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in after
        ]
        assert desk.read("other") == "other\n"


async def test_attributes_of_the_replaced_file_stay(desk: Desk) -> None:
    """Group and user xattrs of the file that a rewind replaces go over to the file it puts there."""
    path = desk.write("it", "one\n")
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("the file system of the temporary directory has no user xattrs")
    group = next(iter({*os.getgroups(), 4242 if os.getuid() == 0 else os.getgid()} - {path.stat().st_gid}), path.stat().st_gid)
    async with desk.session() as session:
        await session.snapshot("it")
        start = await session.save()
        await session.snapshot("it")
        path.write_text("two\n")
        os.chown(path, -1, group)
        await session.rewind(start.id)
        assert (path.read_text(), os.getxattr(path, "user.note"), path.stat().st_gid) == ("one\n", b"mine", group)


async def test_links_are_never_followed(desk: Desk) -> None:
    """A link to a directory is kept as a link; what it points to is neither captured nor touched."""
    target = desk.daemon.directory / f"{desk.root.name}-target"
    target.mkdir()
    (target / "inside").write_text("theirs\n")
    async with desk.session() as session:
        await session.snapshot(".")
        (desk.root / "way").symlink_to(target)
        made = await session.save()
        assert [str(one.path) for one in (await session.load(made.id)).file_diffs] == ["way"]
        await session.rewind(made.id, before=True)
        assert not (desk.root / "way").is_symlink()
        assert (target / "inside").read_text() == "theirs\n"


async def test_a_directory_that_became_a_link(desk: Desk) -> None:
    """Where a directory became a link out of the workspace, a rewind puts the directory back and leaves what the link shows alone."""
    target = desk.daemon.directory / f"{desk.root.name}-target"
    target.mkdir()
    (target / "file").write_text("theirs\n")
    desk.write("way/file", "ours\n")
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        before: Photograph = desk.photograph()
        await session.snapshot(".")
        shutil.rmtree(desk.root / "way")
        (desk.root / "way").symlink_to(target)
        after = desk.photograph()
        await session.save()
        await session.rewind(start.id)
        assert desk.photograph() == before
        await session.undo()
        assert desk.photograph() == after
        assert (target / "file").read_text() == "theirs\n"

"""`show ID:PATH`, `restore`, `materialize`: what they ask, when they ask a person, what they print."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from rewindd.cli.program import execute
from rewindd.cli.render import plan
from rewindd.cli.screen import Screen
from rewindd.errors import Conflict, StoreFull, UnknownCheckpoint, UnknownPath
from rewindd.paths import FsText, LinkTarget, RelPath
from rewindd.protocol import replies, requests
from rewindd.protocol.replies import FileVersion, PathVersion
from support.cli import FakeDaemon, Rewindctl, one_session, rewindctl, rewound

ODD = "od\udcffd"


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    one_session(fake)
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A person at a terminal who gives these answers."""
    answers: list[str] = []
    monkeypatch.setattr(Screen, "is_interactive", True)

    class Keyboard:
        def readline(self) -> str:
            return answers.pop(0) if answers else ""

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Keyboard())
    yield answers
    assert not answers, "the person was not asked"


def found(content: bytes | None = b"hello\n", **changes: object) -> PathVersion:
    """A file as it was."""
    size = len(content) if content is not None else 1 << 21
    version = FileVersion(kind="file", mode=0o644, size=size, blob="ab" * 32)
    fields = {"path": RelPath("src/it"), "version": version, "content": content, **changes}
    return PathVersion(**fields)  # type: ignore[arg-type]  # as the test says


def shown(daemon: FakeDaemon) -> list[tuple[str, str]]:
    """What was asked for, by position and path."""
    return [(one.position, one.path) for one in daemon.asked if isinstance(one, requests.ShowPath)]


@pytest.mark.parametrize(
    ("given", "position", "path"),
    [
        ("c1:it", "c1", "/w/it"),
        ("@~2:src/../it", "@~2", "/w/it"),
        ("@{01:55}:a:b", "@{01:55}", "/w/a:b"),
        ("@{2026-11-22 01:55}:.", "@{2026-11-22 01:55}", "/w"),
        ("#12:/w/it", "#12", "/w/it"),
        (f"c1:{ODD}", "c1", f"/w/{ODD}"),
    ],
)
def test_what_parts_position_and_path(daemon: FakeDaemon, run: Rewindctl, given: str, position: str, path: str) -> None:
    """The first colon, but for one in the braces of a time."""
    daemon.tell(requests.ShowPath, found())
    assert run("show", given, "-C", "/w").status == 0
    assert shown(daemon) == [(position, path)]


def test_a_label_with_a_colon(daemon: FakeDaemon, run: Rewindctl) -> None:
    """It is found as a position before a path, and as a whole checkpoint."""
    daemon.tell(requests.ShowPath, UnknownCheckpoint("no checkpoint 'fix'"), found())
    assert run("show", "fix: it:a", "-C", "/w").status == 0
    assert shown(daemon) == [("fix", "/w/ it:a"), ("fix: it", "/w/a")]
    daemon.tell(requests.ShowPath, UnknownCheckpoint("no checkpoint 'fix'"))
    daemon.tell(requests.ShowCheckpoint, UnknownCheckpoint("no checkpoint 'fix: it'"))
    said = run("show", "fix: it", "--json")
    assert (said.status, said.error["code"]) == (3, "unknown-checkpoint")
    assert daemon.last == requests.ShowCheckpoint(session="s1", position="fix: it")


def test_a_content_is_printed_byte_for_byte(daemon: FakeDaemon, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Whatever bytes it has, without a line feed of ours; a link's is its target; large ones come in pieces."""
    odd = b"\x00\xff\x1b[31m no line end"
    link = found(None, version=FileVersion(kind="symlink", target=LinkTarget(f"../{ODD}")))
    for answer, expected in ((found(odd), odd), (found(b""), b""), (link, b"../od\xffd")):
        daemon.tell(requests.ShowPath, answer)
        assert execute(["show", "c1:it"], {}, daemon.connect) == 0
        assert capfdbinary.readouterr().out == expected
    daemon.tell(requests.ShowPath, found(None))
    daemon.tell(requests.ReadBlob, replies.Chunk(data=b"one", size=6), replies.Chunk(data=b"two", size=6))
    assert execute(["show", "c1:it"], {}, daemon.connect) == 0
    assert capfdbinary.readouterr().out == b"onetwo"
    assert [one.offset for one in daemon.asked if isinstance(one, requests.ReadBlob)] == [0, 3]


def test_a_directory_is_its_names(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A line each."""
    entries = [FsText("a"), FsText("b/")]
    daemon.tell(requests.ShowPath, found(None, version=FileVersion(kind="directory", mode=0o755), entries=entries))
    assert run("show", "c1:src").out == "a\nb/\n"
    assert run("show", "c1:src", "--json").json["entries"] == ["a", "b/"]


def test_a_path_in_json(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The version's fields, with the content as text or base64, and none of a large one."""
    daemon.tell(requests.ShowPath, found())
    assert run("show", "c1:it", "--json").json == {
        "path": "src/it",
        "kind": "file",
        "mode": 0o644,
        "size": 6,
        "blob": "ab" * 32,
        "target": None,
        "text": "hello\n",
    }
    daemon.tell(requests.ShowPath, found(b"\xff"))
    assert run("show", "c1:it", "--json").json["base64"] == "/w=="
    daemon.tell(requests.ShowPath, found(None))
    assert {"text", "base64"} & set(run("show", "c1:it", "--json").json) == set()


def test_what_was_not_there(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Exit 3, in words; and so where it was not known then."""
    daemon.tell(requests.ShowPath, found(None, version=None))
    said = run("show", "c1:src/it", "--json")
    assert (said.status, said.error["code"], said.error["path"]) == (3, "unknown-path", "src/it")
    assert "was not there at c1" in said.err
    daemon.tell(requests.ShowPath, UnknownPath("'it' was not known at c1", path="it"))
    assert run("show", "c1:it").status == 3


def test_on_a_terminal_a_content_is_made_harmless(daemon: FakeDaemon, run: Rewindctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape sequences are spelled out; what is no text is not shown, and said."""
    monkeypatch.setattr(Screen, "out_is_terminal", True)
    monkeypatch.setattr(Screen, "_page", lambda self, text: False)
    daemon.tell(requests.ShowPath, found(b"\x1b[31mred\n"))
    assert run("show", "c1:it").out == "\\x1b[31mred\n"
    daemon.tell(requests.ShowPath, found(b"\xff\x00"))
    said = run("show", "c1:it")
    assert (said.out, "binary" in said.err) == ("", True)


def restores(daemon: FakeDaemon) -> list[requests.Restore]:
    """The restores that were asked for."""
    return [one for one in daemon.asked if isinstance(one, requests.Restore)]


def test_restore_asks_nobody_where_nothing_is_overwritten(daemon: FakeDaemon, run: Rewindctl) -> None:
    """One request, neither a terminal nor a yes."""
    daemon.tell(requests.Restore, rewound(checkpoint_id=None))
    said = run("restore", "-C", "/w", "--", "src", "a b")
    assert (said.status, said.out.splitlines()[0]) == (0, "restored: 1 path")
    assert "undo" in said.err
    assert restores(daemon) == [requests.Restore(session="s1", paths=[FsText("/w/src"), FsText("/w/a b")], overwrite=False)]
    assert run("restore", "c1", "--json", "-C", "/w", "--", "src").json["restored"] == ["a.txt"]
    assert restores(daemon)[1].position == "c1"


def test_restore_wants_paths(daemon: FakeDaemon, run: Rewindctl) -> None:
    """After the dashes, and none of them empty; else it is usage, and the daemon is not asked."""
    for args in (("restore",), ("restore", "src"), ("restore", "c1", "--"), ("restore", "--", "")):
        said = run(*args, "-C", "/w") if "--" not in args else run("-C", "/w", *args)
        assert said.status == 2
    assert daemon.asked == []


def test_restore_without_a_terminal_does_not_overwrite(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The conflict is the daemon's; `--yes` overwrites, `--dry-run` shows what that would do."""
    daemon.tell(requests.Restore, Conflict("1 path(s) in conflict", conflicts=[{"path": "it", "reason": "there is something else now"}]))
    assert run("restore", "c1", "--", "it").status == 4
    daemon.tell(requests.Restore, rewound(), rewound(dry_run=True))
    assert run("restore", "c1", "--yes", "--", "it").status == 0
    assert run("restore", "c1", "--dry-run", "--", "it").out.startswith("would restore from c1:\n")
    assert [(one.overwrite, one.dry_run) for one in restores(daemon)] == [(False, False), (True, False), (True, True)]


def test_restore_on_a_terminal_shows_what_it_would_overwrite(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """A yes does what was shown, a no nothing."""
    in_the_way = Conflict("1 path(s) in conflict", conflicts=[])
    terminal.extend(["y\n", "n\n"])
    daemon.tell(requests.Restore, in_the_way, rewound(dry_run=True, plan_id="p1"), rewound(), in_the_way, rewound(dry_run=True))
    said = run("restore", "c1", "--", "it")
    assert said.status == 0
    assert "would restore from c1:\n  restore   a.txt  +1 -2  (yours)\n" in said.err
    assert [(one.overwrite, one.dry_run, one.plan) for one in restores(daemon)] == [
        (False, False, None),
        (True, True, None),
        (True, False, "p1"),
    ]
    refused = run("restore", "c1", "--", "it")
    assert (refused.status, "nothing was changed" in refused.err, len(restores(daemon))) == (1, True, 5)


def test_restore_over_what_was_not_kept(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """What would be lost is said, shown and asked about: a refusal is not, and nothing is lost without both."""
    full, planned = StoreFull("1 path(s) cannot be overwritten", conflicts=[]), rewound(dry_run=True, plan_id="p1", lost=[RelPath("it")])
    terminal.append("y\n")
    daemon.tell(requests.Restore, full, full, planned, rewound())
    assert run("restore", "c1", "--", "it").status == 1
    said = run("restore", "c1", "--lose-unsaved", "--", "it")
    assert (said.status, "not in the store, and lost: it" in said.err) == (0, True)
    assert [(one.overwrite, one.lose_unsaved, one.plan) for one in restores(daemon)] == [
        (False, False, None),
        (False, False, None),
        (True, True, None),
        (True, True, "p1"),
    ]
    daemon.tell(requests.Restore, rewound())
    assert run("restore", "c1", "--lose-unsaved", "--yes", "--", "it").status == 0
    assert restores(daemon)[-1].lose_unsaved


def test_restore_over_what_was_not_kept_without_a_terminal(daemon: FakeDaemon, run: Rewindctl) -> None:
    """It wants `--yes` too."""
    daemon.tell(requests.Restore, StoreFull("1 path(s) cannot be overwritten", conflicts=[]))
    said = run("restore", "c1", "--lose-unsaved", "--", "it")
    assert (said.status, "--yes" in said.err) == (1, True)


def test_restore_on_a_terminal_that_cannot_be_done(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """What overwriting does not resolve is not asked about."""
    del terminal
    conflict = replies.PathReason(path=RelPath("x"), reason="the directory is still used")
    daemon.tell(requests.Restore, Conflict("1 path(s) in conflict"), rewound(dry_run=True, conflicts=[conflict]))
    said = run("restore", "c1", "--", "x")
    assert (said.status, "conflict  x  (the directory is still used)" in said.err) == (4, True)


def test_nothing_to_restore_says_so(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Exit 0, and no word of an undo that would take something else back."""
    daemon.tell(requests.Restore, rewound(restored=[], steps=[], operation_id=None))
    said = run("restore", "--", "it")
    assert (said.status, said.out, said.err) == (0, "restored from c1: no file changed\n", "")


def test_ignored_entries_are_named() -> None:
    """After a restore and after a rewind."""
    one, two = (replies.PathReason(path=RelPath(name), reason="ignored by git") for name in ("build", "a.log"))
    assert "1 ignored entry does not come back: build" in plan.outcome(rewound(not_restored=[one]), lambda text, _: text)
    assert "2 ignored entries do not come back: build, a.log" in plan.plan(rewound(not_restored=[one, two]), lambda text, _: text)


def materialized(daemon: FakeDaemon, *more: PathVersion) -> None:
    """A tree of one file, and more."""
    body = b"hello\n"
    version = FileVersion(kind="file", mode=0o600, size=len(body), blob=blake3(body).hexdigest())
    entries = [PathVersion(path=RelPath("d/it"), version=version), *more]
    daemon.tell(requests.ListTree, replies.TreePage(position="#3", entries=entries, more=False))
    daemon.tell(requests.ReadBlobs, replies.Contents(contents=[body]))


def test_materialize_writes_a_tree(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """And says how much; the directory is relative to the current one; once is enough."""
    materialized(daemon)
    said = run("materialize", "c1", "--to", "new/there", "-C", str(tmp_path))
    assert (said.status, said.out, said.err) == (0, "", "wrote 1 file, 6 B\n")
    assert (tmp_path / "new/there/d/it").read_bytes() == b"hello\n"
    again = run("materialize", "c1", "--to", "new/there", "-C", str(tmp_path), "--json")
    assert (again.status, again.error["code"]) == (4, "already-exists")


def test_materialize_tells_what_it_did_not_write(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """Each by name, up to a number; the status is 1, and JSON has all."""
    unknown = [PathVersion(path=RelPath(f"u{number:02}"), version=FileVersion(kind="unknown")) for number in range(25)]
    materialized(daemon, *unknown)
    said = run("materialize", "c1", "--to", str(tmp_path / "to"), "--json")
    assert said.status == 1
    assert (said.json["files"], said.json["bytes"], len(said.objects("skipped"))) == (1, 6, 25)
    assert "not written: u00: not known at that point\n" in said.err
    assert "and 5 more" in said.err
    assert json.loads(said.out)["skipped"][0] == {"path": "u00", "reason": "not known at that point"}


def test_materialize_where_it_cannot(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """A file in the place of the directory is usage; so is no name at all; and a position that is none makes nothing."""
    materialized(daemon)
    (tmp_path / "file").write_text("mine")
    assert run("materialize", "c1", "--to", str(tmp_path / "file")).status == 2
    assert run("materialize", "c1", "--to", "").status == 2
    assert run("materialize", "c1").status == 2
    daemon.tell(requests.ListTree, UnknownCheckpoint("no checkpoint 'c9'"))
    assert run("materialize", "c9", "--to", str(tmp_path / "new")).status == 3
    assert not (tmp_path / "new").exists()

"""Observing: what differs from the index, what is new in covered directories, what the rules leave out."""

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File
from rewindd.paths import ROOT, RelPath
from rewindd.tree import observe as observe_module
from rewindd.tree.ignore import BuiltIn, Names
from rewindd.tree.look import SPECIAL, Look, Unseen
from rewindd.tree.observe import LeftOut, New, Observation, observe, survey
from rewindd.tree.root import Root
from support.tree import Memory, index_of, names_below, open_root, settle_times

Index = dict[RelPath, IndexEntry]


class Listed(BuiltIn):
    """Leaves out names that it is told, and counts the questions."""

    def __init__(self, *left: str) -> None:
        super().__init__()
        self.left, self.questions = set(left), 0

    def leaves_out(self, directory: RelPath, names: Names) -> set[str]:
        self.questions += 1
        return super().leaves_out(directory, names) | {name for name, _ in names if name.rpartition("/")[2] in self.left}


def covered_index(top: Path, memory: Memory, *, covered: int = 7) -> Index:
    settle_times(top)
    with open_root(top) as root:
        return index_of(root, [ROOT, *names_below(top)], memory, covered=covered)


def observed(
    root: Root, index: Index, memory: Memory, *, paths: Iterable[str] | None = None, left: Iterable[str] = (), rules: BuiltIn | None = None
) -> Observation:
    wanted = None if paths is None else [RelPath(path) for path in paths]
    return observe(root, index, {RelPath(path) for path in left}, wanted, rules or BuiltIn(), memory)


def test_nothing_changed_is_nothing(root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet tree gives an empty observation, without opening or listing anything."""
    (top / "d").mkdir()
    (top / "d" / "file").write_bytes(b"x")
    (top / "link").symlink_to("d")
    index = covered_index(top, memory)
    index[RelPath("gone")] = IndexEntry(path=RelPath("gone"), version=ABSENT, signature=None, since=1)
    index[RelPath("d/x/gone")] = replace(index[RelPath("gone")], path=RelPath("d/x/gone"))
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("listed"))
    assert observed(root, index, memory) == Observation()


def test_changes_of_every_kind(root: Root, top: Path, memory: Memory) -> None:
    """Content, mode, removal, a swap of kind and a return from absence are changes; a touch is a refresh with an equal version."""
    for name in ("content", "mode", "removed", "swapped", "touched"):
        (top / name).write_bytes(b"old")
    index = covered_index(top, memory)
    back = RelPath("back")
    index[back] = IndexEntry(path=back, version=ABSENT, signature=None, since=3)
    (top / "content").write_bytes(b"new")
    (top / "mode").chmod(0o755)
    (top / "removed").unlink()
    (top / "swapped").unlink()
    (top / "swapped").mkdir()
    (top / "swapped" / "inside").write_bytes(b"i")
    os.utime(top / "touched")
    (top / "back").write_bytes(b"b")
    found = observed(root, index, memory)
    changed = {seen.path: seen for seen in found.changed}
    assert set(changed) == {ROOT, *map(RelPath, ("content", "mode", "removed", "swapped", "touched", "back"))}
    assert changed[RelPath("content")].content == b"new"
    assert changed[RelPath("mode")].content is None
    assert changed[RelPath("touched")].version == index[RelPath("touched")].version
    assert changed[RelPath("removed")].version == ABSENT
    assert isinstance(changed[RelPath("swapped")].version, Directory)
    assert [(new.path, new.since, new.content) for new in found.new] == [("swapped/inside", 1, b"i")]
    assert found.listed == {ROOT, RelPath("swapped")}


def test_new_names_in_covered_directories(root: Root, top: Path, memory: Memory) -> None:
    """New since the directory was covered, with everything below; what the rules leave is told once; elsewhere nothing is looked for."""
    (top / "covered").mkdir()
    (top / "other").mkdir()
    index = covered_index(top, memory)
    index[ROOT] = replace(index[ROOT], covered=None)
    index[RelPath("other")] = replace(index[RelPath("other")], covered=None)
    (top / "covered" / "n" / "deep").mkdir(parents=True)
    (top / "covered" / "n" / "deep" / "file").write_bytes(b"x")
    (top / "covered" / "junk").mkdir()
    (top / "covered" / "junk" / "file").touch()
    (top / "covered" / ".git").mkdir()
    (top / "other" / "unseen").touch()
    rules = Listed("junk")
    found = observed(root, index, memory, rules=rules)
    assert [(new.path, new.since) for new in found.new] == [("covered/n", 7), ("covered/n/deep", 7), ("covered/n/deep/file", 7)]
    assert found.now_left_out == ["covered/junk"]
    assert found.listed == {RelPath(path) for path in ("covered", "covered/n", "covered/n/deep")}
    assert rules.questions == 3
    again = observed(root, index, memory, left=["covered/junk"], rules=rules)
    assert again.now_left_out == []


def test_a_changed_ignore_file_lets_names_in_as_first_seen(root: Root, top: Path, memory: Memory) -> None:
    """When `.gitignore` changes, covered directories below it are listed again; what had been left out is seen, not added."""
    (top / "d").mkdir()
    (top / "d" / "artefact").write_bytes(b"x")
    (top / ".gitignore").write_text("artefact\n")
    index = covered_index(top, memory)
    del index[RelPath("d/artefact")]
    assert observed(root, index, memory, left=["d/artefact"], rules=Listed("artefact")) == Observation()
    (top / ".gitignore").write_text("other\n")
    found = observed(root, index, memory, paths=[".gitignore"], left=["d/artefact"], rules=Listed("other"))
    assert [(new.path, new.since) for new in found.new] == [("d/artefact", None)]


def test_paths_narrow_the_look(root: Root, top: Path, memory: Memory) -> None:
    """Only the paths and what is below them; for an unknown one the nearest known ancestor, so that a covered name is found."""
    (top / "a").mkdir()
    for name in ("a/one", "a/two", "b"):
        (top / name).write_bytes(b"old")
    index = covered_index(top, memory)
    for name in ("a/one", "a/two", "b"):
        (top / name).write_bytes(b"new")
    assert [seen.path for seen in observed(root, index, memory, paths=["a/one"]).changed] == ["a/one"]
    assert {seen.path for seen in observed(root, index, memory, paths=["a"]).changed} == {"a/one", "a/two"}
    assert {seen.path for seen in observed(root, index, memory, paths=["."]).changed} == {"a/one", "a/two", "b"}
    (top / "a" / "new").mkdir()
    (top / "a" / "new" / "file").touch()
    found = observed(root, index, memory, paths=["a/new/file"])
    assert [(new.path, new.since) for new in found.new] == [("a/new", 7), ("a/new/file", 7)]
    assert [seen.path for seen in found.changed] == ["a"]


def test_what_is_unseen_stays_in_doubt(root: Root, top: Path, memory: Memory) -> None:
    """A FIFO in a covered directory is unseen, and the directory's signature proves nothing until it is entered; as UNKNOWN it is
    looked at each time, and what turns up there is a change from unknown."""
    (top / "d").mkdir()
    index = covered_index(top, memory)
    fifo = RelPath("d/fifo")
    os.mkfifo(top / fifo)
    settle_times(top)
    found = observed(root, index, memory)
    assert found.unseen == [Unseen(path=fifo, reason=SPECIAL)]
    directory = next(seen for seen in found.changed if seen.path == "d")
    assert directory.signature is not None
    assert directory.signature.racy
    index[fifo] = IndexEntry(path=fifo, version=UNKNOWN, signature=None, since=8)
    assert observed(root, index, memory).unseen == [Unseen(path=fifo, reason=SPECIAL)]
    (top / fifo).unlink()
    (top / fifo).write_bytes(b"x")
    assert {seen.path: seen.content for seen in observed(root, index, memory).changed}[fifo] == b"x"


def test_memory_is_bounded(root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound of one observation small files stream into the sink instead of coming back as bytes."""
    monkeypatch.setattr(observe_module, "KEEP_BYTES", 2500)
    index = covered_index(top, memory)
    for number in range(10):
        (top / f"f{number}").write_bytes(b"%d" % number * 1000)
    found = observed(root, index, memory)
    assert len(found.new) == 10
    assert sum(new.content is not None for new in found.new) == 2
    assert memory.streamed == 8


def test_survey_sees_all_that_the_rules_leave(root: Root, top: Path, memory: Memory) -> None:
    """Itself first, parents before children, links as links, special files unseen, left-out names told and not entered."""
    (top / "d" / "e").mkdir(parents=True)
    (top / "d" / "junk").mkdir()
    (top / "d" / "junk" / "x").touch()
    (top / "d" / "e" / "file").write_bytes(b"x")
    (top / "d" / "to-e").symlink_to("e")
    os.mkfifo(top / "d" / "fifo")
    seen = list(survey(root, RelPath("d"), Listed("junk"), memory))
    assert [each.path for each in seen] == ["d", "d/e", "d/fifo", "d/junk", "d/to-e", "d/e/file"]
    assert [type(each) for each in seen] == [Look, Look, Unseen, LeftOut, Look, Look]
    assert [each.path for each in survey(root, RelPath("d/e/file"), BuiltIn(), memory)] == ["d/e/file"]
    gone = list(survey(root, RelPath("gone"), BuiltIn(), memory))
    assert [each.version for each in gone if isinstance(each, Look)] == [ABSENT]


def test_a_file_that_changes_all_the_while_is_seen_at_last(root: Root, top: Path, memory: Memory) -> None:
    """Write, observe, take over, a few hundred times: the index always has the newest content."""
    (top / "d").mkdir()
    index = covered_index(top, memory)
    for number in range(200):
        name = RelPath(f"d/{number % 7}")
        if number % 3 == 2 and (top / name).exists():
            (top / name).unlink()
        else:
            (top / name).write_bytes(b"%03d" % number)
        found = observed(root, index, memory)
        for seen in (*found.changed, *found.new):
            assert isinstance(seen, Look | New)
            known = index.get(seen.path)
            index[seen.path] = IndexEntry(
                path=seen.path, version=seen.version, signature=seen.signature, since=number, covered=known.covered if known else None
            )
            if seen.content is not None:
                memory.keep(seen.content)
        for path in names_below(top):
            version = index[path].version
            assert not isinstance(version, File) or memory.blobs[version.digest] == (top / path).read_bytes()
        assert all((top / path).exists() == (entry.version != ABSENT) for path, entry in index.items())


def test_two_thousand_unchanged_paths_are_cheap(root: Root, top: Path, memory: Memory) -> None:
    """Unchanged known paths cost a system call each and little more: 2,000 in well under 50 ms on any machine."""
    for directory in range(20):
        (top / f"d{directory}").mkdir()
        for number in range(100):
            (top / f"d{directory}" / f"f{number}").write_bytes(b"x")
    index = covered_index(top, memory)
    best_s = min(_timed(root, index, memory) for _ in range(5))
    assert best_s < 0.05


def _timed(root: Root, index: Index, memory: Memory) -> float:
    began = time.perf_counter()
    assert observed(root, index, memory) == Observation()
    return time.perf_counter() - began

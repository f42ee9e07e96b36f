"""Observing: what differs from the index, what is new in covered directories, what the rules leave out."""

import os
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from rewindd.model.capture import LIMIT, CaptureSettings, Room
from rewindd.model.capture import LeftOut as LeftName
from rewindd.model.index import Index, LeftOut
from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File
from rewindd.paths import ROOT, RelPath
from rewindd.tree import observe as observe_module
from rewindd.tree.listing import Name, list_directory
from rewindd.tree.look import SPECIAL, Look, Unseen
from rewindd.tree.observation import EVERYTHING, New, Observation, Wanted
from rewindd.tree.observe import observe
from rewindd.tree.root import Root
from rewindd.tree.rules.book import NoRules
from rewindd.tree.sight import Allowance, Limits, Sight
from rewindd.tree.survey import survey
from support.tree import Memory, index_of, names_below, open_root, settle_times


class Listed(NoRules):
    """Leaves out names that it is told, and counts the questions. `before`: what older texts of the rules had left out."""

    def __init__(self, *left: str, before: Iterable[str] = ()) -> None:
        super().__init__()
        self.left, self.before, self.questions = set(left), set(before), 0

    def leaves_out(self, names: Sequence[tuple[RelPath, bool]]) -> dict[RelPath, str]:
        self.questions += 1
        return super().leaves_out(names) | {path: "told" for path, _ in names if path.name in self.left}

    def moved(self) -> bool:
        return False

    def turned(self, directories: Iterable[RelPath]) -> set[RelPath]:
        return set()

    def index_moved(self) -> bool:
        return False

    def changed(self, rule_files: Iterable[RelPath]) -> None:
        """Nothing is remembered."""

    def let_in(self, names: Sequence[tuple[RelPath, bool]], old: Mapping[RelPath, bytes]) -> set[RelPath]:
        return {path for path, _ in names if path.name in self.before}


def covered_index(top: Path, memory: Memory, *, covered: int = 7) -> Index:
    settle_times(top)
    with open_root(top) as root:
        return Index(index_of(root, [ROOT, *names_below(top)], memory, covered=covered).values())


def observed(
    root: Root,
    index: Index,
    memory: Memory,
    *,
    wanted: Wanted = EVERYTHING,
    left: Mapping[str, str] | None = None,
    rules: Listed | None = None,
    settings: CaptureSettings | None = None,
    counted: Iterable[str] = (),
    leave: Callable[[RelPath], str | None] | None = None,
    armed: list[RelPath] | None = None,
    text_before: bytes | None = None,
    allowance: Allowance | None = None,
) -> Observation:
    return observe(
        Sight(
            root=root,
            index=index,
            left_out=LeftOut({RelPath(path): reason for path, reason in (left or {}).items()}),
            rules=rules or Listed(),
            sink=memory,
            limits=Limits(settings or CaptureSettings(), index, lambda: Room(1 << 40, ""), lambda path: False, allowance),
            arm=(armed if armed is not None else []).append,
            text_before=lambda path: text_before,
            counted={RelPath(path) for path in counted},
            leave=leave,
        ),
        wanted,
    )


def trees(*paths: str) -> Wanted:
    return Wanted(trees=[RelPath(path) for path in paths])


def single(*paths: str) -> Wanted:
    return Wanted(paths=[RelPath(path) for path in paths])


def test_nothing_changed_is_nothing(root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet tree gives an empty observation, without opening or listing anything."""
    (top / "d").mkdir()
    (top / "d" / "file").write_bytes(b"x")
    (top / "link").symlink_to("d")
    index = covered_index(top, memory)
    index.put([IndexEntry(path=RelPath("gone"), version=ABSENT, signature=None, since=1)])
    index.put([structs.replace(index[RelPath("gone")], path=RelPath("d/x/gone"))])
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("listed"))
    assert observed(root, index, memory) == Observation()


def test_changes_of_every_kind(root: Root, top: Path, memory: Memory) -> None:
    """Content, mode, removal, a swap of kind and a return from absence are changes; a touch is a refresh with an equal version."""
    for name in ("content", "mode", "removed", "swapped", "touched"):
        (top / name).write_bytes(b"old")
    index = covered_index(top, memory)
    back = RelPath("back")
    index.put([IndexEntry(path=back, version=ABSENT, signature=None, since=3)])
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
    index.put([structs.replace(index[ROOT], covered=None)])
    index.put([structs.replace(index[RelPath("other")], covered=None)])
    (top / "covered" / "n" / "deep").mkdir(parents=True)
    (top / "covered" / "n" / "deep" / "file").write_bytes(b"x")
    (top / "covered" / "junk").mkdir()
    (top / "covered" / "junk" / "file").touch()
    (top / "covered" / ".git").mkdir()
    (top / "other" / "unseen").touch()
    rules = Listed("junk")
    found = observed(root, index, memory, rules=rules)
    assert [(new.path, new.since) for new in found.new] == [("covered/n", 7), ("covered/n/deep", 7), ("covered/n/deep/file", 7)]
    assert found.now_left_out == {RelPath("covered/junk"): "told"}
    assert found.listed == {RelPath(path) for path in ("covered", "covered/n", "covered/n/deep")}
    assert rules.questions == 3
    again = observed(root, index, memory, left={"covered/junk": "told"}, rules=rules)
    assert again.now_left_out == {}


def test_a_changed_ignore_file_lets_names_in_as_first_seen(root: Root, top: Path, memory: Memory) -> None:
    """When `.gitignore` changes, covered directories below it are listed again; what had been left out is seen, not added."""
    (top / "d").mkdir()
    (top / "d" / "artefact").write_bytes(b"x")
    (top / ".gitignore").write_text("artefact\n")
    index = Index(entry for entry in covered_index(top, memory).values() if entry.path != "d/artefact")
    assert observed(root, index, memory, left={"d/artefact": "told"}, rules=Listed("artefact")) == Observation()
    (top / ".gitignore").write_text("other\n")
    found = observed(root, index, memory, wanted=single(".gitignore"), left={"d/artefact": "told"}, rules=Listed("other"))
    assert [(new.path, new.since) for new in found.new] == [("d/artefact", None)]


def test_paths_narrow_the_look(root: Root, top: Path, memory: Memory) -> None:
    """Only the paths and what is below them; for an unknown one the nearest known ancestor, so that a covered name is found."""
    (top / "a").mkdir()
    for name in ("a/one", "a/two", "b"):
        (top / name).write_bytes(b"old")
    index = covered_index(top, memory)
    for name in ("a/one", "a/two", "b"):
        (top / name).write_bytes(b"new")
    assert [seen.path for seen in observed(root, index, memory, wanted=trees("a/one")).changed] == ["a/one"]
    assert {seen.path for seen in observed(root, index, memory, wanted=trees("a")).changed} == {"a/one", "a/two"}
    assert {seen.path for seen in observed(root, index, memory, wanted=trees(".")).changed} == {"a/one", "a/two", "b"}
    (top / "a" / "new").mkdir()
    (top / "a" / "new" / "file").touch()
    found = observed(root, index, memory, wanted=trees("a/new/file"))
    assert [(new.path, new.since) for new in found.new] == [("a/new", 7), ("a/new/file", 7)]
    assert found.changed == []


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
    index.put([IndexEntry(path=fifo, version=UNKNOWN, signature=None, since=8)])
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
    seen = list(survey(root, RelPath("d"), Listed("junk"), memory, {}))
    assert [each.path for each in seen] == ["d", "d/e", "d/fifo", "d/junk", "d/to-e", "d/e/file"]
    assert [type(each) for each in seen] == [Look, Look, Unseen, LeftName, Look, Look]
    assert [each.path for each in survey(root, RelPath("d/e/file"), NoRules(), memory, {})] == ["d/e/file"]
    gone = list(survey(root, RelPath("gone"), NoRules(), memory, {}))
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
            covered = known.covered if known else None
            index.put([IndexEntry(path=seen.path, version=seen.version, signature=seen.signature, since=number, covered=covered)])
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


def test_what_new_rules_leave_out_ends(root: Root, top: Path, memory: Memory) -> None:
    """A rule file that changed ends known paths that it is about, with the reason; not what nobody listed, and not elsewhere."""
    for name in ("d/e", "other"):
        (top / name).mkdir(parents=True)
        (top / name / "junk").write_bytes(b"x")
    (top / "d" / ".gitignore").write_text("")
    index = covered_index(top, memory)
    index.put([structs.replace(index[RelPath("other")], covered=None)])
    (top / "d" / ".gitignore").write_text("junk\n")
    found = observed(root, index, memory, wanted=single("d/.gitignore"), rules=Listed("junk"))
    assert found.ended == ["d/e/junk"]
    assert found.now_left_out == {RelPath("d/e/junk"): "told"}


def test_names_that_the_old_rules_left_out_are_first_seen(root: Root, top: Path, memory: Memory) -> None:
    """A name that turns up together with a change of the rules was perhaps there before: only what the old text let in is new."""
    (top / ".gitignore").write_text("secret\n")
    index = covered_index(top, memory)
    (top / ".gitignore").write_text("")
    (top / "secret").write_bytes(b"s")
    (top / "fresh").write_bytes(b"f")
    rules = Listed(before=["secret"])
    found = observed(root, index, memory, wanted=single(".gitignore", "secret", "fresh"), rules=rules, text_before=b"secret\n")
    assert {new.path: new.since for new in found.new} == {RelPath("secret"): None, RelPath("fresh"): 7}


def test_limits_leave_out_and_let_in_again(root: Root, top: Path, memory: Memory) -> None:
    """A file over the limit is left out, known or new, and is first seen when it is small again; what is known does not count twice."""
    (top / "grows").write_bytes(b"x")
    index = covered_index(top, memory)
    (top / "grows").write_bytes(b"x" * 101)
    (top / "large").write_bytes(b"x" * 101)
    settings = CaptureSettings(max_file_bytes=100)
    found = observed(root, index, memory, settings=settings)
    assert found.ended == ["grows"]
    assert set(found.now_left_out) == {"grows", "large"}
    assert all(Limits.is_limit(reason) for reason in found.now_left_out.values())
    (top / "large").write_bytes(b"small")
    again = observed(root, index, memory, settings=settings, left={"large": LIMIT}, wanted=single("large"))
    assert [(new.path, new.since) for new in again.new] == [("large", None)]
    assert again.struck == {"large"}
    full = observed(root, index, memory, settings=CaptureSettings(max_files=1), wanted=single("large", "grows"))
    assert [seen.path for seen in full.changed] == ["grows"]
    assert set(full.now_left_out) == {"large"}


def test_what_somebody_else_changes_is_left(root: Root, top: Path, memory: Memory) -> None:
    """A changed path that is left keeps its version and is named; an unchanged one is not; its directory is listed again next time."""
    for name in ("mine", "theirs", "quiet"):
        (top / name).write_bytes(b"old")
    index = covered_index(top, memory)
    for name in ("mine", "theirs", "new"):
        (top / name).write_bytes(b"changed")
    os.utime(top / "quiet")
    found = observed(root, index, memory, leave=lambda path: None if path in ("mine", ".") else "held")
    assert {seen.path for seen in found.changed} == {"mine", ROOT}
    assert found.left == {RelPath("theirs"): "held", RelPath("new"): "held"}
    assert next(seen.signature.racy for seen in found.changed if seen.path == ROOT and seen.signature)


def test_what_was_counted_is_first_seen(root: Root, top: Path, memory: Memory) -> None:
    """A name that is known to be there, and was not looked at yet, is no new one though its directory is covered."""
    index = covered_index(top, memory)
    (top / "counted").write_bytes(b"x")
    (top / "new").write_bytes(b"x")
    found = observed(root, index, memory, counted=["counted"])
    assert {new.path: new.since for new in found.new} == {RelPath("counted"): None, RelPath("new"): 7}


def test_a_directory_is_watched_before_it_is_looked_into(root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch, list, look: so that nothing happens between the listing and the watch."""
    index = covered_index(top, memory)
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").touch()
    armed: list[RelPath] = []
    listed: list[list[RelPath]] = []

    def noting(root: Root, directory: RelPath, known: Container[str] = ()) -> list[Name] | Unseen | None:
        listed.append(list(armed))
        return list_directory(root, directory, known)

    monkeypatch.setattr(observe_module, "list_directory", noting)
    observed(root, index, memory, armed=armed, wanted=trees("a"))
    assert [at_that_time[-1] for at_that_time in listed] == ["a", "a/b"]


def test_below_a_directory_that_came_or_went_all_is_looked_at(root: Root, top: Path, memory: Memory) -> None:
    """Moved away, replaced by another, or back again: one event about the directory is enough to see what is below."""
    (top / "d" / "e").mkdir(parents=True)
    (top / "d" / "e" / "file").write_bytes(b"old")
    index = covered_index(top, memory)
    (top / "d").rename(top / "away")
    found = observed(root, index, memory, wanted=single("d", "away"))
    assert {seen.path for seen in found.changed if seen.version == ABSENT} == {"d", "d/e", "d/e/file"}
    assert [new.path for new in found.new] == ["away", "away/e", "away/e/file"]
    (top / "d" / "e").mkdir(parents=True)
    (top / "d" / "e" / "file").write_bytes(b"another")
    assert {seen.path for seen in observed(root, index, memory, wanted=single("d")).changed} == {"d", "d/e", "d/e/file"}


def test_a_link_leads_to_its_other_names(root: Root, top: Path, memory: Memory) -> None:
    """A name that is one more link to a known file has that looked at too: an event tells of one name only."""
    (top / "d").mkdir()
    (top / "d" / "first").write_bytes(b"old")
    index = covered_index(top, memory)
    (top / "second").hardlink_to(top / "d" / "first")
    (top / "second").write_bytes(b"changed")
    found = observed(root, index, memory, wanted=single("second"))
    assert [new.path for new in found.new] == ["second"]
    assert [(seen.path, seen.content) for seen in found.changed] == [("d/first", b"changed")]


def test_what_is_known_below_an_unknown_directory_is_looked_at_with_it(root: Root, top: Path, memory: Memory) -> None:
    """A file may be known and the directory it is in not: the list of that leaves the file out, and it is looked at all the same."""
    (top / "d" / "e").mkdir(parents=True)
    (top / "d" / "e" / "file").write_bytes(b"old")
    (top / "d" / "e" / "same").write_bytes(b"same")
    whole = covered_index(top, memory)
    (top / "d" / "e" / "file").write_bytes(b"changed")
    for unknown in ({"d"}, {"d/e"}, {"d", "d/e"}):
        known = [entry for entry in whole.values() if entry.path not in unknown]
        # Whose signature moved is listed.
        index = Index(structs.replace(entry, signature=None) if entry.path in (".", "d") else entry for entry in known)
        for wanted in (trees("d"), single(*unknown), EVERYTHING):
            found = observed(root, index, memory, wanted=wanted)
            assert {new.path for new in found.new} == unknown
            assert [seen.path for seen in found.changed if seen.content is not None] == ["d/e/file"]
            assert all(seen.path != "d/e/same" for seen in found.changed)


def test_a_directory_that_went_and_came_meanwhile_is_listed_by_the_next_look(
    root: Root, top: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved away after its list was taken and back before the end: what was not seen there is seen by the next look."""
    index = covered_index(top, memory)
    (top / "d" / "e").mkdir(parents=True)

    def meanwhile(root: Root, directory: RelPath, known: Container[str] = ()) -> list[Name] | Unseen | None:
        if directory == "d/e":
            (top / "d").rename(top / "gone")
            (top / "d" / "e").mkdir(parents=True)
            (top / "d" / "e" / "file").write_bytes(b"new")
        return list_directory(root, directory, known)

    monkeypatch.setattr(observe_module, "list_directory", meanwhile)
    found = observed(root, index, memory)
    monkeypatch.undo()
    index.put(
        IndexEntry(path=new.path, version=new.version, signature=new.signature, since=8, covered=7 if new.path in found.listed else None)
        for new in found.new
    )
    again = observed(root, index, memory, wanted=trees("d"))
    assert {new.path for new in [*found.new, *again.new]} >= {"d", "d/e", "d/e/file"}


def test_one_look_lists_so_many_names_and_leaves_further_directories_to_the_next(root: Root, top: Path, memory: Memory) -> None:
    """A new tree of thousands of names is seen in parts; a directory that has to wait is as absent as it was until it is looked at."""
    index = covered_index(top, memory)
    for number in range(6):
        (top / "new" / f"d{number}").mkdir(parents=True)
        for name in ("a", "b"):
            (top / "new" / f"d{number}" / name).write_bytes(b"x")
    seen: set[RelPath] = set()
    wanted, looks = EVERYTHING, 0
    while wanted.paths or wanted.trees:
        found = observed(root, index, memory, wanted=wanted, allowance=Allowance(files=100, bytes=1000, names=8))
        assert found.deferred.isdisjoint(new.path for new in found.new)
        assert all(new.since == 7 for new in found.new)
        assert all(new.signature is not None and new.signature.racy for new in found.new if new.path == "new" and found.deferred)
        seen |= {new.path for new in found.new}
        index.put(
            IndexEntry(
                path=new.path, version=new.version, signature=new.signature, since=8, covered=7 if new.path in found.listed else None
            )
            for new in found.new
        )
        wanted, looks = Wanted(paths=found.deferred), looks + 1
    assert seen == {RelPath(path) for path in names_below(top)}
    assert looks == 3

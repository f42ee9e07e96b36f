"""Versions merge field by field: kind, mode, content. Unequal changes of one field are a conflict."""

import pytest

from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File, Symlink, Version
from rewindd.paths import LinkTarget
from rewindd.plan.merge import Clash, Merge, merge_all, merge_versions
from support.log import merge_text, text

LINK, OTHER_LINK, THIRD_LINK = Symlink(LinkTarget("to")), Symlink(LinkTarget("elsewhere")), Symlink(LinkTarget("nowhere"))
ANY = [ABSENT, text("abc"), text("abc", 0o755), text("xyz"), LINK, OTHER_LINK, Directory(0o755), Directory(0o700)]


def never(base: File, ours: File, theirs: File) -> File | None:
    """No contents may be merged here."""
    raise AssertionError((base, ours, theirs))


@pytest.mark.parametrize("ours", [*ANY, UNKNOWN])
@pytest.mark.parametrize("base", ANY)
def test_no_change_leaves_ours(base: Version, ours: Version) -> None:
    """A run that comes to nothing changes nothing."""
    assert merge_versions(base, ours, base, never) == ours


@pytest.mark.parametrize("theirs", ANY)
@pytest.mark.parametrize("base", ANY)
def test_unchanged_ours_becomes_theirs(base: Version, theirs: Version) -> None:
    """Where nobody else changed it, the change is made whole, whatever the kinds."""
    assert merge_versions(base, base, theirs, never) == theirs


@pytest.mark.parametrize("same", ANY)
@pytest.mark.parametrize("base", ANY)
def test_equal_sides_need_no_merge(base: Version, same: Version) -> None:
    """Both made it the same: so it is."""
    assert merge_versions(base, same, same, never) == same


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        pytest.param(text("abc", 0o755), text("xbc"), text("xbc", 0o755), id="mode there, content here"),
        pytest.param(text("xbc"), text("abc", 0o755), text("xbc", 0o755), id="content there, mode here"),
        pytest.param(text("xbc", 0o755), text("xbc", 0o644), text("xbc", 0o755), id="one content, mode there"),
        pytest.param(text("xbc", 0o755), text("abx", 0o755), text("xbx", 0o755), id="one mode, contents merge"),
        pytest.param(text("xbc", 0o755), text("abx", 0o644), text("xbx", 0o755), id="mode there, contents merge"),
        pytest.param(text("xbc", 0o644), text("abx", 0o700), text("xbx", 0o700), id="contents merge, mode here"),
    ],
)
def test_fields_of_files_merge_alone(ours: File, theirs: File, merged: File) -> None:
    """Mode and content are fields of their own."""
    assert merge_versions(text("abc"), ours, theirs, merge_text) == merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "word"),
    [
        pytest.param(text("abc"), text("axc"), text("ayc"), "same lines", id="one line, twice"),
        pytest.param(text("abc"), text("xbc"), text("ayc"), "same lines", id="lines that touch"),
        pytest.param(text("abc"), text("abc", 0o755), text("abc", 0o700), "mode", id="mode, twice"),
        pytest.param(text("abc"), text("xbc", 0o755), text("abx", 0o700), "mode", id="mode, beside contents that merge"),
        pytest.param(text("abc"), text("xbc"), ABSENT, "absent wanted, changed to file", id="removed here, changed there"),
        pytest.param(text("abc"), ABSENT, text("xbc"), "file wanted, changed to absent", id="changed here, removed there"),
        pytest.param(ABSENT, text("abc"), text("xyz"), "file was changed", id="made on both sides, unequal"),
        pytest.param(ABSENT, text("abc"), LINK, "symlink wanted, changed to file", id="made on both sides, of other kinds"),
        pytest.param(text("abc"), LINK, text("xbc"), "file wanted, changed to symlink", id="kind there, content here"),
        pytest.param(text("abc"), text("xbc"), LINK, "symlink wanted, changed to file", id="content there, kind here"),
        pytest.param(LINK, OTHER_LINK, THIRD_LINK, "symlink was changed", id="links say other things"),
        pytest.param(Directory(0o755), Directory(0o700), Directory(0o711), "directory was changed", id="directories' modes"),
        pytest.param(Directory(0o755), text("abc"), ABSENT, "absent wanted, changed to file", id="directory gone, file there"),
        pytest.param(text("abc"), UNKNOWN, text("xyz"), "not known", id="not known any more"),
    ],
)
def test_unequal_changes_of_one_field_clash(base: Version, ours: Version, theirs: Version, word: str) -> None:
    """A clash says what was changed."""
    clash = merge_versions(base, ours, theirs, merge_text)
    assert isinstance(clash, Clash)
    assert word in clash.reason


def test_runs_are_merged_in_order_and_the_first_clash_ends_it() -> None:
    """Each merge starts from what the one before gave."""
    merges = (Merge(text("abcd"), text("abxd")), Merge(text("abxd"), text("aBxd")))
    assert merge_all(text("abcdZ"), merges, merge_text) == text("aBxdZ")
    assert merge_all(text("abZd"), merges, merge_text) == Clash("the same lines were changed since")
    spread = (Merge(text("abcdefg"), text("abcdefG")), Merge(text("abcdefG"), text("AbcdefG")))
    assert merge_all(text("abcDefg"), spread, merge_text) == text("AbcDefG")
    clash = merge_all(text("q"), (Merge(text("a"), text("b")), Merge(text("q"), text("r"))), merge_text)
    assert isinstance(clash, Clash)
    assert merge_all(LINK, (), merge_text) == LINK

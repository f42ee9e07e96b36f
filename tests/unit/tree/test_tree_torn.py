"""Whether a file is what a power cut, or the end of a process, left of one of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd.errors import StoreCorrupt
from rewindd.model.versions import File
from rewindd.paths import ROOT
from rewindd.tree.torn import PAGE_BYTES, is_torn, is_unfinished
from support.tree import Memory, open_root

WHOLE = b"".join(bytes([letter]) * PAGE_BYTES for letter in b"abcd") + b"the end"
EMPTY_PAGE = bytes(PAGE_BYTES)

LEFT = {
    "nothing": b"",
    "a page": WHOLE[:PAGE_BYTES],
    "all pages": WHOLE[: 4 * PAGE_BYTES],
    "an empty page within": WHOLE[:PAGE_BYTES] + EMPTY_PAGE + WHOLE[2 * PAGE_BYTES :],
    "the end alone": EMPTY_PAGE * 4 + WHOLE[4 * PAGE_BYTES :],
    "nothing but empty pages": bytes(len(WHOLE)),
}
THEIRS = {
    "it itself": WHOLE,
    "cut off within a page": WHOLE[:100],
    "longer": WHOLE + b"more",
    "changed": WHOLE.replace(b"b", b"x", 1),
    "a page of another": WHOLE[PAGE_BYTES : 2 * PAGE_BYTES],
    "empty within a page": WHOLE[: 2 * PAGE_BYTES - 100] + bytes(100) + WHOLE[2 * PAGE_BYTES :],
}


def judged(top: Path, found: bytes, mode: int = 0o644) -> tuple[bool, bool]:
    """Whether a file of this content is torn, and whether a stage of it is unfinished."""
    memory = Memory()
    (top / "file").write_bytes(found)
    here, whole = memory.file(found, mode), memory.file(WHOLE)
    with open_root(top) as root:
        dir_fd = root.directory(ROOT)
        return is_torn(dir_fd, "file", here, whole, memory), is_unfinished(dir_fd, "file", here, whole, memory)


@pytest.mark.parametrize("left", LEFT)
def test_what_is_left_of_ours(tmp_path: Path, left: str) -> None:
    """Its first pages, or all of it with empty pages in it."""
    assert judged(tmp_path, LEFT[left]) == (True, True)


@pytest.mark.parametrize("theirs", THEIRS)
def test_what_somebody_else_made(tmp_path: Path, theirs: str) -> None:
    """Anything else is somebody's: a file that was cut off elsewhere, too."""
    assert judged(tmp_path, THEIRS[theirs]) == (False, False)


def test_a_stage_without_its_mode(tmp_path: Path) -> None:
    """All of the content, and still the mode that it was made with: it is unfinished, and as a file in place it is whole."""
    assert judged(tmp_path, WHOLE, 0o600) == (False, True)


def test_a_content_that_is_damaged(tmp_path: Path) -> None:
    """What cannot be compared is left as somebody's."""

    class Damaged(Memory):
        def chunks(self, version: File) -> Iterator[bytes]:
            raise StoreCorrupt("damaged")

    (tmp_path / "file").write_bytes(b"")
    memory = Damaged()
    with open_root(tmp_path) as root:
        assert not is_torn(root.directory(ROOT), "file", memory.file(b""), memory.file(WHOLE), memory)

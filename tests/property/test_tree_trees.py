"""`apply(steps(a -> b))` on a real directory gives b, for trees rich in everything a file system can hold."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewindd.model.versions import Directory, Symlink, Version
from rewindd.paths import ROOT, LinkTarget, RelPath
from rewindd.tree import rename
from rewindd.tree.apply import apply
from support.tree import Memory, build, never, open_root, read_back, stages_in, steps_between

#: Few names, so that the two trees meet at the same paths with different kinds.
_NAMES = st.sampled_from(["a", "b", "-c", "d e", "f\ng", os.fsdecode(b"\xff\xfe"), "x" * 255])
_IS_ROOT = os.geteuid() == 0
_FILE_MODES = st.sampled_from([0o644, 0o755, 0o600, 0o4755, 0o444, *([0o000, 0o200] if _IS_ROOT else [])])
_DIRECTORY_MODES = st.sampled_from([0o755, 0o700, 0o2755, 0o1777, 0o555, 0o500, *([0o000, 0o311] if _IS_ROOT else [])])
_CONTENTS = st.sampled_from([b"", b"text\n", b"\0binary\xff", b"other text\n", b"LONG"])
_TARGETS = st.sampled_from(["a", "nowhere", "../..", "/etc/passwd", ".", "x" * 300])

_files = st.tuples(st.just("file"), _CONTENTS, _FILE_MODES)
_links = st.tuples(st.just("link"), _TARGETS)
_trees = st.recursive(
    st.dictionaries(_NAMES, st.one_of(_files, _links), max_size=4),
    lambda inner: st.dictionaries(_NAMES, st.one_of(_files, _links, st.tuples(st.just("directory"), inner, _DIRECTORY_MODES)), max_size=4),
    max_leaves=14,
)


def _flat(tree: dict[str, tuple[object, ...]], memory: Memory, above: RelPath = ROOT) -> dict[RelPath, Version]:
    flat: dict[RelPath, Version] = {}
    for name, node in tree.items():
        path = above.child(name)
        match node:
            case ("file", bytes() as content, int() as mode):
                flat[path] = memory.file(content * 50_000 if content == b"LONG" else content, mode)
            case ("link", str() as target):
                flat[path] = Symlink(LinkTarget(target))
            case ("directory", dict() as inner, int() as mode):
                flat[path] = Directory(mode)
                flat.update(_flat(inner, memory, path))
    return flat


@contextmanager
def _workspace() -> Iterator[Path]:
    top = Path(tempfile.mkdtemp(prefix="rewindd-test-"))
    try:
        yield top
    finally:
        for directory, names, _ in os.walk(top):
            for name in names:
                if not Path(directory, name).is_symlink():
                    Path(directory, name).chmod(0o700)
        shutil.rmtree(top)


def _check(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> None:
    memory = Memory()
    old, new = _flat(before, memory), _flat(after, memory)
    with _workspace() as top:
        build(top, old, memory)
        untouched = {path: (top / path).lstat() for path in old if old[path] == new.get(path) and not isinstance(old[path], Directory)}
        with open_root(top) as root:
            outcomes = apply(root, "op", steps_between(old, new, root, memory), memory, never)
        assert [outcome for outcome in outcomes if not outcome.done or outcome.reason] == []
        assert read_back(top, memory) == new
        assert stages_in(top) == []
        assert all(outcome.version == new.get(outcome.path, outcome.version) for outcome in outcomes)
        for path, found in untouched.items():
            now = (top / path).lstat()
            assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=_trees, after=_trees)
def test_apply_makes_one_tree_the_other(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> None:
    """Every step is done, the tree is exactly b, no stage is left, and what is equal in both keeps inode and times."""
    _check(before, after)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=_trees, after=_trees)
def test_apply_without_exchange(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> None:
    """The same on a file system whose renameat2 knows no flag: by renames and links."""

    def refuse(from_fd: int, from_name: str, to_fd: int, to_name: str, flags: int) -> None:
        raise OSError(22, "Invalid argument")

    true_call = rename._renameat2
    rename._renameat2 = refuse
    try:
        _check(before, after)
    finally:
        rename._renameat2 = true_call

"""Trees on disk for tests: made from a model, read back into one, and the steps from one model to another."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from blake3 import blake3

from rewindd.model.log import IndexEntry, Signature
from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, Directory, File, Symlink, Version
from rewindd.paths import ROOT, RelPath
from rewindd.tree.look import CHANGING, Look, Unseen, look
from rewindd.tree.root import Root

#: A tree as a model: every path but the root.
Tree = Mapping[RelPath, Version]


class Memory:
    """A sink and a content in one: what streamed in, or was kept, comes out again."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, bytes] = {}
        self.streamed = 0

    def keep(self, content: bytes) -> bytes:
        digest = blake3(content).digest()
        self.blobs[digest] = content
        return digest

    def file(self, content: bytes, mode: int = 0o644) -> File:
        return File(self.keep(content), len(content), mode)

    def stream_in(self, read: Callable[[int], bytes]) -> tuple[bytes, int]:
        self.streamed += 1
        content = b"".join(iter(lambda: read(65536), b""))
        return self.keep(content), len(content)

    def chunks(self, version: File) -> Iterator[bytes]:
        content = self.blobs[version.digest]
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]


def open_root(top: Path) -> Root:
    found = top.stat()
    return Root.open(str(top), found.st_dev, found.st_ino)


def build(top: Path, tree: Tree, memory: Memory) -> None:
    """Makes the tree in an empty directory; modes last, deepest first."""
    for path in sorted(tree, key=lambda path: path.depth):
        version, place = tree[path], f"{top}/{path}"
        if isinstance(version, Directory):
            Path(place).mkdir()
        elif isinstance(version, Symlink):
            Path(place).symlink_to(version.target)
        elif isinstance(version, File):
            Path(place).write_bytes(memory.blobs[version.digest])
    for path in sorted(tree, key=lambda path: -path.depth):
        version = tree[path]
        if isinstance(version, File | Directory):
            Path(f"{top}/{path}").chmod(version.mode)


def names_below(top: Path) -> Iterator[RelPath]:
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            yield RelPath(os.path.relpath(f"{directory}/{name}", top))


def read_back(top: Path, memory: Memory) -> dict[RelPath, Version]:
    """Returns what is on disk, stages and all."""
    with open_root(top) as root:
        return {path: version_of(root, path, memory) for path in names_below(top)}


def version_of(root: Root, path: RelPath, memory: Memory) -> Version:
    seen = seen_at(root, path, memory)
    if seen.content is not None:
        memory.keep(seen.content)
    return seen.version


def seen_at(root: Root, path: RelPath, memory: Memory) -> Look:
    """Looks at a path until it is quiet for as long as that takes: an editor may be saving it all the while."""
    seen = look(root, path, None, memory)
    while isinstance(seen, Unseen) and seen.reason == CHANGING:
        seen = look(root, path, None, memory)
    assert isinstance(seen, Look), seen
    return seen


def signature_at(root: Root, path: RelPath, memory: Memory) -> Signature | None:
    """Returns what a plan would have; parents that are not there make it None."""
    return seen_at(root, path, memory).signature


def index_of(
    root: Root, paths: Iterable[RelPath], memory: Memory, *, covered: int | None = None, since: int = 1
) -> dict[RelPath, IndexEntry]:
    """Returns an index that knows these paths as they are; directories among them are covered since `covered`."""
    index: dict[RelPath, IndexEntry] = {}
    for path in paths:
        seen = seen_at(root, path, memory)
        since_covered = covered if isinstance(seen.version, Directory) else None
        index[path] = IndexEntry(path=path, version=seen.version, signature=seen.signature, since=since, covered=since_covered)
    return index


def steps_between(before: Tree, after: Tree, root: Root, memory: Memory) -> list[Step]:
    """Returns the steps that make one model the other, with signatures as a plan has them."""
    changed = [path for path in {*before, *after} if before.get(path, ABSENT) != after.get(path, ABSENT)]
    return [
        Step(
            path=path,
            expect=before.get(path, ABSENT),
            target=after.get(path, ABSENT),
            signature=signature_at(root, path, memory) if path in before else None,
        )
        for path in sorted(changed)
    ]


def stages_in(top: Path) -> list[str]:
    return sorted(path for path in names_below(top) if path.name.startswith(".rewindd-"))


def never() -> bool:
    return False


def settle_times(top: Path) -> None:
    """Waits until the kernel's clock has left the tick of the newest change: then no signature is racy."""
    newest = max((os.lstat(f"{top}/{path}").st_ctime_ns for path in (ROOT, *names_below(top))), default=0)
    probe = top.parent / f"{top.name}.clock"
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > newest + 30_000_000 and newest % 1_000_000_000:
            break
    probe.unlink()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)

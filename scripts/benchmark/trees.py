"""Trees of real files to capture: taken once from what is installed on this machine, kept in a cache, copied for each run.

The choice depends on what is there and on nothing else: the same machine gives the same tree. A package (a directory of some
source) is taken whole where it is not a large part of the tree. What is left out, so that both sides capture the same files:

- links, special files, files over `MAX_FILE_BYTES`, unreadable ones, and contents that are there already (another release's copy);
- rule files and the repositories' own (`.gitignore`, `.git`…), as all names that begin with a dot; caches of compiled Python;
- the marks of generated directories (`pyvenv.cfg`, `CACHEDIR.TAG`).

`node_modules` is named `node_packages` here, since rules leave out the one and not the other.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.shadow_git import clean_environment

#: A part of the cache's name: trees that another version of this module made are not used.
VERSION = 1
#: Larger ones are rarely source, and one of them would weigh as much as 150 others.
MAX_FILE_BYTES = 1 << 20
#: A package with more files than this part of the tree is taken apart into its directories.
LARGEST_PART = 8
#: Contents of fewer bytes may be there several times, as empty `__init__.py` are in every tree.
SMALL_BYTES = 64
LEFT_OUT = frozenset({"__pycache__", "pyvenv.cfg", "CACHEDIR.TAG"})
RENAMED = {"node_modules": "node_packages"}


class NoTree(Exception):
    """There are not enough files on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A git work tree with everything committed. `digest`: of its paths and contents. `directory` must not be changed: copy it."""

    files: int
    directories: int
    size_bytes: int
    digest: str
    sources: list[str]
    directory: str

    @property
    def told(self) -> str:
        """What it is, in words."""
        return f"{self.files:,} files in {self.directories:,} directories, {self.size_bytes / 1e6:,.0f} MB, digest {self.digest[:12]}"


def usual_sources() -> list[list[Path]]:
    """Returns where files are taken from: of the first group all alike, of the others what is still missing."""
    home, lib = Path.home(), Path("/usr/lib")
    code = [
        *sorted((home / ".pyenv/versions").glob("3.*/lib/python3*")),
        Path(sys.base_prefix) / "lib" / f"python3.{sys.version_info.minor}",
        *sorted(lib.glob("python3*")),
        Path("/usr/include"),
        lib / "node_modules",
        lib / "google-cloud-sdk",
        *(Path("/usr/share") / name for name in ("cmake-3.25", "perl", "vim", "nodejs", "gems-integration")),
        *sorted((home / ".cargo/registry/src").glob("*")),
        *sorted((home / "go/pkg/mod").glob("*")),
    ]
    pages = [*sorted((home / ".rustup/toolchains").glob("*/share/doc")), Path("/usr/share/doc"), Path("/usr/share/man")]
    return [_there(code), _there(pages)]


def find(cache: Path, count: int, more: Sequence[Path] = ()) -> Tree:
    """Returns the tree of so many files, from the cache or built into it; `more`: directories to take files from before the usual ones.

    Raises:
        NoTree: there are not enough files.
    """
    place = cache / f"v{VERSION}-{count}"
    described = place / "tree.json"
    if not described.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=cache) as scratch:
            _build(Path(scratch) / "tree", count, [list(more), *usual_sources()])
            shutil.rmtree(place, ignore_errors=True)
            (Path(scratch) / "tree").rename(place)
    return Tree(**json.loads(described.read_text()), directory=str(place / "files"))


def copy(tree: Tree, to: Path) -> None:
    """Copies a tree with its repository, and lets that repository's index know the copies."""
    subprocess.run(["cp", "-a", tree.directory, str(to)], check=True, stdin=subprocess.DEVNULL)
    _git(to, "update-index", "-q", "--refresh")


def paths_of(directory: Path) -> list[str]:
    """Returns the paths of all files of a tree, in order, without its repository's own."""
    found = []
    for above, directories, names in os.walk(directory):
        if above == str(directory):
            directories.remove(".git")
        prefix = os.path.relpath(above, directory) + "/" if above != str(directory) else ""
        found += [prefix + name for name in names]
    return sorted(found)


def _there(directories: Iterable[Path]) -> list[Path]:
    """Returns the directories that exist, each once, also where one has several names."""
    real: dict[Path, None] = {}
    for directory in directories:
        if directory.is_dir():
            real.setdefault(directory.resolve())
    return list(real)


def _build(place: Path, count: int, groups: Sequence[Sequence[Path]]) -> None:
    files = place / "files"
    files.mkdir(parents=True)
    taken: dict[str, str] = {}
    known: set[bytes] = set()
    used: set[str] = set()
    size = 0
    for source, path in _candidates(groups, count):
        if len(taken) == count:
            break
        content = _content(path)
        name = _name(source, path)
        if content is None or name in taken:
            continue
        digest = hashlib.sha256(content).digest()
        if len(content) > SMALL_BYTES and digest in known:
            continue
        known.add(digest)
        target = files / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
        taken[name] = digest.hex()
        used.add(str(source))
        size += len(content)
    if len(taken) < count:
        raise NoTree(f"only {len(taken):,} of {count:,} files were found; name directories with more of them with --source")
    told = {
        "files": count,
        "directories": sum(1 for _ in files.rglob("*/")),
        "size_bytes": size,
        "digest": hashlib.sha256(json.dumps(sorted(taken.items())).encode()).hexdigest(),
        "sources": sorted(used),
    }
    _commit(files)
    (place / "tree.json").write_text(json.dumps(told))


def _candidates(groups: Sequence[Sequence[Path]], count: int) -> Iterator[tuple[Path, str]]:
    """Yields sources and files: package by package in an order that mixes the sources of a group, and is always the same."""
    for group in groups:
        packages = [(source, package) for source in group for package in _packages(source, count // LARGEST_PART)]
        for source, package in sorted(packages, key=lambda one: hashlib.sha256(f"{one[0].name}/{one[1]}".encode()).digest()):
            for path in _files_of(source / package):
                yield source, path


def _packages(source: Path, at_most: int) -> list[str]:
    """Returns the directories below a source, relative to it, that have no more than so many files below them."""
    found: list[str] = []
    waiting = _directories(source)
    while waiting:
        directory = waiting.pop()
        if sum(1 for _ in zip(_files_of(directory), range(at_most + 1), strict=False)) > at_most:
            waiting += _directories(directory)
        else:
            found.append(str(directory.relative_to(source)))
    return found


def _directories(above: Path) -> list[Path]:
    try:
        with os.scandir(above) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False) and _counts(entry.name)]
    except OSError:
        return []


def _files_of(package: Path) -> Iterator[str]:
    for above, directories, names in os.walk(package):
        directories[:] = sorted(name for name in directories if _counts(name))
        for name in sorted(names):
            if _counts(name):
                yield f"{above}/{name}"


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in LEFT_OUT and name.isprintable()


def _content(path: str) -> bytes | None:
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
            return None
        return Path(path).read_bytes()
    except OSError:
        return None


def _name(source: Path, path: str) -> str:
    """Returns where a file stands in the tree: below its source's last two names."""
    parts = [*source.parts[-2:], *Path(path).relative_to(source).parts]
    return "/".join(RENAMED.get(part, part).lstrip(".") for part in parts)


def _commit(directory: Path) -> None:
    for command in (("init", "-q"), ("add", "-A", "-f"), ("commit", "-q", "-m", "the tree"), ("repack", "-a", "-d", "-q")):
        _git(directory, *command)


def _git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=directory, env=clean_environment(), check=True, stdin=subprocess.DEVNULL)

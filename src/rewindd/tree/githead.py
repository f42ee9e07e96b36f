"""Git's HEAD, read from the repository's files: the question comes with every look at a tree, and a process would cost more than the look.

Reads, and never writes. Knows gitrepository-layout(5) as far as HEAD needs it; where that is not enough (refs kept in another
form than files, a `packed-refs` too large to read), git is asked, and its answer kept until the files change. Of what a hostile
repository puts there a bounded part is read, and only what looks like a commit's id or a ref's name is used.
"""

import os
import re
import stat
import time
from typing import NamedTuple, TypeVar

from rewindd.model.githead import UNBORN
from rewindd.paths import GIT_DIRECTORY
from rewindd.tree.gitrun import run_git

#: A ref's file, `.git` or `commondir` is one path or one name; longer than PATH_MAX it is none (path_resolution(7)).
_MAX_TEXT_BYTES = 8 << 10
#: Git follows as many symbolic refs (SYMREF_MAXDEPTH, refs/refs-internal.h).
_MAX_LINKS = 5
#: A `packed-refs` of half a million refs. A larger one is left to git, which searches it in its order.
_MAX_PACKED_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20
#: Git looks up one name; it needs milliseconds.
_GIT_S = 5.0
#: File times may be this coarse: a file younger than that may change once more without a sign.
_SETTLED_NS = 1_000_000_000
#: Repositories whose answers are kept.
_KEPT = 256
#: What HEAD's file says where refs are kept in another form (Documentation/technical/reftable.txt, "Backward compatibility").
_ELSEWHERE = b"refs/heads/.invalid"

_ID = re.compile(rb"(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})(?![^\s])")
#: What a name of a ref must not hold (git-check-ref-format(1)).
_BAD_NAME = re.compile(rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|/$|\.lock(?:/|$)|\.$")
#: Refs that each worktree has of its own (gitrepository-layout(5)).
_OF_WORKTREE = (b"refs/bisect/", b"refs/worktree/", b"refs/rewritten/")

T = TypeVar("T")
_Signature = tuple[int, int, int, int]


class _Repository(NamedTuple):
    """The work tree's top, the directory with its HEAD, and the one with the refs; those differ in a linked worktree."""

    top: str
    git_dir: str
    common_dir: str


class _AskGit(Exception):
    """The files do not say it."""


#: By git directory: what the files looked like, and git's answer. By `packed-refs`: what it looked like, the name, and its commit.
_answers: dict[str, tuple[tuple[_Signature | None, ...], str | None]] = {}
_packed_refs: dict[str, tuple[_Signature, bytes, str | None]] = {}


def head_of(root_path: str, home: str | None = None) -> str | None:
    """Returns the commit that HEAD is, of the repository whose work tree holds a directory; some 30 us, and blocks.

    A branch without a commit is `unborn:` and its name. None: there is no repository, or its HEAD cannot be told.

    Args:
        root_path: the directory, absolute. The repository may begin above it, on the same file system.
        home: where the search upwards ends, as for a workspace's root: a repository there is of the user's settings.
    """
    try:
        repository = _find(root_path, home)
        if repository is None:
            return None
        try:
            return _from_files(repository)
        except _AskGit:
            return _from_git(repository)
    except (OSError, ValueError):  # ValueError: a NUL byte in what should be a path
        return None


def _find(root_path: str, home: str | None) -> _Repository | None:
    directory, device = root_path, os.stat(root_path).st_dev
    while True:
        named = _named(f"{directory.rstrip('/')}/{GIT_DIRECTORY}")
        if named is not None:
            git_dir, common = named
            return None if common is None else _Repository(directory, git_dir, common)
        above = os.path.dirname(directory)
        if directory in ("/", home) or above == home or os.stat(above).st_dev != device:
            return None
        directory = above


def _named(path: str) -> tuple[str, str | None] | None:
    """The git directory that `.git` is, or that it names, with the one of the refs; None where the search goes on."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    if stat.S_ISDIR(mode):
        common = _common_dir(path)
        return None if common is None else (path, common)
    said = _text(path)
    if said is None or not said.startswith(b"gitdir:"):
        return None
    git_dir = os.path.join(os.path.dirname(path), os.fsdecode(said[len(b"gitdir:") :].strip()))
    return git_dir, _common_dir(git_dir)


def _common_dir(git_dir: str) -> str | None:
    """The directory with the refs of a git directory; None when it is no git directory."""
    named = _text(f"{git_dir}/commondir")
    common = git_dir if named is None else os.path.join(git_dir, os.fsdecode(named.strip()))
    is_one = os.path.lexists(f"{git_dir}/HEAD") and os.path.isdir(f"{common}/objects") and os.path.isdir(f"{common}/refs")
    return common if is_one else None


def _from_files(repository: _Repository) -> str | None:
    name = b"HEAD"
    for _ in range(_MAX_LINKS + 1):
        said = _ref(repository, name)
        if said is None:
            return _packed(repository, name) or UNBORN + name.decode("utf-8", "backslashreplace")
        if not said.startswith(b"ref:"):
            found = _ID.match(said)
            return found.group().decode().lower() if found is not None else None
        name = said[len(b"ref:") :].strip()
        if name == _ELSEWHERE:
            raise _AskGit
        if not name.startswith(b"refs/") or _BAD_NAME.search(name):
            return None
    return None


def _ref(repository: _Repository, name: bytes) -> bytes | None:
    """What a ref's own file says; None where there is none. A link to another ref is as git once wrote symbolic refs."""
    own = name == b"HEAD" or name.startswith(_OF_WORKTREE)
    path = os.path.join(repository.git_dir if own else repository.common_dir, os.fsdecode(name))
    try:
        linked = os.fsencode(os.readlink(path))
    except OSError:
        return _text(path)
    return b"ref:" + linked if linked.startswith(b"refs/") else _text(path)


def _packed(repository: _Repository, name: bytes) -> str | None:
    """The commit of a ref in `packed-refs`; None where it is not in it."""
    path = f"{repository.common_dir}/packed-refs"
    signature = _signature(path)
    if signature is None:
        return None
    known = _packed_refs.get(path)
    if known is not None and known[:2] == (signature, name):
        return known[2]
    if signature[1] > _MAX_PACKED_BYTES:
        raise _AskGit
    found = _search(path, name)
    if _is_settled(signature):
        _make_room(_packed_refs)
        _packed_refs[path] = (signature, name, found)
    return found


def _search(path: str, name: bytes) -> str | None:
    """Looks for the line of a ref; piece by piece, because a mapped file that is cut short kills who reads it."""
    wanted = re.compile(rb"(?:^|\n)([0-9a-fA-F]{40,64}) " + re.escape(name) + rb"\n")
    longest = 64 + len(name) + 3
    rest = b"\n"
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        left = _MAX_PACKED_BYTES
        while left > 0 and (piece := os.read(fd, _PIECE_BYTES)):
            left -= len(piece)
            rest += piece
            if b" " + name + b"\n" in rest and (found := wanted.search(rest)) is not None:
                return found.group(1).decode().lower()
            rest = rest[-longest:]
    finally:
        os.close(fd)
    return None


def _from_git(repository: _Repository) -> str | None:
    own, common = repository.git_dir, repository.common_dir
    stores = (f"{own}/HEAD", f"{own}/reftable/tables.list", f"{common}/reftable/tables.list", f"{common}/packed-refs")
    signatures = tuple(_signature(path) for path in stores)
    known = _answers.get(own)
    if known is not None and known[0] == signatures:
        return known[1]
    answer = _asked(repository.top)
    if all(one is None or _is_settled(one) for one in signatures):
        _make_room(_answers)
        _answers[own] = (signatures, answer)
    return answer


def _asked(top: str) -> str | None:
    head = run_git(["rev-parse", "--verify", "--quiet", "HEAD"], cwd=top, timeout_s=_GIT_S)
    if head.returncode == 0 and _ID.match(head.stdout):
        return head.stdout.strip().decode()
    branch = run_git(["symbolic-ref", "--quiet", "HEAD"], cwd=top, timeout_s=_GIT_S)
    return UNBORN + branch.stdout.strip().decode("utf-8", "backslashreplace") if branch.returncode == 0 else None


def _text(path: str) -> bytes | None:
    """The content of a small file; None where there is none. One that is too long, or a device, says nothing: empty."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None if os.path.isdir(path) else b""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        content = os.read(fd, _MAX_TEXT_BYTES + 1)
    finally:
        os.close(fd)
    return content if len(content) <= _MAX_TEXT_BYTES else b""


def _signature(path: str) -> _Signature | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_settled(signature: _Signature) -> bool:
    return time.time_ns() - max(signature[2:]) > _SETTLED_NS


def _make_room(kept: dict[str, T]) -> None:
    if len(kept) >= _KEPT:
        kept.clear()

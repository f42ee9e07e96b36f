"""What decides outside the captured tree what git ignores in a repository: its configuration and the user's, `info/exclude`,
`core.excludesFile`, and ignore files above the workspace (gitignore(5), git-config(1) "FILES", gitrepository-layout(5)).

Looking whether they moved costs a few stats; a process runs only when one did. A configuration that was written and says the same
about ignoring (a branch was made) has not moved.
"""

import os
import time
from dataclasses import dataclass

from rewindd.model.log import Signature
from rewindd.tree.gitrun import run_git
from rewindd.tree.look import signature_of

TIMEOUT_S = 10.0
#: What git prints of a configuration is read up to here, and so is a file of patterns when it is compared.
MAX_COMPARED_BYTES = 1 << 20
#: How often the files are looked for again when one of them names others.
ROUNDS = 3
#: The keys that say what is ignored, where the work tree is, or whether git looks at it at all; names as git prints them.
_KEYS = (
    "core.excludesfile",
    "core.ignorecase",
    "core.worktree",
    "core.bare",
    "core.attributesfile",
    "core.sparsecheckout",
    "safe.directory",
)
_SYSTEM = "/etc/gitconfig"


@dataclass(frozen=True, slots=True)
class GitDirectories:
    """Where a repository keeps its data: its own, and what a linked worktree shares with the others."""

    own: str
    common: str


@dataclass(frozen=True, slots=True)
class _Says:
    """What the sources say: the directories, the settings, and the files of patterns as bytes; None: git cannot read them."""

    directories: GitDirectories | None
    settings: tuple[str, ...] | None
    patterns: tuple[bytes | None, ...]


class Sources:
    """The sources of one repository; made, they remember how they look, with one or two git processes."""

    def __init__(self, root_path: str, top_path: str) -> None:
        self._root_path = root_path
        self._top_path = top_path
        self._files: tuple[str, ...] = ()
        self._signatures: dict[str, Signature | None] = {}
        self._says = self._read()
        self._index = self._index_signature()

    def moved(self) -> bool:
        """Returns whether they say something else than at the last call, or when this was made; git is asked only if a file moved."""
        seen = _signatures(self._files)
        is_sure = seen == self._signatures and not any(signature is not None and signature.racy for signature in seen.values())
        return not (is_sure and find_directories(self._top_path) == self._says.directories) and self._compare()

    def signatures(self) -> dict[str, Signature | None]:
        """Returns how the files look now, and the index, that says what is tracked."""
        directories = self._says.directories
        index = () if directories is None else (f"{directories.own}/index",)
        return _signatures((*self._files, *index))

    def index_moved(self) -> bool:
        """Returns whether something else may be tracked than at the last call, or when this was made, by the look of the index."""
        before, self._index = self._index, self._index_signature()
        return before != self._index

    def _index_signature(self) -> dict[str, Signature | None]:
        directories = self._says.directories
        return {} if directories is None else _signatures((f"{directories.own}/index",))

    def _compare(self) -> bool:
        before, self._says = self._says, self._read()
        return before != self._says

    def _read(self) -> _Says:
        """Reads what they say, until the files that say it were the same before and after."""
        directories = find_directories(self._top_path)
        while_at = self._files or _usual_files(directories)
        for _ in range(ROUNDS):
            self._files, self._signatures = while_at, _signatures(while_at)
            settings, named = _configured(self._top_path)
            excludes = _excludes(settings, self._top_path)
            texts = [*excludes, *_above(self._top_path, self._root_path)]
            if directories is not None:
                texts.append(f"{directories.common}/info/exclude")
            while_at = tuple(sorted({*_usual_files(directories), *named, *texts}))
            if while_at == self._files:
                break
        return _Says(directories, settings, tuple(_content(text) for text in texts))


def find_top(path: str) -> str | None:
    """Returns the directory whose repository holds a path, itself or above on the same file system, as git looks; None without one."""
    while not os.path.lexists(f"{path}/.git"):
        above = os.path.dirname(path)
        if above == path or _device(above) != _device(path):
            return None
        path = above
    return path


def find_directories(top_path: str) -> GitDirectories | None:
    """Returns where the repository of a work tree keeps its data, None where there is none (gitrepository-layout(5))."""
    own = f"{top_path}/.git"
    if not os.path.isdir(own):
        said = _content(own)
        if said is None or not said.startswith(b"gitdir: "):
            return None
        own = os.path.normpath(os.path.join(top_path, os.fsdecode(said[8:]).rstrip("\n")))
    shared = _content(f"{own}/commondir")
    common = own if shared is None else os.path.normpath(os.path.join(own, os.fsdecode(shared).rstrip("\n")))
    return GitDirectories(own, common)


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _usual_files(directories: GitDirectories | None) -> tuple[str, ...]:
    home = os.environ.get("HOME", "")
    usual = {_SYSTEM, f"{home}/.gitconfig", f"{_user_directory()}/config", f"{_user_directory()}/ignore"}
    if directories is not None:
        usual |= {f"{directories.common}/config", f"{directories.own}/config.worktree", f"{directories.common}/info/exclude"}
    return tuple(sorted(usual))


def _user_directory() -> str:
    return f"{os.environ.get('XDG_CONFIG_HOME') or os.environ.get('HOME', '') + '/.config'}/git"


def _configured(top_path: str) -> tuple[tuple[str, ...] | None, set[str]]:
    """Returns the settings that count as `key=value`, and the files that configuration comes from or would come from."""
    done = run_git(["config", "--list", "--show-origin", "--includes", "-z"], cwd=top_path, timeout_s=TIMEOUT_S, user_config=True)
    if done.returncode != 0:
        return None, set()
    fields = os.fsdecode(done.stdout).split("\0")
    settings: list[str] = []
    files: set[str] = set()
    for origin, setting in zip(fields[::2], fields[1::2], strict=False):
        if not origin.startswith("file:"):
            continue
        file = os.path.join(top_path, origin.removeprefix("file:"))
        key, _, value = setting.partition("\n")
        files.add(file)
        if key in _KEYS:
            settings.append(f"{key}={value}")
        elif key == "include.path" or (key.startswith("includeif.") and key.endswith(".path")):
            files.add(os.path.join(os.path.dirname(file), os.path.expanduser(value)))
        if key.startswith("includeif.onbranch:"):
            directories = find_directories(top_path)
            files |= set() if directories is None else {f"{directories.own}/HEAD"}
    return tuple(settings), files


def _excludes(settings: tuple[str, ...] | None, top_path: str) -> list[str]:
    """Returns the user's file of patterns; the last setting counts, and without one the usual place."""
    named = [setting.partition("=")[2] for setting in settings or () if setting.startswith("core.excludesfile=")]
    if not named:
        return [f"{_user_directory()}/ignore"]
    return [os.path.join(top_path, os.path.expanduser(named[-1]))] if named[-1] else []


def _above(top_path: str, root_path: str) -> list[str]:
    """Returns the ignore files from the repository's top down to above the workspace's root, if that lies deeper."""
    found: list[str] = []
    directory = root_path
    while len(directory) > len(top_path):
        directory = os.path.dirname(directory)
        found.append(f"{directory}/.gitignore")
    return found


def _signatures(files: tuple[str, ...]) -> dict[str, Signature | None]:
    now_ns = time.time_ns()
    return {file: _signature(file, now_ns) for file in files}


def _signature(file: str, now_ns: int) -> Signature | None:
    try:
        return signature_of(os.stat(file), now_ns)
    except OSError:
        return None


def _content(file: str) -> bytes | None:
    """Returns the beginning of a regular file, None for anything else."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as opened:
        try:
            return opened.read(MAX_COMPARED_BYTES)
        except OSError:
            return None

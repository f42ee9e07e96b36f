"""Directories that are left out without anybody's rule, with the reason of each; docs/capture.md lists them.

They hold for untracked paths only: what git tracks is captured wherever it is. Only names that one tool gives, for what it
makes again by itself; a name that people use too (`build`, `dist`, `vendor`, `target`) needs a mark in it, or a rule.
"""

import os
import stat

#: Data of other version control systems, which nobody may write behind their back.
_FOREIGN = "data of {}, which only it may change"
_AGAIN = "{} makes it again"

#: The directory's name, and why it is left out.
NAMES: dict[str, str] = {
    ".hg": _FOREIGN.format("Mercurial"),
    ".svn": _FOREIGN.format("Subversion"),
    ".jj": _FOREIGN.format("Jujutsu"),
    "node_modules": _AGAIN.format("npm, pnpm or yarn"),
    "bower_components": _AGAIN.format("bower"),
    "__pycache__": _AGAIN.format("Python"),
    ".tox": _AGAIN.format("tox"),
    ".nox": _AGAIN.format("nox"),
    ".eggs": _AGAIN.format("setuptools"),
    ".mypy_cache": _AGAIN.format("mypy"),
    ".pytest_cache": _AGAIN.format("pytest"),
    ".ruff_cache": _AGAIN.format("ruff"),
    ".ipynb_checkpoints": _AGAIN.format("Jupyter"),
    ".gradle": _AGAIN.format("Gradle"),
    ".dart_tool": _AGAIN.format("Dart"),
    ".next": _AGAIN.format("Next.js"),
    ".nuxt": _AGAIN.format("Nuxt"),
    ".svelte-kit": _AGAIN.format("SvelteKit"),
    ".parcel-cache": _AGAIN.format("Parcel"),
    ".turbo": _AGAIN.format("Turborepo"),
    ".zig-cache": _AGAIN.format("Zig"),
}
#: Usual names of a Python virtual environment; left out only where `ENVIRONMENT_MARK` is in it: `env` may be anything.
ENVIRONMENTS = ("venv", ".venv", "env", ".env")
ENVIRONMENT_MARK = "pyvenv.cfg"
ENVIRONMENT_WHY = f"a Python virtual environment, where it holds `{ENVIRONMENT_MARK}`"
#: Says that a directory is a cache, Rust's `target` for one: https://bford.info/cachedir/
CACHE_MARK = "CACHEDIR.TAG"
CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
CACHE_WHY = f"a cache, where it holds a `{CACHE_MARK}` with the signature of https://bford.info/cachedir/"

#: Names of what leaves out the directory that it is in.
MARKS = (ENVIRONMENT_MARK, CACHE_MARK)

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def reason_by_name(name: str) -> str | None:
    """Returns the reason for which a directory of this name is left out, whatever is in it."""
    return f"built-in: {name}" if name in NAMES else None


def mark_in(dir_fd: int, name: str) -> str | None:
    """Returns the mark in a directory, open as `dir_fd`, for which it is left out."""
    if name in ENVIRONMENTS and _is_file(dir_fd, ENVIRONMENT_MARK):
        return ENVIRONMENT_MARK
    return CACHE_MARK if _is_cache(dir_fd) else None


def reason_by_mark(mark: str) -> str:
    """Returns the reason for which a directory is left out that holds a mark."""
    return f"built-in: {mark}"


def _is_file(dir_fd: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _is_cache(dir_fd: int) -> bool:
    """Reads the mark, which must be a regular file, no link."""
    if not _is_file(dir_fd, CACHE_MARK):
        return False
    try:
        fd = os.open(CACHE_MARK, _READ, dir_fd=dir_fd)
    except OSError:
        return False
    try:
        return os.read(fd, len(CACHE_SIGNATURE)) == CACHE_SIGNATURE
    except OSError:
        return False
    finally:
        os.close(fd)

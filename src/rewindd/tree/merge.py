"""Merging three texts by git, in a private directory outside any repository.

`git merge-file` is the merge that people know; what it says is what they would get. Exits: 0 clean, 1 to 127 conflicts,
255 for binary content (git-merge-file(1)).
"""

import logging
import os
import tempfile

from rewindd.tree.gitrun import run_git

#: A merge of two 10 MB texts takes under a second; past this something is wrong with the machine.
TIMEOUT_S = 30.0

_log = logging.getLogger(__name__)


def merge_text(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Returns `ours` with the changes from `base` to `theirs`, or None where that is not possible without a choice.

    None: the changes touch, a side is no text (has a NUL byte), git is missing, or the temporary directory cannot be written.
    Blocks for a git process, some 6 ms, unless two sides are equal.
    """
    if base == theirs or ours == theirs:
        return ours
    if base == ours:
        return theirs
    if any(b"\0" in side for side in (base, ours, theirs)):
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="rewindd-merge-") as directory:
            return _merge_in(directory, base, ours, theirs)
    except OSError as exc:
        _log.warning("no merge: the temporary directory failed: %s", exc.strerror)
        return None


def _merge_in(directory: str, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
        fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
    done = run_git(["merge-file", "-p", "--diff3", "ours", "base", "theirs"], cwd=directory, timeout_s=TIMEOUT_S)
    return done.stdout if done.returncode == 0 else None

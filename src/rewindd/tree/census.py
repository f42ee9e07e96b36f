"""Interim census."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from stat import S_ISDIR, S_ISLNK, S_ISREG

from rewindd.model.capture import CaptureSettings, LeftOut
from rewindd.model.versions import Directory
from rewindd.paths import ROOT, RelPath
from rewindd.tree.listing import list_directory
from rewindd.tree.look import SPECIAL, Hasher, Look, Unseen, look
from rewindd.tree.root import Root
from rewindd.tree.rules.book import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    path: RelPath
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Census:
    directories: list[Look] = field(default_factory=list)
    files: list[Counted] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)


def census(root: Root, rules: Rules, settings: CaptureSettings, arm: Callable[[RelPath], object]) -> Census:
    found = Census()
    level = [ROOT]
    while level:
        names = []
        for d in level:
            root.directory(d)
            arm(d)
            seen = look(root, d, None, Hasher())
            if not isinstance(seen, Look) or not isinstance(seen.version, Directory):
                continue
            found.directories.append(seen)
            listed = list_directory(root, d)
            if isinstance(listed, Unseen):
                found.unseen.append(listed)
            elif listed is not None:
                names += listed
        left = rules.leaves_out(names)
        level = []
        for path, _ in names:
            if path in left:
                found.left_out.append(LeftOut(path=path, reason=left[path]))
                continue
            st = os.stat(path.name, dir_fd=root.directory(path.parent), follow_symlinks=False)
            if S_ISDIR(st.st_mode):
                level.append(path)
            elif S_ISREG(st.st_mode) or S_ISLNK(st.st_mode):
                found.files.append(Counted(path=path, size=st.st_size if S_ISREG(st.st_mode) else 0, mtime_ns=st.st_mtime_ns))
            else:
                found.unseen.append(Unseen(path=path, reason=SPECIAL))
    found.files.sort(key=lambda one: -one.mtime_ns)
    return found

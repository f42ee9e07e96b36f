"""What the rules are to be asked about of what is known: where they changed, and where something else came to be under a known path."""

import os
from collections.abc import Iterable, Iterator, Set
from stat import S_ISDIR

from rewindd.errors import OutsideWorkspace
from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT, Absent, Directory, Unknown
from rewindd.paths import ROOT, RelPath
from rewindd.tree.look import Look
from rewindd.tree.observation import New, Observation
from rewindd.tree.rules.builtin import MARKS
from rewindd.tree.sight import Sight

#: A path, and whether it is a directory.
Question = tuple[RelPath, bool]


def known_below(sight: Sight, found: Observation, tops: Set[RelPath]) -> list[Question]:
    """Returns the known paths below some directories that rules are about."""
    gone = {seen.path for seen in found.changed if isinstance(seen.version, Absent)}
    below = dict.fromkeys(path for top in tops for path in sight.index.below(top))
    return [
        (path, isinstance(entry.version, Directory))
        for path in below
        if (entry := sight.index[path]).signature is not None and path not in gone and path not in sight.left_out and _is_ruled(sight, path)
    ]


def turned(sight: Sight, found: Observation) -> set[RelPath]:
    """Returns known or left out directories that are judged by something else in them than they were: a repository, a mark."""
    changed = [seen.path for seen in found.changed if isinstance(seen.version, Directory) and seen.path != ROOT]
    return {path for path in sight.rules.turned(changed) if path in sight.index or path in sight.left_out}


def marked(sight: Sight, found: Observation) -> list[Question]:
    """Returns the known directories in which a mark turned up that leaves them out, with what is known below them."""
    tops = {path.parent for path in found.now_left_out if path.name in MARKS} & sight.index.keys() - sight.left_out.keys()
    return [(path, True) for path in tops if _is_ruled(sight, path)] + (known_below(sight, found, tops) if tops else [])


def returned(sight: Sight, found: Observation) -> list[Question]:
    """Returns the known paths at which something is that the rules were not asked about: it came back, or is of another kind."""
    changed = {seen.path: seen for seen in found.changed if not isinstance(seen.version, Absent)}
    return [
        (path, isinstance(seen.version, Directory))
        for path, seen in changed.items()
        if path != ROOT and _is_to_be_judged(sight, seen, sight.index[path])
    ]


def left_with(left: dict[RelPath, str], names: Iterable[RelPath]) -> dict[RelPath, str]:
    """Returns those of the names that are left out themselves, or are in a directory that is, each with the reason."""
    found: dict[RelPath, str] = {}
    for path in names:
        above = path
        while above != ROOT:
            if above in left:
                found[path] = left[above]
                break
            above = above.parent
    return found


def new_without(found: Observation, left: dict[RelPath, str]) -> list[New]:
    """Returns the new names but for those that are left out, or are in a directory that is."""
    inside = left_with(left, [one.path for one in found.new]) if left else {}
    return [one for one in found.new if one.path not in inside]


def left_until_now(
    sight: Sight, found: Observation, tops: Set[RelPath], ended: dict[RelPath, str]
) -> tuple[dict[RelPath, bool], dict[RelPath, str]]:
    """Returns the names below some directories that were left out until now, at which something is, and why those are that still are.

    Not those in a directory that is left out, or was `ended` just now: no rules are asked about what is in one. Nor what ended in this
    look: where rules change meanwhile, the next one sees that.
    """
    settled = found.struck.union(found.ended)
    left = dict.fromkeys(path for top in tops for path in sight.left_out.below(top) if path not in settled)
    there = dict(still_there(sight, found, left))
    own = sight.rules.leaves_out(list(there.items()))
    inside = left_with(ended | own, there).keys() - own.keys()
    return {path: is_directory for path, is_directory in there.items() if path not in inside}, own


def stays_out(sight: Sight, found: Observation, entry: IndexEntry) -> bool:
    """True for a known path that a rule left out since, and that is still what it was then: it is not looked at.

    So is what was known in a directory that was left out: nothing is known of it since.
    """
    if entry.signature is not None:
        return False
    above = entry.path.ancestors if isinstance(entry.version, Unknown) else ()
    left = [path for path in (entry.path, *above) if path in sight.left_out and path not in found.struck]
    return any(_is_ruled_out(sight, *name) for name in still_there(sight, None, left))


def still_there(sight: Sight, found: Observation | None, paths: Iterable[RelPath]) -> Iterator[Question]:
    """Yields those of the paths, left out until now, at which something is; strikes the others."""
    for path in paths:
        if path in sight.index and sight.index[path].signature is not None:
            continue  # somebody named it: it is captured whatever the rules say
        try:
            mode = os.stat(path.name, dir_fd=sight.root.directory(path.parent), follow_symlinks=False).st_mode
        except (FileNotFoundError, NotADirectoryError, OutsideWorkspace):
            if found is not None:
                found.struck.add(path)
        except OSError:  # its directory cannot be opened just now
            continue
        else:
            yield path, S_ISDIR(mode)


def _is_ruled_out(sight: Sight, path: RelPath, is_directory: bool) -> bool:
    reason = sight.left_out.still(path, is_directory)
    return reason is not None and not sight.limits.is_limit(reason)


def _is_to_be_judged(sight: Sight, seen: Look, known: IndexEntry) -> bool:
    if isinstance(known.version, Unknown):  # it ended, maybe with a directory above, and nobody asked about it since
        return not sight.limits.is_named(seen.path)
    is_another_kind = known.version == ABSENT or isinstance(known.version, Directory) != isinstance(seen.version, Directory)
    return is_another_kind and _is_ruled(sight, seen.path)


def _is_ruled(sight: Sight, path: RelPath) -> bool:
    """True for a path that rules are about: it is known because all of its directory is, and nobody named it."""
    above = sight.index.get(path.parent)
    return above is not None and (above.covered is not None or path in sight.left_out) and not sight.limits.is_named(path)


def is_to_be_listed(sight: Sight, seen: Look, known: IndexEntry) -> bool:
    """True for a directory that was seen, in which names came or went."""
    return isinstance(seen.version, Directory) and (known.rest_absent_since is not None or sight.index.is_unlisted(known))


def is_another(seen: Look, known: IndexEntry) -> bool:
    """True where a directory came, went, or is another one than it was: what is known below must be looked at."""
    is_directory = isinstance(seen.version, Directory)
    if is_directory != isinstance(known.version, Directory):
        return True
    return is_directory and known.signature is not None and seen.signature is not None and seen.signature.inode != known.signature.inode

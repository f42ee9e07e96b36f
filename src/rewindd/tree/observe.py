"""Looking at what may have changed: what differs from the index, what turned up, what the rules leave out from now on.

Reads the tree, compares with the index, decides nothing: whose change it is and what becomes of it is the caller's.
Unchanged paths cost one lstat each, and a covered directory is listed only when its own signature moved. A directory is
watched before it is looked into, so that nothing happens between the look and the watch.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing, suppress
from dataclasses import replace
from stat import S_ISDIR

from rewindd.errors import OutsideWorkspace
from rewindd.model.index import Index, LeftOut
from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT, Absent, Directory, File, Unknown
from rewindd.paths import ROOT, RelPath
from rewindd.tree import judging
from rewindd.tree.links import other_names
from rewindd.tree.listing import Name, list_directory
from rewindd.tree.look import ATTEMPTS, CHANGING, SMALL_BYTES, Hasher, Look, Sink, Unseen, is_as_known
from rewindd.tree.observation import New, Observation, Wanted
from rewindd.tree.root import Root
from rewindd.tree.rules.book import RULE_FILES
from rewindd.tree.sight import DEFERRED, Limits, RuleSet, Sight
from rewindd.tree.survey import look_inside
from rewindd.tree.whereabouts import Whereabouts

#: How much content one observation keeps in memory; beyond it small files stream into the sink as large ones do.
KEEP_BYTES = 64 << 20


def observe(sight: Sight, wanted: Wanted) -> Observation:
    """Looks at what is wanted, and returns what differs from the index. Blocks; changes nothing.

    Where the rules changed, all that they are about is judged again, also what was not wanted.

    Raises:
        StoreError: the sink's.
    """
    with closing(Whereabouts(sight.root)) as whereabouts:
        return _Observer(sight, whereabouts).observe(wanted)


#: A name to be admitted: whether it is a directory, and since when it was absent.
_Candidates = dict[RelPath, tuple[bool, int | None]]
_Directories = list[tuple[RelPath, int | None]]


class _Observer:
    """One observation under way; used once."""

    def __init__(self, sight: Sight, whereabouts: Whereabouts) -> None:
        self._root: Root = sight.root
        self._index: Index = sight.index
        self._left_out: LeftOut = sight.left_out
        self._rules: RuleSet = sight.rules
        self._sink: Sink = sight.sink
        self._limits: Limits = sight.limits
        self._sight = sight
        self._found = Observation()
        self._room_bytes = KEEP_BYTES
        self._whereabouts = whereabouts
        self._unsure: set[RelPath] = set()
        self._looked: set[RelPath] = set()

    def observe(self, wanted: Wanted) -> Observation:
        """Returns what differs."""
        moved = self._rules.moved()
        entries, names = self._select(wanted)
        self._look_through(entries, everything=wanted.is_everything)
        self._judge_returned()
        self._list_all(self._admit(self._present(names)))
        self._judge_anew({ROOT} if moved else wanted.judge, let_in=self._rules.index_moved() or wanted.anew)
        if not wanted.is_everything:
            self._look_through(other_names(self._sight, self._found), everything=False)
        self._look_again_where_moved()
        self._found.distrust(self._unsure)
        return self._found

    # ---- what to look at

    def _select(self, wanted: Wanted) -> tuple[Iterator[tuple[RelPath, Iterable[IndexEntry]]], dict[RelPath, int | None]]:
        """Returns the entries to look at, by the directory they are in, and unknown names in covered directories."""
        index, skip = self._index, self._sight.skip
        if wanted.is_everything:
            self._arm_all(index)
            limited = [path for path, reason in self._left_out.items() if self._limits.is_limit(reason)]
            return self._everything(skip), {path: None for path in limited if path not in index and path not in skip}
        chosen: dict[RelPath, IndexEntry] = {}
        names: dict[RelPath, int | None] = {}
        for path in (*wanted.paths, *wanted.trees):
            entry = index.get(path)
            if entry is not None:
                chosen[path] = entry
            else:
                self._nearest(path, chosen, names)
        for tree in wanted.trees:
            self._arm_all((tree, *index.below(tree)))
            chosen.update((path, index[path]) for path in index.below(tree))
        by_directory: dict[RelPath, list[IndexEntry]] = {}
        for path, entry in chosen.items():
            if path not in skip:
                by_directory.setdefault(path.parent, []).append(entry)
        return iter(by_directory.items()), {path: since for path, since in names.items() if path not in skip}

    def _everything(self, skip: Set[RelPath]) -> Iterator[tuple[RelPath, Iterable[IndexEntry]]]:
        if (root := self._index.get(ROOT)) is not None:
            yield ROOT, [root]
        for directory, paths in list(self._index.by_directory()):
            yield directory, [self._index[path] for path in paths if path not in skip]

    def _arm_all(self, paths: Iterable[RelPath]) -> None:
        """Watches the known directories among the paths, empty ones too, before the first of them is looked at."""
        if self._sight.is_watched:
            for path in list(paths):
                if (entry := self._index.get(path)) is not None and isinstance(entry.version, Directory):
                    with suppress(OSError, OutsideWorkspace):  # who looks at it says what that means
                        self._sight.arm(path)

    def _nearest(self, path: RelPath, chosen: dict[RelPath, IndexEntry], names: dict[RelPath, int | None]) -> None:
        """Finds the nearest known path above an unknown one: the name right in it is looked for where it is a covered directory."""
        child = path
        while child != ROOT and (above := self._index.get(child.parent)) is None:
            child = child.parent
        if child == ROOT or above is None:
            return
        if isinstance(above.version, Directory) and above.covered is not None:
            names[child] = above.covered
        else:
            chosen[above.path] = above

    def _present(self, names: Mapping[RelPath, int | None]) -> _Candidates:
        """Returns those of the names at which something is, and that are not known to be left out by a rule."""
        candidates: _Candidates = {}
        for path, since in names.items():
            try:
                directory = self._root.directory(path.parent)
            except (OSError, OutsideWorkspace):
                continue  # what is left out in a directory that is gone is told when that comes back without it
            try:
                mode = os.stat(path.name, dir_fd=directory, follow_symlinks=False).st_mode
            except OSError:
                if path in self._left_out:
                    self._found.struck.add(path)
                continue
            if not self._is_ruled_out(path, S_ISDIR(mode)):
                candidates[path] = (S_ISDIR(mode), since)
        return candidates

    def _is_ruled_out(self, path: RelPath, is_directory: bool) -> bool:
        """True for a name that a rule is known to leave out; limits are judged at every look."""
        reason = self._left_out.still(path, is_directory)
        return reason is not None and not self._limits.is_limit(reason)

    # ---- known paths

    def _look_through(self, groups: Iterable[tuple[RelPath, Iterable[IndexEntry]]], *, everything: bool) -> None:
        """Looks at known entries, goes on with what is known below a directory that came, went or was replaced, and lists what moved."""
        while True:
            relist: _Directories = []
            more: list[RelPath] = []
            for seen, known in self._differing(groups):
                self._looked.add(known.path)
                is_unlisted = self._index.is_unlisted(known)
                if (not self._note(seen, known) and not is_unlisted) or not isinstance(seen, Look):
                    continue
                if judging.is_to_be_listed(self._sight, seen, known):
                    relist.append((seen.path, known.rest_absent_since))
                if not everything and judging.is_another(seen, known):
                    more += self._index.below(seen.path)
            changed_rules = [seen.path for seen in self._found.changed if seen.path.name in RULE_FILES]
            if changed_rules:
                self._rules.changed(changed_rules)
            self._list_all(relist)
            if not more:
                return
            groups = self._not_yet_looked_at(more)

    def _not_yet_looked_at(self, paths: Iterable[RelPath]) -> Iterable[tuple[RelPath, Iterable[IndexEntry]]]:
        """Returns the entries of known paths that were not looked at, by the directory that they are in."""
        fresh = [self._index[path] for path in dict.fromkeys(paths) if path not in self._looked and path not in self._sight.skip]
        self._looked.update(entry.path for entry in fresh)
        self._arm_all(entry.path for entry in fresh)
        by_directory: dict[RelPath, list[IndexEntry]] = {}
        for entry in fresh:
            by_directory.setdefault(entry.path.parent, []).append(entry)
        return by_directory.items()

    def _differing(self, groups: Iterable[tuple[RelPath, Iterable[IndexEntry]]]) -> Iterator[tuple[Look | Unseen, IndexEntry]]:
        """Yields a look at each entry whose signature does not prove that it is as known."""
        for directory, inside in groups:
            try:
                fd = self._root.directory(directory)
            except (OSError, OutsideWorkspace):  # `look` says for each what that means
                suspects = [entry for entry in inside if entry.version != ABSENT]
            else:
                self._sight.arm(directory)
                suspects = [entry for entry in inside if not is_as_known(fd, entry) or self._index.is_unlisted(entry)]
            for entry in suspects:
                if not judging.stays_out(self._sight, self._found, entry) and not self._is_left(entry):
                    yield self._look(entry.path, entry), entry

    def _is_left(self, entry: IndexEntry) -> bool:
        """True for a path that somebody else is changing; it is noted where it differs."""
        reason = self._sight.leave(entry.path) if self._sight.leave is not None else None
        if reason is None:
            return False
        seen = look_inside(self._root, entry.path, entry, Hasher(), 0)
        if isinstance(seen, Unseen) or seen.version != entry.version:
            self._found.left[entry.path] = reason
        return True

    def _look(self, path: RelPath, known: IndexEntry | None) -> Look | Unseen:
        self._whereabouts.note(path.parent)
        keep_bytes, refuse = min(SMALL_BYTES, self._room_bytes), self._limits.refuse(path, known)
        seen = look_inside(self._root, path, self._sight.ahead.get(path, known), self._sink, keep_bytes, refuse)
        if isinstance(seen, Unseen):
            self._found.deferred |= {path} if seen.reason == DEFERRED else set()
            return seen
        self._room_bytes = max(0, self._room_bytes - len(seen.content or b""))
        if isinstance(seen.version, File):
            self._limits.took(path, known, seen.version, is_read=seen.content is not None)
        return seen

    def _look_again_where_moved(self) -> None:
        """What was read in a directory that was moved meanwhile never was under that path: it is looked at again there."""
        for attempt in range(1, ATTEMPTS + 1):
            moved = self._whereabouts.moved()
            if not moved:
                return
            changed, new = self._found.changed, self._found.new
            self._found.changed = [one for one in changed if one.path.parent not in moved]
            self._found.new = [one for one in new if one.path.parent not in moved]
            found: list[Look | New] = [*changed, *new]
            for one in found:
                if one.path.parent in moved:
                    self._look_again(one, is_last=attempt == ATTEMPTS)

    def _look_again(self, one: Look | New, *, is_last: bool) -> None:
        # What is in a directory of that path now was not listed; nor was where it is, if it went and came.
        self._unsure |= {one.path, one.path.parent}
        if is_last:
            self._found.left[one.path] = CHANGING
        elif isinstance(one, New):
            self._enter(one.path, one.since)
        else:
            self._note(self._look(one.path, self._index[one.path]), self._index[one.path])

    def _note(self, seen: Look | Unseen, known: IndexEntry) -> bool:
        """Enters what is seen of a known path; returns whether there is anything."""
        if isinstance(seen, Unseen):
            if not seen.is_limit:
                self._found.unseen.append(seen)
            else:
                self._end(seen.path, seen.reason)
        elif seen.version != known.version or seen.signature != known.signature:
            self._found.changed.append(seen)
        else:
            return seen.signature is not None and seen.signature.racy
        return True

    def _end(self, path: RelPath, reason: str) -> None:
        if self._left_out.get(path) == reason and isinstance(self._index[path].version, Unknown):
            return  # it ended when it was left out
        self._found.ended.append(path)
        if self._left_out.get(path) != reason:
            self._found.now_left_out[path] = reason

    # ---- new names

    def _list_all(self, directories: _Directories) -> None:
        """Lists directories, admits what is new in them, and goes on with the directories among that, level by level."""
        while directories:
            unknown: _Candidates = {}
            later: set[RelPath] = set()
            for directory, since in directories:
                if since is not None and directory not in self._index and self._limits.budget.has_listed_all:
                    later.add(directory)
                    continue
                names = self._unknown_in(directory)
                self._limits.budget.listed(len(names))
                unknown.update((name.path, (name.is_directory, since)) for name in names)
            if later:  # absent until they are looked at with what is in them
                self._found.new = [one for one in self._found.new if one.path not in later]
                self._found.deferred |= later
            directories = self._admit(unknown)

    def _unknown_in(self, directory: RelPath) -> list[Name]:
        try:
            self._root.directory(directory)
        except (OSError, OutsideWorkspace):
            pass  # listing it says what that means
        else:
            self._sight.arm(directory)
        names = list_directory(self._root, directory, self._index)
        if names is None or isinstance(names, Unseen):
            self._found.unseen += [names] if names is not None else []
            return []
        self._found.listed.add(directory)
        left = self._left_out.inside(directory)
        if left:
            there = {name.path for name in names}
            self._found.struck.update(path for path in left if path not in there and path not in self._index)
        return [name for name in names if not self._is_ruled_out(*name)]

    def _admit(self, candidates: _Candidates, left: dict[RelPath, str] | None = None) -> _Directories:
        """Enters those of the names that the rules leave; returns the directories among them, to be listed. `left`: what they leave out."""
        if not candidates:
            return []
        rule_files = [path for path in candidates if path.name in RULE_FILES]
        if rule_files:
            self._rules.changed(rule_files)
        if rule_files or left is None:
            left = self._rules.leaves_out([(path, is_directory) for path, (is_directory, _) in candidates.items()])
        self._found.now_left_out.update((path, reason) for path, reason in left.items() if self._left_out.get(path) != reason)
        found: _Directories = []
        for path, (is_directory, since) in candidates.items():
            if path in left:
                self._left_out.judged(path, is_directory)
                continue
            reason = self._sight.leave(path) if self._sight.leave is not None else None
            if reason is not None:
                self._found.left[path] = reason
                continue
            absent_since = None if path in self._left_out or path in self._sight.counted else since
            if not is_directory and absent_since is not None and self._limits.is_spent:
                self._found.deferred.add(path)
            elif self._enter(path, absent_since):
                found.append((path, absent_since))
        # What is known below a directory that was not: the list of it leaves that out.
        strays = [path for directory, _ in found for path in self._index.below(directory)]
        if strays:
            self._look_through(self._not_yet_looked_at(strays), everything=False)
        return found

    def _enter(self, path: RelPath, since: int | None) -> bool:
        """Enters a new name; returns whether it is a directory, to be listed."""
        seen = self._look(path, None)
        if isinstance(seen, Unseen):
            if seen.reason == DEFERRED and since is not None:
                return False  # absent until it is looked at
            if not seen.is_limit:
                self._found.unseen.append(seen)
            elif self._left_out.get(path) != seen.reason:
                self._found.now_left_out[path] = seen.reason
            return False
        if isinstance(seen.version, Absent):
            return False
        if path in self._left_out:
            self._found.struck.add(path)
        self._found.new.append(New(path=path, version=seen.version, signature=seen.signature, content=seen.content, since=since))
        return isinstance(seen.version, Directory)

    # ---- rules that changed

    def _judge_returned(self) -> None:
        """Something came to be under a known path: the rules may leave it out, and all that is in it."""
        asked = dict(judging.returned(self._sight, self._found))
        if not asked:
            return
        left = judging.left_with(self._rules.leaves_out(list(asked.items())), asked)
        self._found.changed = [one for one in self._found.changed if one.path not in left]
        self._found.new = judging.new_without(self._found, left)
        for path, is_directory in asked.items():
            if path in left:
                self._left_out.judged(path, is_directory)
                self._end(path, left[path])
            elif path in self._left_out:
                self._found.struck.add(path)
        let_in = [path for path in asked if asked[path] and path not in left and self._index[path].rest_absent_since is None]
        self._list_all([(path, None) for path in let_in])  # nothing is known of what is in it

    def _judge_anew(self, judge: Set[RelPath], *, let_in: bool) -> None:
        """Where rules changed: ends what they leave out now, admits what they let in, and doubts since when it is there."""
        seen_now = [seen.path for seen in self._found.changed] + [new.path for new in self._found.new]
        files = [path for path in seen_now if path.name in RULE_FILES]
        affected = judge | {path.parent for path in files} | judging.turned(self._sight, self._found)
        if affected:
            self._doubt(files)
        asked = dict(judging.marked(self._sight, self._found) + judging.known_below(self._sight, self._found, affected))
        ended = judging.left_with(self._rules.leaves_out(list(asked.items())), asked) if asked else {}
        self._found.new = judging.new_without(self._found, ended)
        for path, reason in ended.items():
            self._left_out.judged(path, asked[path])
            self._end(path, reason)
        if affected or let_in:
            names, left = judging.left_until_now(self._sight, self._found, {ROOT} if let_in else affected, ended)
            self._list_all(self._admit({path: (is_directory, None) for path, is_directory in names.items()}, left))

    def _doubt(self, rule_files: Sequence[RelPath]) -> None:
        """Makes new names that the rules as they were would have left out first seen: nobody knows since when they are there."""
        old = {path: text for path in rule_files if (text := self._sight.text_before(path)) is not None}
        if not old:
            return
        names = [(new.path, isinstance(new.version, Directory)) for new in self._found.new]
        let_in = self._rules.let_in(names, old)
        self._found.new = [replace(new, since=None) if any(new.path.below(path) for path in let_in) else new for new in self._found.new]

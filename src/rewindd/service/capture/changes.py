"""What an observation means for the log: the rows to be, and whose change each is."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import structs

from rewindd.model.log import NOBODY, IndexEntry, Owner, Source
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, Unknown, Version
from rewindd.paths import RelPath
from rewindd.service.capture.holding import holders
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.timeline.attribution import owner_of
from rewindd.tree.observation import Observation

#: Rows that go into one transaction of bulk work.
BATCH_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row to be: everything but its number. `entry` is what the index says of the path afterwards, but for `since`."""

    path: RelPath
    before: Version
    after: Version
    owner: Owner
    source: Source
    since: int
    entry: IndexEntry


def in_order(changes: list[Change]) -> list[Change]:
    """Returns the changes, in the order in which a part of them may be written: a directory after all that is in it.

    Its row has its signature, which says that its entries were looked at; a new one says that they are covered. What ends comes last:
    it may have changed too.
    """
    if len(changes) <= BATCH_ROWS:
        return changes
    return sorted(changes, key=lambda one: (one.source is Source.RULES_CHANGED, isinstance(one.after, Directory), -one.path.depth))


def changed(state: State, tree: Tree, seen: Observation) -> list[Change]:
    """The rows for known paths that changed, not for those of which only the signature did."""
    changes: list[Change] = []
    for one in seen.changed:
        entry = tree.index[one.path]
        if one.version == entry.version:
            continue
        is_looked_into = not isinstance(one.version, Directory) or one.path in seen.listed
        covered = entry.rest_absent_since if is_looked_into else entry.covered
        after = structs.replace(entry, version=one.version, signature=one.signature, covered=covered)
        if isinstance(entry.version, Unknown):
            changes.append(arrival(state, tree, after, None))
            continue
        owner, source = owner_of(holders(state, tree, one.path))
        changes.append(
            Change(path=one.path, before=entry.version, after=one.version, owner=owner, source=source, since=entry.since, entry=after)
        )
    return changes


def arrived(state: State, tree: Tree, seen: Observation) -> list[Change]:
    """The rows for names that turned up: changes where they were known to be absent, else only first seen.

    A new directory whose entries were all looked at is covered: since its name was absent, or where it is first seen, since now.
    """
    changes: list[Change] = []
    for one in seen.new:
        if isinstance(one.version, Directory):
            covered = (tree.position if one.since is None else one.since) if one.path in seen.listed else None
        else:
            covered = one.since  # nothing was below it then, should a directory take its place
        entry = IndexEntry(path=one.path, version=one.version, signature=one.signature, since=0, covered=covered)
        changes.append(arrival(state, tree, entry, one.since))
    return changes


def arrival(state: State, tree: Tree, entry: IndexEntry, absent_since: int | None) -> Change:
    """Returns the row for a path that the index did not know: `absent_since` where its directory was covered, else first seen."""
    if absent_since is None:
        return Change(path=entry.path, before=UNKNOWN, after=entry.version, owner=NOBODY, source=Source.FIRST_SEEN, since=0, entry=entry)
    owner, source = owner_of(holders(state, tree, entry.path))
    return Change(path=entry.path, before=ABSENT, after=entry.version, owner=owner, source=source, since=absent_since, entry=entry)


def ended(tree: Tree, seen: Observation, latest: Mapping[RelPath, IndexEntry]) -> list[Change]:
    """The rows that end what is known of paths which the rules or limits leave out from now on, and of all below them.

    `latest`: what the rows before say of theirs.
    """
    ended = dict.fromkeys(path for top in seen.ended for path in (top, *tree.index.below(top)))
    entries = (latest.get(path, tree.index[path]) for path in ended)
    return [ending(entry) for entry in entries if not isinstance(entry.version, Unknown)]


def ending(entry: IndexEntry) -> Change:
    """Returns the row for a path of which nothing is known any more: nothing changed on disk, and no rewind touches it."""
    after = structs.replace(entry, version=UNKNOWN, signature=None, covered=None)
    return Change(
        path=entry.path, before=entry.version, after=UNKNOWN, owner=NOBODY, source=Source.RULES_CHANGED, since=entry.since, entry=after
    )

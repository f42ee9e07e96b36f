"""The workspace's rules, and on top of them what is never the workspace's: the daemon's own directories, and other workspaces."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from rewindd.errors import NotPermitted, OutsideWorkspace
from rewindd.paths import RelPath
from rewindd.service.places import stands
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.tree.rules.book import RuleBook, Rules

OURS = "rewindd's own"
INSIDE = "a workspace of its own"


def inner_tops(state: State, tree: Tree) -> list[RelPath]:
    """Returns the roots of the workspaces inside this one, as its paths: of those whose directory is there still. Blocks."""
    return sorted(_below(one.root, tree.workspace.root) for one in state.inside(tree.workspace.root) if stands(one))


def inner_paths(state: State, tree: Tree) -> frozenset[RelPath]:
    """Returns the known paths that belong to workspaces inside this one."""
    return frozenset(path for top in inner_tops(state, tree) for path in (top, *tree.index.below(top)))


class OwnPlaces:
    """Rules that leave out the daemon's directories and the roots of workspaces inside, wherever the inner rules stand."""

    def __init__(self, inner: Rules, state: State, root: str) -> None:
        """Takes the rules, and the root that they are about."""
        self._inner = inner
        self._root = root
        self._ours = {*state.own_directories, *state.own_files}
        self._inside = state.inside(root)

    @cached_property
    def _left(self) -> dict[RelPath, str]:
        """What is left out, as it stands when it is first asked for; blocks."""
        ours = {place: OURS for place in self._ours if place.startswith(f"{self._root.rstrip('/')}/")}
        inside = {one.root: INSIDE for one in self._inside if stands(one)}
        return {_below(place, self._root): reason for place, reason in (ours | inside).items()}

    @property
    def reason(self) -> str | None:
        """Why the rules are not all that they should be; None when they are."""
        return self._inner.reason

    def leaves_out(self, names: Sequence[tuple[RelPath, bool]]) -> dict[RelPath, str]:
        """Returns those of the names that are not captured, each with the reason."""
        if not self._left:
            return self._inner.leaves_out(names)
        ours = {path: self._left[path] for path, _ in names if path in self._left}
        return self._inner.leaves_out([name for name in names if name[0] not in ours]) | ours

    def check(self, path: RelPath) -> None:
        """Raises NotPermitted for a path of the daemon's own, OutsideWorkspace for one of a workspace inside this one."""
        absolute = self._absolute(path)
        if any(f"{absolute}/".startswith(f"{place}/") for place in self._ours):
            raise NotPermitted(f"{absolute!r} is rewindd's own and never captured", path=path)
        inner = next((one.root for one in self._inside if f"{absolute}/".startswith(f"{one.root}/") and stands(one)), None)
        if inner is not None:
            raise OutsideWorkspace(f"{absolute!r} is in the workspace {inner!r}; open a session there", path=path)

    def _absolute(self, path: RelPath) -> str:
        return f"{self._root.rstrip('/')}/{path}"


class OwnRules(OwnPlaces):
    """The workspace's own rules, with what is never its."""

    def __init__(self, state: State, tree: Tree) -> None:
        super().__init__(tree.rulebook, state, tree.workspace.root)
        self._book: RuleBook = tree.rulebook
        self._tree = tree

    def moved(self) -> bool:
        """True when a source of the rules that is no captured file changed."""
        return self._book.moved()

    def index_moved(self) -> bool:
        """True when git may track something else than at the last call, or a workspace inside is not there any more."""
        before, self._tree.inside = self._tree.inside, frozenset(path for path, reason in self._left.items() if reason == INSIDE)
        return self._book.index_moved() or not before <= self._tree.inside

    def turned(self, directories: Iterable[RelPath]) -> set[RelPath]:
        """Returns directories that are judged by something else in them than the last time."""
        return self._book.turned(directories)

    def changed(self, rule_files: Iterable[RelPath]) -> None:
        """These files of rules are different now."""
        self._book.changed(rule_files)

    def let_in(self, names: Sequence[tuple[RelPath, bool]], old: Mapping[RelPath, bytes]) -> set[RelPath]:
        """Returns those of the names that the old texts of rule files had left out."""
        return self._book.let_in(names, old)


def _below(path: str, root: str) -> RelPath:
    return RelPath(path[len(root.rstrip("/")) + 1 :])

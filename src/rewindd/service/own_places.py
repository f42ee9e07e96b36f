"""The workspace's rules, and on top of them what is never the workspace's: the daemon's own directories, and other workspaces."""

from collections.abc import Sequence

from rewindd.errors import NotPermitted, OutsideWorkspace
from rewindd.paths import RelPath
from rewindd.service.state import State, Tree
from rewindd.tree.ignore import Rules


def inner_tops(state: State, tree: Tree) -> list[RelPath]:
    """Returns the roots of the workspaces inside this one, as its paths."""
    above = f"{tree.workspace.root.rstrip('/')}/"
    return sorted(RelPath(root[len(above) :]) for root in state.roots if root.startswith(above))


class OwnPlaces:
    """Rules that leave out the daemon's directories and the roots of workspaces inside, wherever the inner rules stand."""

    def __init__(self, inner: Rules, state: State, tree: Tree) -> None:
        self._inner = inner
        self._root = tree.workspace.root
        self._ours = {*state.own_directories, *state.own_files}
        self._inside = {root for root in state.roots if root.startswith(f"{self._root.rstrip('/')}/")}

    @property
    def reason(self) -> str | None:
        """Why the rules are not all that they should be; None when they are."""
        return self._inner.reason

    def leaves_out(self, directory: RelPath, names: Sequence[tuple[str, bool]]) -> set[str]:
        """Returns those of the directory's names that are not captured."""
        left = self._ours | self._inside
        ours = {name for name, _ in names if self._absolute(directory.child(name)) in left}
        return ours | self._inner.leaves_out(directory, names)

    def check(self, path: RelPath) -> None:
        """Raises NotPermitted for a path of the daemon's own, OutsideWorkspace for one of a workspace inside this one."""
        absolute = self._absolute(path)
        if any(f"{absolute}/".startswith(f"{place}/") for place in self._ours):
            raise NotPermitted(f"{absolute!r} is rewindd's own and never captured", path=path)
        inner = next((root for root in self._inside if f"{absolute}/".startswith(f"{root}/")), None)
        if inner is not None:
            raise OutsideWorkspace(f"{absolute!r} is in the workspace {inner!r}; open a session there", path=path)

    def _absolute(self, path: RelPath) -> str:
        return f"{self._root.rstrip('/')}/{path}"

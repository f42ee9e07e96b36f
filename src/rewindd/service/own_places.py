"""The workspace's rules, and on top of them what is never the workspace's: the daemon's own directories, and other workspaces."""

from collections.abc import Sequence

from rewindd.paths import RelPath
from rewindd.service.state import State, Tree
from rewindd.tree.ignore import Rules


class OwnPlaces:
    """Rules that leave out the daemon's directories, wherever the inner rules stand."""

    def __init__(self, inner: Rules, state: State, tree: Tree) -> None:
        self._inner = inner
        self._root = tree.workspace.root
        self._ours = {state.data_dir, state.runtime_dir}

    @property
    def reason(self) -> str | None:
        """Why the rules are not all that they should be; None when they are."""
        return self._inner.reason

    def leaves_out(self, directory: RelPath, names: Sequence[tuple[str, bool]]) -> set[str]:
        """Returns those of the directory's names that are not captured."""
        ours = {name for name, _ in names if self._absolute(directory.child(name)) in self._ours}
        return ours | self._inner.leaves_out(directory, names)

    def _absolute(self, path: RelPath) -> str:
        return f"{self._root.rstrip('/')}/{path}"

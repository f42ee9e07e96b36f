"""The index in memory: what is below a directory is found, whatever is known in between and in whatever order it came."""

from hypothesis import given
from hypothesis import strategies as st

from rewindd.model.index import Index
from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT
from rewindd.paths import ROOT, RelPath

paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=5).map(lambda parts: RelPath("/".join(parts)))


def entry(path: RelPath) -> IndexEntry:
    return IndexEntry(path=path, version=ABSENT, signature=None, since=1)


@given(st.lists(paths, unique=True), paths)
def test_below_finds_all_whatever_is_known_in_between(known: list[RelPath], top: RelPath) -> None:
    """A file may be known without its directories; parents come first where they are known too."""
    index = Index()
    for path in known:
        index.put([entry(path)])
    for directory in (top, ROOT):
        found = list(index.below(directory))
        assert len(found) == len(set(found))
        assert set(found) == {path for path in known if path != directory and path.below(directory)}
        assert found == sorted(found, key=lambda path: path.depth)

"""What is protected, by path: git's own data, the daemon's places, and patterns with all that is below what they match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewindd.model.versions import ABSENT, Directory, File, Version
from rewindd.paths import RelPath
from rewindd.plan.draft import Draft, Exact, Keep, Merged
from rewindd.plan.merge import Clash
from rewindd.service.rewinding.protecting import PROTECTED, Protection
from rewindd.tree.rules.patterns import Patterns

#: A path's parts, of few names, so that they meet the patterns.
parts = st.lists(st.sampled_from(["a", "b", "deploy", "x.pem", ".env", "keys", "Deploy"]), min_size=1, max_size=5)
PLAIN = File(b"0" * 32, 1, 0o644)


def of(*lines: str, ours: tuple[str, ...] = ()) -> Protection:
    return Protection(map(RelPath, ours), (Patterns(lines),))


def draft(path: str, way: Exact | Merged | Keep | Clash, current: Version = PLAIN) -> Draft:
    return Draft(path=RelPath(path), current=current, live=frozenset({1}), wanted=frozenset(), way=way, why="")


@pytest.mark.parametrize(
    ("lines", "path", "is_directory", "protected"),
    [
        (("/deploy/",), "deploy", True, True),
        (("/deploy/",), "deploy", False, False),
        (("/deploy/",), "deploy/a/b", False, True),
        (("/deploy/",), "src/deploy/a", False, False),
        (("deploy/",), "src/deploy/a", False, True),
        (("*.pem",), "keys/x.pem", False, True),
        (("*.pem",), "keys/x.pem.txt", False, False),
        (("*.pem", "!public.pem"), "public.pem", False, False),
        (("keys", "!keys/public.pem"), "keys/public.pem", False, True),
        (("keys/*", "!keys/public.pem"), "keys/public.pem", False, False),
        (("# deploy",), "deploy", True, False),
        ((), "deploy", True, False),
    ],
)
def test_patterns(lines: tuple[str, ...], path: str, is_directory: bool, protected: bool) -> None:
    """As in a gitignore at the root: a directory takes all below it along, the last pattern that matches a name decides on it."""
    assert (of(*lines).protected(RelPath(path), is_directory) == PROTECTED) is protected


@pytest.mark.parametrize(
    "path", [".git", ".git/hooks/pre-commit", "sub/.git/config", ".GIT/config", "a/.Git", ".rewindd-op-1", "a/.rewindd-x/b"]
)
def test_what_is_never_written(path: str) -> None:
    """git's own data at any depth and in any case of letters, and stages, whatever the configuration says."""
    assert of().protected(RelPath(path)) == PROTECTED
    assert of("!.git").protected(RelPath(path)) == PROTECTED


@pytest.mark.parametrize("path", [".gitignore", "git/config", ".github/x", "x.git/config", ".gitmodules", "rewindd-op-1"])
def test_what_only_looks_like_it(path: str) -> None:
    """Names that merely resemble these are as any other."""
    assert of().protected(RelPath(path)) is None


def test_our_own_places() -> None:
    """The daemon's places and all below them; not what merely begins with their names."""
    found = of(ours=("var/rewindd", "run/d.sock"))
    assert [path for path in ("var/rewindd", "var/rewindd/blobs/ab", "run/d.sock") if found.protected(RelPath(path)) is None] == []
    assert [path for path in ("var", "var/rewindd2", "run/d.sock.txt", "run") if found.protected(RelPath(path))] == []


@given(parts, parts)
def test_all_below_what_is_protected_is(above: list[str], below: list[str]) -> None:
    """No path below a protected directory is free, whatever the patterns."""
    found = of("/deploy/", "*.pem", ".env", "!/a/.env", "keys/*", "!keys/b")
    directory, path = RelPath("/".join(above)), RelPath("/".join(above + below))
    assert not found.protected(directory, True) or found.protected(path)


@pytest.mark.parametrize("way", [Exact(PLAIN), Exact(ABSENT), Merged(()), Clash("contested"), Keep("outside the rules now")])
def test_a_draft_is_kept(way: Exact | Merged | Keep | Clash) -> None:
    """Whatever was wanted of a protected path, also what would be a conflict: it stays, and says why; others are as they were."""
    mine, other = draft("deploy/key", way), draft("src/key", way)
    kept, same = of("/deploy/").keep([mine, other])
    assert (kept.way, kept.path, same) == (Keep(PROTECTED), mine.path, other)


def test_a_directory_is_known_by_what_it_is_or_becomes() -> None:
    """A pattern for directories protects a path that is one, and one that would become one."""
    found = of("deploy/")
    becomes = draft("deploy", Exact(Directory(0o755)), current=ABSENT)
    goes = draft("deploy", Exact(ABSENT), current=Directory(0o755))
    stays = draft("deploy", Exact(PLAIN), current=ABSENT)
    assert [isinstance(one.way, Keep) for one in found.keep([becomes, goes, stays])] == [True, True, False]

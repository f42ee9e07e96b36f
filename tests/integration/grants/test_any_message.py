"""Whatever is said at a grant's door: nothing outside changes, nothing of others is told, and all that is refused is in the log."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewindd.blocking import Client, Session
from rewindd.daemon.doors import REFUSALS
from rewindd.protocol import replies
from rewindd.protocol.requests import REQUESTS
from support.daemon import RealDaemon
from support.desk import photograph
from support.grants import INSIDE, Box, grants, wait_until_refused

#: Operations that would end the test's daemon, were they let in, are let in nowhere; they are asked as often as any other.
OPS = sorted(REQUESTS)
NAMES = st.sampled_from(["", ".", "..", "a", "out", "dir", "dir/link", ".git", ".bashrc", ".claude", "\0", "x" * 256, "\udcff", "secret"])
STARTS = ["", "/", f"{INSIDE}/", f"{INSIDE}/../", "/proc/self/root/", "OUTSIDE/", "ROOT/", "out/", "dir/link/"]
PATHS = st.builds(lambda start, parts: start + "/".join(parts), st.sampled_from(STARTS), st.lists(NAMES, max_size=3))
SESSIONS = st.sampled_from(["own", "stranger", "nobody", "", "x" * 300])
FIELDS = {
    "session": SESSIONS,
    "session_id": SESSIONS,
    "parent": SESSIONS,
    "paths": st.lists(PATHS, max_size=3),
    "path": PATHS,
    "directory": PATHS,
    "position": st.sampled_from(["@", "@~1", "mine", "#0", "#3", "@{1h}", "barrier:x", "theirs", ""]),
    "a": st.sampled_from(["@", "#0", "#1"]),
    "scope": st.sampled_from(["session", "workspace"]),
    "on_conflict": st.sampled_from(["merge", "keep", "overwrite"]),
    "also": st.just(["external"]),
    "kind": st.sampled_from(["turn", "command"]),
    "blob": st.sampled_from(["SECRET", "00" * 32]),
    "blobs": st.sampled_from([["SECRET"], []]),
    "workspace": st.just("WORKSPACE"),
    "grant_id": st.just("GRANT"),
    "edit": st.just("e"),
    "window": st.just("w"),
    "dry_run": st.booleans(),
    "all": st.booleans(),
    "operation": st.just("OPERATION"),
    "key": st.sampled_from(["k1", "k2"]),
}
#: What most operations need is always there.
NEEDED = ("session", "paths", "path", "directory", "position", "a", "kind", "blob", "blobs", "edit", "window")
MESSAGE = st.fixed_dictionaries({name: FIELDS[name] for name in NEEDED}, optional={n: s for n, s in FIELDS.items() if n not in NEEDED})
MESSAGES = st.lists(st.tuples(st.sampled_from(OPS), MESSAGE), min_size=1, max_size=12)


@pytest.fixture
def outside(running: RealDaemon, tree: Path) -> Path:
    """A directory that is not the workspace, to which links in the workspace lead."""
    elsewhere = running.directory / "outside"
    (elsewhere / "a").mkdir(parents=True)
    (elsewhere / "secret").write_text("their-secret outside\n")
    (tree / "dir").mkdir()
    (tree / "out").symlink_to(elsewhere)
    (tree / "dir" / "link").symlink_to("../../../outside")
    (tree / ".bashrc").write_text("mine\n")
    return elsewhere


@pytest.fixture
def stranger(person: Client, tree: Path, outside: Path) -> Iterator[Session]:
    """Another agent, whose file is gone again."""
    assert outside.is_dir()
    with person.session(tree, agent="their-agent", session_id="stranger") as session:
        session.snapshot("secret")
        (tree / "secret").write_text("their-secret\n")
        session.save("their-label", checkpoint_id="theirs")
        session.snapshot("secret")
        (tree / "secret").unlink()
        session.save("their-label again")
        yield session


def filled(value: object, known: dict[str, str]) -> object:
    """A generated value with what is only known now, as it travels."""
    if isinstance(value, list):
        return [filled(one, known) for one in value]
    if not isinstance(value, str):
        return value
    for name, text in known.items():
        value = value.replace(name, text)
    return value


def test_any_message(
    running: RealDaemon, inside: Box, granted: replies.Grant, stranger: Session, outside: Path, tree: Path, person: Client
) -> None:
    """As the docstring of this module says, over conversations of any operations with any paths, ids and positions."""
    inside.open("own")
    inside.saved("own", tree, "a", "one\n", "mine")
    inside.edit("own", tree, ".bashrc", "planted\n")
    inside.ask("save", session="own")
    theirs = stranger.load("theirs").file_diffs[0].after
    assert theirs is not None
    rewound = stranger.rewind("theirs")
    stranger.undo()
    known = {
        "OUTSIDE": str(outside),
        "ROOT": str(tree),
        "SECRET": str(theirs.blob),
        "WORKSPACE": granted.workspace,
        "GRANT": granted.id,
        "OPERATION": str(rewound.operation_id),
    }
    before = photograph(outside), [one.id for one in stranger.list()], stranger.info, (tree / ".bashrc").read_text()
    inside.told = b""
    refused = running.said().count(f"grant {granted.id}: refused")

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(MESSAGES)
    def talk(messages: list[tuple[str, dict[str, object]]]) -> None:
        nonlocal refused
        for op, fields in messages:
            given_fields = {name: filled(value, known) for name, value in fields.items()}
            paths = {name: _as_bytes(value) for name, value in given_fields.items() if name in ("paths", "path", "directory")}
            reply = inside.exchange(op, **{**given_fields, **paths})
            error = reply.get("error")
            if isinstance(error, dict):
                refused += error["code"] in REFUSALS
                assert error["code"] != "internal", (op, fields, error)
            else:
                assert b"their-" not in inside.told, (op, fields, reply)
                assert os.fsencode(tree) not in inside.told, (op, fields, reply)
            inside.told = b""

    talk()
    wait_until_refused(running, granted, refused)
    assert running.said().count(f"grant {granted.id}: refused") == refused
    after = photograph(outside), [one.id for one in stranger.list()], stranger.info, (tree / ".bashrc").read_text()
    assert after == before
    assert granted.id in [one.id for one in grants(person)]


def _as_bytes(value: object) -> object:
    return [os.fsencode(one) for one in value] if isinstance(value, list) else os.fsencode(str(value))

"""`grant`: what it sends, what it says."""

import msgspec
import pytest

from rewindd.cli.amounts import seconds, size_bytes
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.cli import NOON, FakeDaemon, Rewindctl, rewindctl

GRANT = replies.Grant(
    id="g1",
    workspace="w1",
    root=FsText("/home/ada/pro ject"),
    inside=FsText("/work"),
    ops=["list", "save"],
    socket=FsText("/run/user/7/rewindd/grants/g1/rewindd.sock"),
    created_at=NOON,
    ends_at=NOON,
    quota_bytes=1 << 30,
    used_bytes=4096,
    sessions=["s1"],
)


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    fake.tell(requests.MakeGrant, replies.GrantReply(grant=GRANT))
    fake.tell(requests.ListGrants, replies.Grants(grants=[GRANT]))
    fake.tell(requests.RevokeGrant, replies.GrantReply(grant=GRANT))
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


def asked(daemon: FakeDaemon) -> requests.MakeGrant:
    """The request for a grant, without its key and what the file system says."""
    (found,) = daemon.asked
    assert isinstance(found, requests.MakeGrant)
    assert found.key
    assert found.inode
    return msgspec.structs.replace(found, key=None, device=None, inode=None)


def test_the_defaults(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The directory to mount is alone on stdout; on stderr are the grant, and how a sandbox has it."""
    said = run("-C", "/", "grant", ".")
    assert asked(daemon) == requests.MakeGrant(directory=FsText("/"))
    assert (said.status, said.out) == (0, "/run/user/7/rewindd/grants/g1\n")
    assert "g1  /home/ada/pro ject as /work  list,save  until " in said.err
    assert "(4.0 KiB of 1.0 GiB used)" in said.err
    assert "--bind '/home/ada/pro ject' /work --ro-bind /run/user/7/rewindd/grants/g1 /run/rewindd" in said.err
    assert "REWINDD_SOCKET /run/rewindd/rewindd.sock" in said.err


def test_all_of_it(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Operations, time, size and map travel as numbers and paths."""
    run("grant", "/", "--ops", "save,list", "--ttl", "45m", "--map", "/work=/usr/..", "--quota", "500M")
    assert asked(daemon) == requests.MakeGrant(
        directory=FsText("/"), ops=["save", "list"], ttl_s=2700.0, inside=FsText("/work"), outside=FsText("/"), quota_bytes=500 << 20
    )


def test_a_map_of_the_inside_alone(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The root outside need not be said again."""
    run("grant", "/", "--map", "/work")
    assert (asked(daemon).inside, asked(daemon).outside) == ("/work", None)


def test_json(run: Rewindctl) -> None:
    """One object, of the grant's fields."""
    assert run("grant", "/", "--json").json["socket"] == GRANT.socket
    assert run("grant", "--list", "--json").objects("grants")[0]["sessions"] == ["s1"]
    assert run("grant", "--revoke", "g1", "--json").json["id"] == "g1"


def test_the_list(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A line for each; where there is none it says how one is made."""
    assert run("grant", "--list").out.startswith("g1  ")
    daemon.tell(requests.ListGrants, replies.Grants(grants=[]))
    said = run("grant", "--list")
    assert (said.out, said.status) == ("", 0)
    assert "rewindctl grant WORKSPACE" in said.err


def test_revoke(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The grant is named by its id, and nothing is on stdout."""
    said = run("grant", "--revoke", "g1")
    (found,) = daemon.asked
    assert isinstance(found, requests.RevokeGrant)
    assert (found.id, bool(found.key), said.out) == ("g1", True, "")
    assert "g1 has ended" in said.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("/", "--list"),
        ("/", "--revoke", "g1"),
        ("--list", "--revoke", "g1"),
        ("/", "--ops", "save,steal"),
        ("/", "--ops", ""),
        ("/", "--ttl", "12"),
        ("/", "--ttl", "-1h"),
        ("/", "--quota", "much"),
        ("/", "--map", "work=/x"),
    ],
    ids=" ".join,
)
def test_how_it_is_not_used(daemon: FakeDaemon, run: Rewindctl, words: tuple[str, ...]) -> None:
    """What makes no sense is a usage error, and nothing is asked."""
    assert run("grant", *words).status == 2
    assert daemon.asked == []


def test_amounts() -> None:
    """Times and sizes as people write them."""
    assert [seconds(given) for given in ("90s", "45m", "12h", "7d")] == [90.0, 2700.0, 43200.0, 604800.0]
    assert [size_bytes(given) for given in ("0", "10", "4K", "500M", "1G", "1GiB", "2TB")] == [
        *(0, 10, 4096, 500 << 20, 1 << 30, 1 << 30, 2 << 40)
    ]

"""What `rewindctl` says of a daemon that is another version than itself."""

import msgspec
import pytest

from rewindd import __version__
from rewindd.cli.versions import differing
from rewindd.errors import Unavailable, UnknownOp, UnsupportedVersion
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.cli import FakeDaemon, Rewindctl, one_session, rewindctl

STATUS = replies.Status(
    version=__version__,
    protocol=1,
    features=[],
    pid=7,
    uptime_s=61.0,
    socket=FsText("/s"),
    data_dir=FsText("/d"),
    store=replies.StoreInfo(bytes=4096, blobs=1, rows=2, checkpoints=3),
    recovered=[],
    workspaces=[],
    sessions=2,
)
OLD = msgspec.structs.replace(STATUS, version="0.0.9")


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    one_session(fake)
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


@pytest.mark.parametrize(
    ("version", "word"),
    [(__version__, None), ("0.0.9", "older"), ("0.0.10rc1", "older"), ("99.0", "newer"), ("0.10.0", "newer"), ("nonsense", "older")],
)
def test_which_is_older(version: str, word: str | None) -> None:
    """Versions are compared by their numbers; only for an older daemon is there a command."""
    said = differing(version)
    assert (said is None) == (word is None)
    if said is not None and word is not None:
        assert word in said
        assert ("rewindctl daemon restart" in said) == (word == "older")


def test_status_names_both(daemon: FakeDaemon, run: Rewindctl) -> None:
    """On stderr, and only where they differ; the JSON is as ever."""
    daemon.tell(requests.GetStatus, STATUS)
    assert run("status").err == ""
    daemon.tell(requests.GetStatus, OLD)
    said = run("status")
    assert (said.status, "0.0.9" in said.err, __version__ in said.err) == (0, True, True)
    assert run("status", "--json").err == ""


def test_an_operation_that_an_old_daemon_lacks(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The error names both versions and the command; where the version is the same, the command; also when the daemon says nothing more."""
    daemon.tell(requests.ListPending, UnknownOp("no operation 'pending'", op="pending"))
    for answer, words in ((OLD, "rewindd 0.0.9, older"), (STATUS, "older than this rewindctl"), (Unavailable("gone"), "older")):
        daemon.tell(requests.GetStatus, answer)
        said = run("pending", "--session", "s")
        assert said.status == 2
        assert words in said.err
        assert "rewindctl daemon restart" in said.err


@pytest.mark.parametrize(("supported", "words"), [("0", "older than this rewindctl"), ("2", "newer than this"), ("1.5", "newer than this")])
def test_another_protocol(daemon: FakeDaemon, run: Rewindctl, supported: str, words: str) -> None:
    """The words say which of the two is the older, and what helps: a restart for the daemon only."""
    refusal = UnsupportedVersion(f"protocol version 1; this daemon, rewindd 2.0, speaks {supported}", supported=supported)
    daemon.tell(requests.ListPending, refusal)
    said = run("pending", "--session", "s")
    assert said.status == 2
    assert "rewindd 2.0" in said.err
    assert words in said.err
    assert ("rewindctl daemon restart" in said.err) == (supported == "0")

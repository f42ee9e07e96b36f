"""Log lines and words to the service manager."""

import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rewindd.daemon import log
from rewindd.daemon.notify import Notifier


@contextmanager
def as_stderr(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Not a fixture: pytest puts its own stderr in place between a test's phases."""
    root, ours, raises = logging.getLogger(), logging.getLogger("rewindd"), logging.raiseExceptions
    handlers, root_level, our_level = root.handlers[:], root.level, ours.level
    with path.open("w") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", file)
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(root_level)
            ours.setLevel(our_level)
            logging.raiseExceptions = raises


def test_a_line_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line has time, level, logger and request; other libraries are heard from WARNING on."""
    with as_stderr(tmp_path / "log", monkeypatch):
        log.begin("info", {})
        logging.getLogger("rewindd.x").info("one")
        logging.getLogger("rewindd.x").debug("two")
        logging.getLogger("other").info("three")
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("INFO    rewindd.x [-] one")


def test_lines_for_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stderr is the journal's stream, every line of a record has its priority, and no time."""
    with as_stderr(tmp_path / "log", monkeypatch):
        found = os.fstat(sys.stderr.fileno())
        log.begin("debug", {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        logging.getLogger("rewindd.x").error("one\ntwo")
        logging.getLogger("rewindd.x").debug("three")
    assert (tmp_path / "log").read_text().splitlines() == ["<3>rewindd.x [-] one", "<3>two", "<7>rewindd.x [-] three"]


@pytest.mark.parametrize("is_journal", [False, True])
def test_lines_of_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_journal: bool) -> None:
    """They wait for the next record or flush, keep their order and look like any other line: of the same time, or with a priority."""
    logger = logging.getLogger("rewindd.x")
    with as_stderr(tmp_path / "log", monkeypatch):
        found = os.fstat(sys.stderr.fileno())
        log.begin("info", {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"} if is_journal else {})
        log.answered(logger, "ping/1", "one")
        log.answered(logger, "ping/2", "two")
        assert (tmp_path / "log").read_text() == ""
        logger.info("three")
        log.answered(logger, "ping/4", "four")
        logging.getLogger().handlers[0].flush()
    lines = (tmp_path / "log").read_text().splitlines()
    heads = [f"rewindd.x [{about}] {word}" for about, word in (("ping/1", "one"), ("ping/2", "two"), ("-", "three"), ("ping/4", "four"))]
    if is_journal:
        assert lines == [f"<6>{head}" for head in heads]
    else:
        assert [line.partition(" INFO    ")[2] for line in lines] == heads
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    ", line) for line in lines)


def test_an_abstract_address(caplog: pytest.LogCaptureFixture) -> None:
    """`@name` is an abstract socket; nobody there is a warning, and no address is silence."""
    name = f"rewindd-test-{os.getpid()}"
    env = {"NOTIFY_SOCKET": f"@{name}"}
    notifier = Notifier(env)
    assert env == {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(10)
        notifier.ready("well")
        assert manager.recv(100) == b"READY=1\nSTATUS=well"
    notifier.stopping("done")
    assert "was not told STOPPING=1" in caplog.text
    Notifier({}).ready("to nobody")

"""Log lines and words to the service manager."""

import logging
import os
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

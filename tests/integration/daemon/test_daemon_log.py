"""What a real daemon process says of itself: on SIGUSR1, with each request, in the metrics' file, and of what needs a restart."""

import re
import signal
import stat
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as parse

from rewindd.protocol import requests
from support.daemon_process import FAKE, Daemons


def test_a_dump_of_tasks_and_threads(daemons: "Daemons") -> None:
    """SIGUSR1 has the stacks of all threads and the awaits of all tasks logged, without a word of a request's content."""
    daemon = daemons.up()
    client = daemon.client()
    client.do("sleep:98765.25")
    assert client.ping()
    for number in (1, 2):
        daemon.process.send_signal(signal.SIGUSR1)
        while daemon.text().count("end of the tasks") < number:
            daemon.wait_until("end of the tasks")
    text = daemon.text()
    assert re.search(r"Current thread 0x[0-9a-f]+ \(most recent call first\):", text)
    assert re.search(r"    \S*server\.py:\d+ in Server\._carry_out\n(    .*\n)*    \S*fake_daemon\.py:\d+ in FakeService\._do\n", text)
    assert "98765.25" not in text
    assert client.ping()


def test_a_dump_of_a_daemon_that_hangs(daemons: "Daemons") -> None:
    """Where the event loop itself hangs, in a system call, the threads' stacks are told all the same, and say where."""
    daemon = daemons.up()
    client = daemon.client()
    client.do("hang")
    daemon.wait_until("hanging")
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.wait_until("in _hang")
    daemon.process.kill()


def test_lines_wait_for_nobody(daemons: "Daemons") -> None:
    """A request's line comes by itself, soon; and at the end none is missing: as many as requests."""
    daemon = daemons.up()
    client = daemon.client()
    client.do("moved")
    client.receive()
    daemon.wait_until("op=session.show session='moved'")
    for _ in range(300):
        client.send(requests.Ping())
        client.receive()
    assert daemon.stop().count("request op=ping") == 301


def test_below_info_no_lines(daemons: "Daemons") -> None:
    """At `warning` requests are not logged."""
    daemon = daemons.up("--log-level", "warning")
    assert daemon.client().ping()
    assert daemon.stop() == ""


def test_the_metrics_file(daemons: "Daemons") -> None:
    """`[metrics] textfile` is written at the start and after a reload, whole, for others to read; that it cannot be is one warning."""
    file = daemons.directory / "c.toml"
    (daemons.directory / "out").mkdir()
    target = daemons.directory / "out" / "rewindd.prom"
    file.write_text(f"[metrics]\ntextfile = '{target}'\ninterval_s = 3600\n")
    daemon = daemons.up("--config", str(file), umask=0)
    while not target.exists():
        daemon.wait_until("ready")
    assert [family.name for family in parse(target.read_text())] == ["up"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["rewindd.prom"]
    file.write_text(f"[metrics]\ntextfile = '{daemons.directory}/none/rewindd.prom'\ninterval_s = 1\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until("the metrics cannot be written to")
    file.write_text("[metrics]\ntextfile = '~/home.prom'\n")
    daemon.process.send_signal(signal.SIGHUP)
    while not (daemons.directory / "home.prom").exists():
        daemon.wait_until("ready")
    assert daemon.stop().count("the metrics cannot be written to") == 1


def test_what_needs_a_restart_is_said(daemons: "Daemons") -> None:
    """Another data directory is not taken over by a daemon that runs; it says so, and takes over the rest."""
    file = daemons.directory / "c.toml"
    file.write_text("[daemon]\ndata_dir = '~/one'\n")
    command = [sys.executable, str(FAKE), "--socket", daemons.socket, "--config", str(file)]
    daemon = daemons.start_command(command, daemons.socket, daemons.directory / "one", None)
    assert daemon.client().ping()
    file.write_text("[daemon]\ndata_dir = '~/two'\nidle_exit_s = 5\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until("changed: daemon.data_dir, daemon.idle_exit_s")
    daemon.wait_until("daemon.data_dir needs a restart")
    assert not Path(daemons.directory, "two").exists()
    daemon.stop()

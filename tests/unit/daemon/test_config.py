"""The daemon's settings: what comes before what."""

import os
from pathlib import Path

from rewindd.daemon import config
from rewindd.daemon.config import Given


def settle(tmp_path: Path, given: Given | None = None, text: str | None = None, **env: str) -> config.Settings:
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    if text is not None:
        file = tmp_path / ".config/rewindd/config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return config.settle(given or Given(), {**home, **env}, os.getuid())


def test_defaults(tmp_path: Path) -> None:
    """Without flags, variables and file, everything is where XDG says."""
    found = settle(tmp_path)
    assert found.socket == f"{tmp_path}/run/rewindd/rewindd.sock"
    assert found.data_dir == f"{tmp_path}/.local/share/rewindd"
    assert (found.log_level, found.idle_exit_s, found.textfile) == ("info", 3600, None)


def test_precedence(tmp_path: Path) -> None:
    """The command line wins over the environment, that over the file, that over the default."""
    text = "[daemon]\ndata_dir = '~/file'\nlog_level = 'error'\nidle_exit_s = 5\n[metrics]\ntextfile = '~/m.prom'\n"
    assert settle(tmp_path, text=text).data_dir == f"{tmp_path}/file"
    assert settle(tmp_path, text=text).textfile == f"{tmp_path}/m.prom"
    assert settle(tmp_path, text=text, REWINDD_DATA_DIR="/env").data_dir == "/env"
    found = settle(tmp_path, Given(data_dir="/flag", log_level="debug", socket="/s"), text, REWINDD_DATA_DIR="/env", REWINDD_SOCKET="/e")
    assert (found.data_dir, found.log_level, found.socket, found.idle_exit_s) == ("/flag", "debug", "/s", 5)


def test_started_by_a_client(tmp_path: Path) -> None:
    """Such a daemon logs less, where nobody says how much: its log is in memory."""
    assert settle(tmp_path, REWINDD_STARTED_BY="autostart").log_level == "warning"
    assert settle(tmp_path, text="[daemon]\nlog_level = 'info'", REWINDD_STARTED_BY="autostart").log_level == "info"


def test_paths_are_absolute(tmp_path: Path) -> None:
    """A relative path on the command line means the directory that the daemon was started in, and keeps meaning it."""
    found = settle(tmp_path, Given(socket="s", data_dir="d"))
    assert (found.socket, found.data_dir) == (f"{Path.cwd()}/s", f"{Path.cwd()}/d")

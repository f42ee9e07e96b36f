"""Settings: what comes before what, and what a configuration file may say."""

import os
from pathlib import Path

import pytest

from rewindd import errors
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
    assert (found.log_level, found.idle_exit_s) == ("info", 3600)


def test_precedence(tmp_path: Path) -> None:
    """The command line wins over the environment, that over the file, that over the default."""
    text = "[daemon]\ndata_dir = '~/file'\nlog_level = 'error'\nidle_exit_s = 5\n"
    assert settle(tmp_path, text=text).data_dir == f"{tmp_path}/file"
    assert settle(tmp_path, text=text, REWINDD_DATA_DIR="/env").data_dir == "/env"
    found = settle(tmp_path, Given(data_dir="/flag", log_level="debug", socket="/s"), text, REWINDD_DATA_DIR="/env", REWINDD_SOCKET="/e")
    assert (found.data_dir, found.log_level, found.socket, found.idle_exit_s) == ("/flag", "debug", "/s", 5)


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the directory that the daemon was started in, and keeps meaning it."""
    monkeypatch.chdir(tmp_path)
    found = settle(tmp_path, Given(socket="s", data_dir="d"))
    assert (found.socket, found.data_dir) == (f"{tmp_path}/s", f"{tmp_path}/d")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[deamon]", "did you mean daemon?"),
        ("[daemon]\nlog_levle = 'info'", "unknown key daemon.log_levle; did you mean daemon.log_level?"),
        ("[daemon]\nxyzzy = 1", "there are daemon.log_level, daemon.idle_exit_s, daemon.data_dir"),
        ("[daemon]\nlog_level = 'loud'", "$.daemon.log_level"),
        ("[daemon]\nidle_exit_s = -1", "$.daemon.idle_exit_s"),
        ("[daemon]\nidle_exit_s = true", "$.daemon.idle_exit_s"),
        ("daemon = 5", "$.daemon"),
        ("x = = 1", "line 1"),
        ("\xff", "codec"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    """What a file must not hold is refused, naming file and key and, for a misspelt key, the nearest."""
    with pytest.raises(errors.BadConfig) as raised:
        config.parse(text.encode("latin-1"), "/etc/c.toml")
    assert str(raised.value).startswith("/etc/c.toml: ")
    assert says in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that was named must be there; a directory in its place is said, not a traceback."""
    with pytest.raises(errors.BadConfig, match="there is no configuration file"):
        config.read(str(tmp_path / "none"), required=True)
    with pytest.raises(errors.BadConfig, match="cannot be read"):
        config.read(str(tmp_path), required=False)
    assert config.read(str(tmp_path / "none"), required=False) == config.Config()

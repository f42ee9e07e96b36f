"""Where things are, by the environment alone."""

import pytest

from rewindd import places


def never(path: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"REWINDD_SOCKET": "/x/y.sock", "XDG_RUNTIME_DIR": "/run/me"}, "/x/y.sock"),
        ({"XDG_RUNTIME_DIR": "/run/me"}, "/run/me/rewindd/rewindd.sock"),
        ({"XDG_RUNTIME_DIR": "relative"}, "/tmp/rewindd-7/rewindd.sock"),
        ({}, "/tmp/rewindd-7/rewindd.sock"),
    ],
)
def test_socket(env: dict[str, str], expected: str) -> None:
    """The environment names the socket, else the runtime directory, else /tmp; a relative XDG path is ignored."""
    assert places.socket_path(env, 7, is_directory=never) == expected


def test_socket_in_run_user() -> None:
    """Without XDG_RUNTIME_DIR the user's own runtime directory is taken where there is one."""
    assert places.socket_path({}, 7, is_directory=lambda path: path == "/run/user/7") == "/run/user/7/rewindd/rewindd.sock"


def test_data_and_config() -> None:
    """Data and configuration follow our variables, then XDG's, then the home directory."""
    assert places.data_dir({"REWINDD_DATA_DIR": "/d"}) == "/d"
    assert places.data_dir({"XDG_DATA_HOME": "/x"}) == "/x/rewindd"
    assert places.data_dir({"HOME": "/h"}) == "/h/.local/share/rewindd"
    assert places.config_path({"REWINDD_CONFIG": "/c"}) == "/c"
    assert places.config_path({"XDG_CONFIG_HOME": "/x"}) == "/x/rewindd/config.toml"
    assert places.config_path({"HOME": "/h"}) == "/h/.config/rewindd/config.toml"

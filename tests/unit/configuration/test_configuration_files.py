"""The configuration's files: what they may say, what is refused and how that is told, and which of several counts."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewindd import errors
from rewindd.configuration import reading
from rewindd.configuration.parsing import Layer, line_of, merge, parse
from rewindd.configuration.schema import Config, settings, value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[deamon]", "line 1: unknown key deamon; did you mean daemon?"),
        ("\n[daemon]\nlog_levle = 'info'", "line 3: unknown key daemon.log_levle; did you mean daemon.log_level?"),
        ("[daemon]\nxyzzy = 1", "there are daemon.log_level, daemon.idle_exit_s, daemon.data_dir"),
        ("[daemon]\nmax_files = 1", "line 2: unknown key daemon.max_files; did you mean capture.max_files?"),
        ("max_files = 1", "line 1: unknown key max_files; did you mean capture.max_files?"),
        ("[daemon]\nlog_level = 'loud'", "line 2: daemon.log_level: invalid enum value 'loud'; it is one of debug, info, warning, error"),
        ("[daemon]\nlog_level = 3", "daemon.log_level: expected `str | null`, got `int`; it is one of debug, info, warning, error"),
        ("[daemon]\nidle_exit_s = -1", "line 2: daemon.idle_exit_s: expected `int` >= 0"),
        ("[daemon]\nidle_exit_s = true", "line 2: daemon.idle_exit_s: expected `int`, got `bool`"),
        ("[capture]\nexclude = '*.iso'", "line 2: capture.exclude: expected `array`, got `str`"),
        ("[capture]\nexclude = [1]", "capture.exclude: expected `str`, got `int`"),
        ("[metrics]\ninterval_s = 0", "metrics.interval_s: expected `int` >= 1"),
        ("[metrics]\ntextfile = 'm.prom'", "metrics.textfile: a path begins with / or ~/, and 'm.prom' does not"),
        ("[daemon]\ndata_dir = ''", "daemon.data_dir: a path begins with / or ~/"),
        ("[daemon]\nallow_namespaces_of = ['/a', 'pid']", "daemon.allow_namespaces_of: a path begins with / or ~/, and 'pid' does not"),
        ("[protect]\npatterns = '*.pem'", "protect.patterns: expected `array`, got `str`"),
        ("daemon = 5", "line 1: daemon is a section: write [daemon], and its keys below"),
        ("daemon.idle_exit = 5", "unknown key daemon.idle_exit; did you mean daemon.idle_exit_s?"),
        ("x = = 1", "line 1"),
        ("\xff", "codec"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    """What a file must not hold is refused, naming file, line and key and, for a misspelt key, the nearest."""
    with pytest.raises(errors.BadConfig) as raised:
        parse(text.encode("latin-1"), "/etc/c.toml")
    assert str(raised.value).startswith("/etc/c.toml: ")
    assert says in str(raised.value)
    assert raised.value.fields["path"] == "/etc/c.toml"


@pytest.mark.parametrize("name", settings())
@given(st.data())
def test_a_slip_names_the_key(name: str, data: st.DataObject) -> None:
    """One letter left out of any key: the key that was meant is named, or all there are where the rest is nothing like it."""
    section, _, key = name.partition(".")
    at = data.draw(st.integers(0, len(key) - 1))
    slip = key[:at] + key[at + 1 :]
    if f"{section}.{slip}" in settings():
        return
    with pytest.raises(errors.BadConfig) as raised:
        parse(f"[{section}]\n{slip} = 1\n".encode(), "c")
    assert raised.value.fields["line"] == 2
    assert name in str(raised.value)


def test_the_last_layer_counts() -> None:
    """Of each key the last file that names it counts, a list as a whole; what no file names is the default."""
    first = parse(b"[capture]\nmax_files = 1\nexclude = ['a', 'b']\n[store]\nmax_bytes = 5\n", "first")
    second = parse(b"[capture]\nexclude = ['c']\n", "second")
    merged = merge([first, second])
    assert (merged.config.capture.max_files, merged.config.capture.exclude, merged.config.store.max_bytes) == (1, ["c"], 5)
    assert merged.config.capture.max_bytes == Config().capture.max_bytes
    assert dict(merged.origins) == {"capture.max_files": "first", "capture.exclude": "second", "store.max_bytes": "first"}


@given(st.lists(st.dictionaries(st.sampled_from(["store.max_bytes", "capture.max_files", "daemon.idle_exit_s"]), st.integers(0, 9))))
def test_merging_is_a_fold(layers: list[dict[str, object]]) -> None:
    """However many files there are: each setting is what the last one that names it says, and comes from there."""
    found = merge(Layer(path=str(number), values=values) for number, values in enumerate(layers))
    for name, one in settings().items():
        sayers = [number for number, values in enumerate(layers) if name in values]
        assert found.origins.get(name) == (str(sayers[-1]) if sayers else None)
        assert value(found.config, name) == (layers[sayers[-1]][name] if sayers else one.default)


def test_drop_ins_in_the_order_of_their_names(tmp_path: Path) -> None:
    """`config.d/*.toml` come after `config.toml`, in the order of their names; other files there are not read."""
    (tmp_path / "config.toml").write_text("[store]\nmax_bytes = 1\nmin_free_bytes = 1\n")
    drop_ins = tmp_path / "config.d"
    drop_ins.mkdir()
    (drop_ins / "20-b.toml").write_text("[store]\nmax_bytes = 3\n")
    (drop_ins / "10-a.toml").write_text("[store]\nmax_bytes = 2\nmin_free_bytes = 2\n")
    (drop_ins / ".hidden.toml").write_text("nonsense")
    (drop_ins / "note.txt").write_text("nonsense")
    found = reading.read(str(tmp_path / "config.toml"), required=False)
    assert (found.config.store.max_bytes, found.config.store.min_free_bytes) == (3, 2)
    assert [os.path.basename(path) for path in found.files] == ["config.toml", "10-a.toml", "20-b.toml"]
    (drop_ins / "30-c.toml").write_text("[store]\nmax_byte = 3\n")
    with pytest.raises(errors.BadConfig, match=r"30-c\.toml: line 2: .*did you mean store\.max_bytes"):
        reading.read(str(tmp_path / "config.toml"), required=False)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that was named must be there; a directory in its place is said, not a traceback."""
    with pytest.raises(errors.BadConfig, match="there is no configuration file"):
        reading.read(str(tmp_path / "none"), required=True)
    with pytest.raises(errors.BadConfig, match="cannot be read"):
        reading.read(str(tmp_path), required=False)
    assert reading.read(str(tmp_path / "none"), required=False).config == Config()


def test_where_each_value_comes_from(tmp_path: Path) -> None:
    """The environment, a file, the default: the effective value and its origin."""
    file = tmp_path / "config.toml"
    file.write_text("[daemon]\ndata_dir = '~/d'\n[capture]\nwatch = true\n[metrics]\ntextfile = '~/m.prom'\n")
    found = reading.read(str(file), required=True)
    home = {"HOME": "/h"}

    def effective(env: dict[str, str]) -> dict[str, tuple[object, str]]:
        return {one.name: (one.value, one.origin) for one in reading.effective(found, env)}

    plain = effective(home)
    assert list(plain) == list(settings())
    assert plain["daemon.data_dir"] == ("/h/d", str(file))
    assert plain["metrics.textfile"] == ("/h/m.prom", str(file))
    assert plain["daemon.log_level"] == ("info", "default")
    assert plain["capture.watch"] == (True, str(file))
    other = effective({**home, "REWINDD_WATCH": "0", "REWINDD_DATA_DIR": "/e"})
    assert other["capture.watch"] == (False, "$REWINDD_WATCH")
    assert other["daemon.data_dir"] == ("/e", "$REWINDD_DATA_DIR")


@pytest.mark.parametrize(
    ("name", "line"), [("daemon", 2), ("daemon.log_level", 3), ("store.max_bytes", 6), ("capture.exclude", None), ("top", 1)]
)
def test_the_line_of_a_key(name: str, line: int | None) -> None:
    """A key in the plain form is found in its own section; what is not there has no line."""
    text = "top = 1\n[daemon] # comment\nlog_level = 'info'\nmax_bytes = 1\n[store]\n\"max_bytes\" = 2\n"
    assert line_of(text, name) == line


def test_a_list_of_paths_as_it_counts(tmp_path: Path) -> None:
    """Each path of a list that begins with `~/` is told as the home directory's."""
    (tmp_path / "c.toml").write_text("[daemon]\nallow_namespaces_of = ['~/pid', '/run/pid']\n")
    found = reading.read(str(tmp_path / "c.toml"), required=True)
    told = {one.name: one.value for one in reading.effective(found, {"HOME": "/home/ada"})}
    assert told["daemon.allow_namespaces_of"] == ["/home/ada/pid", "/run/pid"]
    assert told["daemon.check_namespaces"] is True


@pytest.mark.parametrize("kind", ["device", "fifo", "directory", "large"])
def test_a_drop_in_without_end_is_refused_by_its_name(kind: str, tmp_path: Path) -> None:
    """A device, a FIFO, a directory and a file of a gigabyte end with a word that names them, and are not read."""
    drop_in = tmp_path / "config.d" / "10-odd.toml"
    drop_in.parent.mkdir()
    if kind == "device":
        drop_in.symlink_to("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(drop_in)
    elif kind == "directory":
        drop_in.mkdir()
    else:
        with drop_in.open("wb") as file:
            file.truncate(1 << 30)
    with pytest.raises(errors.BadConfig, match=r"10-odd\.toml.*(no regular file|more than 1024 KiB)"):
        reading.read(str(tmp_path / "config.toml"), required=False)

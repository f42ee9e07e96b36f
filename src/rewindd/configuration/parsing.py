"""From the text of a configuration file to checked values, and from several files to one configuration. Pure.

A key that is not known is refused, never ignored: a misspelt limit that silently does nothing is worse than no start.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from rewindd import errors
from rewindd.configuration.schema import SECTIONS, Config, Setting, settings

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*["']?([^"'=\s]+)["']?\s*=""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one file says: its values by setting, checked."""

    path: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Several files as one: the configuration, and for each setting that a file names, the last one that does."""

    config: Config = field(default_factory=Config)
    origins: Mapping[str, str] = field(default_factory=dict)


def parse(text: bytes, path: str) -> Layer:
    """Returns what the text of a configuration file says; `path` is for the messages.

    Raises:
        BadConfig: it is no TOML, has an unknown key, or a value of a wrong type or out of its range; `key`, and `line` where
            it can be told.
    """
    try:
        decoded = text.decode()
        table = tomllib.loads(decoded)
    except ValueError as exc:  # of which both TOMLDecodeError and UnicodeDecodeError are kinds
        raise errors.BadConfig(f"{path}: {exc}", path=path) from exc
    except RecursionError as exc:
        raise errors.BadConfig(f"{path}: nested too deeply", path=path) from exc
    values: dict[str, object] = {}
    for section, kind in SECTIONS.items():
        given = table.get(section, {})
        if not isinstance(given, dict):
            raise _refused(path, decoded, section, f"{section} is a section: write [{section}], and its keys below")
        for key in given:
            name = f"{section}.{key}"
            if name not in settings():
                raise _refused(path, decoded, name, f"unknown key {name}; {_nearest(key, kind.__struct_fields__, f'{section}.')}")
            values[name] = _checked(settings()[name], given[key], path, decoded)
    for section in table:
        if section not in SECTIONS:
            raise _refused(path, decoded, section, f"unknown key {section}; {_nearest_section(section)}")
    return Layer(path=path, values=values)


def merge(layers: Iterable[Layer]) -> Merged:
    """Returns the layers as one: of each key the last one counts, a list too."""
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        values |= layer.values
        origins |= dict.fromkeys(layer.values, layer.path)
    nested: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        nested.setdefault(section, {})[key] = value
    return Merged(config=msgspec.convert(nested, Config), origins=origins)


def line_of(text: str, name: str) -> int | None:
    """Returns the number of the line that names a section or a `section.key`; None where it is not in the plain form of one a line."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            section = header[1]
            if section == name:
                return number
        key = _KEY.match(line)
        if key is not None and header is None and (f"{section}.{key[1]}" if section else key[1]) == name:
            return number
    return None


def _checked(setting: Setting, given: object, path: str, text: str) -> object:
    try:
        value: object = msgspec.convert(given, setting.kind)
    except msgspec.ValidationError as exc:
        why = f"{str(exc)[:1].lower()}{str(exc)[1:]}"
        known = f"; it is one of {', '.join(setting.words)}" if setting.words else ""
        raise _refused(path, text, setting.name, f"{setting.name}: {why}{known}") from exc
    if setting.is_path:
        for one in value if isinstance(value, list) else [value]:
            if not (isinstance(one, str) and one.startswith(("/", "~/"))):
                raise _refused(path, text, setting.name, f"{setting.name}: a path begins with / or ~/, and {one!r} does not")
    return value


def _refused(path: str, text: str, name: str, why: str) -> errors.BadConfig:
    line = line_of(text, name)
    if line is None:
        return errors.BadConfig(f"{path}: {why}", path=path, key=name)
    return errors.BadConfig(f"{path}: line {line}: {why}", path=path, key=name, line=line)


def _nearest(given: str, known: Sequence[str], prefix: str) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    elsewhere = [name for name, one in settings().items() if one.key == given]
    if near or elsewhere:
        return f"did you mean {prefix + near[0] if near else elsewhere[0]}?"
    return f"there are {', '.join(prefix + name for name in known)}"


def _nearest_section(given: str) -> str:
    """A key that stands before the first section is as likely a slip as a misspelt section."""
    return _nearest(given, tuple(SECTIONS), "")

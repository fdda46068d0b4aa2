"""YAML settings into frozen dataclasses, with every mistake named at once.

The dataclass is the schema: its fields name what may stand there, its defaults what may be left
out, its types what is expected, and its `__post_init__` what range. Nothing is guessed: a key that
the dataclass does not know is an error that names the allowed ones and the nearest.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Settings = TypeVar("Settings")
_MISSING = dataclasses.MISSING
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    datetime: "a date or timestamp",
    date: "a date",
    type(None): "nothing",
    dict: "a mapping",
    list: "a list",
}


class SettingsError(ValueError):
    """Everything that is wrong with some settings.

    Attributes
    ----------
    problems
        One line each: place, expected, found, cure.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class _Mismatch(Exception):
    """A value does not fit its type; carries what was expected."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 file that holds a mapping.

    Raises
    ------
    SettingsError
        If the file is missing, is not YAML (with line and column), repeats a key, or holds
        something other than a mapping.
    """
    if not path.is_file():
        raise SettingsError([f"{path}: no such file; check the path"])
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid YAML: {_first_lines(error)}"]) from None
    if not isinstance(content, dict):
        raise SettingsError([f"{path}: must hold keys and values, found {_found(content)}"])
    return content


def from_mapping(cls: type[Settings], mapping: Mapping[str, Any], where: str) -> Settings:
    """Build a dataclass from parsed YAML.

    Parameters
    ----------
    cls
        A dataclass. Field types may be bool, int, float (a whole number will do), str, Path,
        date, datetime (made UTC and naive), another dataclass, `X | None`, `Literal[...]`,
        `tuple[X, ...]` and `Mapping[str, X]`. A field's metadata may say `{"key": name}` where
        the YAML key differs from the field, or `{"hidden": True}` where there is no key for it.
    mapping
        What was read.
    where
        The place, for messages: "params.yaml: train_churn", or "sources/telco.yaml:" for a file.

    Raises
    ------
    SettingsError
        Listing every unknown, missing and mistyped key with its place, and values that
        `__post_init__` refused.
    """
    problems: list[str] = []
    settings = _build(cls, mapping, where, problems)
    if problems:
        raise SettingsError(problems)
    return settings


def suggest(name: str, allowed: Sequence[str]) -> str:
    """End of a message: the nearest allowed name, if any is near, and all of them."""
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}allowed: {', '.join(allowed) or 'nothing'}"


def _build(cls: Any, value: Any, where: str, problems: list[str]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(
            f"{where.rstrip(':')}: must be a mapping, found {_found(value)}; write key: value"
        )
        return None
    here, fields = where.rstrip(":"), _keys(cls)
    hints = get_type_hints(cls)
    before = len(problems)
    for key in value:
        if key not in fields:
            problems.append(f"{here}: unknown key '{key}'; {suggest(str(key), list(fields))}")
    arguments = {}
    for key, item in fields.items():
        place = f"{where} {key}" if where.endswith(":") else f"{where}.{key}"
        if key in value:
            arguments[item.name] = _convert(hints[item.name], value[key], place, problems)
        elif item.default is _MISSING and item.default_factory is _MISSING:
            expected = _describe(hints[item.name])
            problems.append(f"{here}: key '{key}' is missing; it must be {expected}")
    if len(problems) > before:
        return None
    try:
        return cls(**arguments)
    except ValueError as error:
        problems.append(f"{here}: {error}")
        return None


def _convert(kind: Any, value: Any, place: str, problems: list[str]) -> Any:
    """The value as `kind`; what does not fit is added to the problems."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(kind, value, place, problems)
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, place, problems)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(
            _convert(inner[0], item, f"{place}[{position}]", problems)
            for position, item in enumerate(value)
        )
    if _is_mapping(kind) and isinstance(value, Mapping):
        value_kind = inner[1] if inner else Any
        return {
            str(key): _convert(value_kind, item, f"{place}.{key}", problems)
            for key, item in value.items()
        }
    try:
        return _scalar(kind, value)
    except _Mismatch:
        problems.append(f"{place}: must be {_describe(kind)}, found {_found(value)}")
        return None


def _convert_union(kind: Any, value: Any, place: str, problems: list[str]) -> Any:
    choices = get_args(kind)
    if value is None and type(None) in choices:
        return None
    choices = tuple(choice for choice in choices if choice is not type(None))
    if len(choices) == 1:
        return _convert(choices[0], value, place, problems)
    for choice in choices:
        attempt: list[str] = []
        converted = _convert(choice, value, place, attempt)
        if not attempt:
            return converted
    problems.append(f"{place}: must be {_describe(kind)}, found {_found(value)}")
    return None


def _scalar(kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    if get_origin(kind) is Literal:
        if any(value == choice and type(value) is type(choice) for choice in get_args(kind)):
            return value
        raise _Mismatch
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is datetime and isinstance(value, date):
        return _naive_utc(value)
    if kind is date and isinstance(value, datetime):
        raise _Mismatch
    if isinstance(value, bool) and kind is not bool:
        raise _Mismatch
    if not isinstance(kind, type) or not isinstance(value, kind):
        raise _Mismatch
    if isinstance(value, float) and not math.isfinite(value):
        raise _Mismatch
    return value


def _naive_utc(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        return value
    return value.astimezone(UTC).replace(tzinfo=None)


def _describe(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in inner)
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin is tuple:
        return f"a list, each item {_describe(inner[0])}"
    if _is_mapping(kind):
        return "a mapping" + (f", each value {_describe(inner[1])}" if inner else "")
    if dataclasses.is_dataclass(kind):
        return f"a mapping of {', '.join(_keys(kind))}"
    return _NAMES.get(kind, str(kind))


def _keys(cls: Any) -> dict[str, dataclasses.Field[Any]]:
    return {
        item.metadata.get("key", item.name): item
        for item in dataclasses.fields(cls)
        if not item.metadata.get("hidden")
    }


def _is_mapping(kind: Any) -> bool:
    base = get_origin(kind) or kind
    return isinstance(base, type) and issubclass(base, Mapping)


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping | list | tuple):
        return _NAMES[dict] if isinstance(value, Mapping) else _NAMES[list]
    name = _NAMES.get(type(value), type(value).__name__)
    return f"{name}: {value!r}" if isinstance(value, str) else f"{name}: {value}"


def _first_lines(error: Exception) -> str:
    return " ".join(" ".join(str(error).split()).split("To suppress")[0].split())

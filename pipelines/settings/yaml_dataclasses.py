"""YAML settings into frozen dataclasses by pydantic, with every mistake named at once.

The dataclass is the schema: its fields name the keys, its defaults what may be left out, its types
what is expected, `Annotated[..., Field(ge=0)]` or its `__post_init__` the range. An unknown key is
an error that names the allowed keys and the nearest.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .moments import naive_utc

Settings = TypeVar("Settings")
MOST_VALUES = 100_000  # of one file, aliases written out; ten lines of YAML can stand for billions
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    datetime: "a date or timestamp",
    type(None): "nothing",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
}
_UNKNOWN = ("unexpected_keyword_argument", "unknown_key")
_EXPECTED = {  # by pydantic's type of error; {} holds its context
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "string_type": "must be text",
    "datetime_type": "must be a date or timestamp",
    "datetime_parsing": "must be a date or timestamp",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "dataclass_type": "must be a mapping",
    "literal_error": "must be one of {expected}",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must have at least {min_length} item",
    "string_pattern_mismatch": "must match {pattern}",
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


def _no_key(_: object) -> None:
    raise PydanticCustomError("unknown_key", "unknown key")


MOMENT = AfterValidator(naive_utc)  # Annotated[datetime, MOMENT]: UTC, without a time zone
NO_KEY = BeforeValidator(_no_key)  # Annotated[X, NO_KEY]: a field that no file may set


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
        A dataclass; its fields may have any type that pydantic knows. Nothing is coerced, but a
        whole number will do for a float and a date for a datetime.
    mapping
        What was read.
    where
        The place, for messages: "params.yaml: train_churn", or "sources/telco.yaml:" for a file.

    Raises
    ------
    SettingsError
        Listing every unknown, missing and mistyped key and every value out of its range, with its
        place.
    """
    try:
        text = json.dumps({"settings": _plain(mapping, where, [0])})
        settings: Settings = _adapter(cls).validate_json(text)["settings"]
    except ValidationError as error:
        problems = _without_misspelled(cls, error.errors())
        raise SettingsError([_problem(cls, problem, where) for problem in problems]) from None
    return settings


def suggest(name: str, allowed: Sequence[str]) -> str:
    """End of a message: the nearest allowed name, if any is near, and all of them."""
    near = _nearest(name, allowed)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}allowed: {', '.join(allowed) or 'nothing'}"


def _nearest(name: str, allowed: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, allowed, n=1)


def _without_misspelled(cls: Any, problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """The mistakes without the keys that are missing since another is a misspelling of them."""
    meant = set()
    for problem in problems:
        if problem["type"] in _UNKNOWN:
            *place, name = problem["loc"]
            allowed = _allowed(_type_at(cls, place[1:]))
            meant |= {(*place, near) for near in _nearest(str(name), allowed)}
    return [
        problem
        for problem in problems
        if problem["type"] != "missing" or problem["loc"] not in meant
    ]


def _adapter(cls: type[Settings]) -> TypeAdapter[dict[str, Settings]]:
    # In a dict, because a dataclass alone takes no configuration from outside.
    return TypeAdapter(dict[str, cls], config=_STRICT)  # type: ignore[valid-type]


def _plain(value: Any, where: str, count: list[int]) -> Any:
    """The value as JSON: strict pydantic takes a dataclass from JSON, and from nothing else."""
    count[0] += 1
    if count[0] > MOST_VALUES:
        raise SettingsError(
            [
                f"{where.rstrip(':')}: more than {MOST_VALUES:,} values once every alias is "
                "written out; use fewer aliases"
            ]
        )
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, where, count) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner, where, count) for inner in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _problem(cls: Any, error: ErrorDetails, where: str) -> str:
    """One line about one mistake."""
    kind, (_, *keys) = error["type"], error["loc"]
    if kind == "value_error":
        return f"{_place(where, keys)}: {error['ctx']['error']}"
    if kind == "missing":
        expected = _NAMES.get(_type_at(cls, keys), "given")
        why = f"key '{keys[-1]}' is missing; it must be {expected}"
        return f"{_place(where, keys[:-1])}: {why}"
    if kind in _UNKNOWN:
        allowed = _allowed(_type_at(cls, keys[:-1]))
        why = f"unknown key '{keys[-1]}'; {suggest(str(keys[-1]), allowed)}"
        return f"{_place(where, keys[:-1])}: {why}"
    context = error.get("ctx", {})
    if kind == "literal_error":
        context = {"expected": context["expected"].replace("'", "").replace(" or ", ", ")}
    expected = _EXPECTED.get(kind, error["msg"]).format(**context)
    return f"{_place(where, keys)}: {expected}, found {_found(error['input'])}"


def _place(where: str, keys: Sequence[str | int]) -> str:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    if where.endswith(":"):
        return f"{where} {path[1:]}" if path else where.rstrip(":")
    return where + path


def _type_at(kind: Any, keys: Sequence[str | int]) -> Any:
    """The type that is expected at a place below a type."""
    inner = get_args(kind)
    if get_origin(kind) is Annotated:
        return _type_at(inner[0], keys)
    if get_origin(kind) in (Union, UnionType):
        return _type_at(next(choice for choice in inner if choice is not type(None)), keys)
    if not keys:
        return kind
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return _type_at(hints[str(keys[0])], keys[1:])
    return _type_at(inner[0] if get_origin(kind) is tuple else inner[1], keys[1:])


def _allowed(cls: Any) -> list[str]:
    hints = get_type_hints(cls, include_extras=True)
    return [item.name for item in fields(cls) if NO_KEY not in get_args(hints[item.name])]


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return _NAMES[type(value)]
    name = _NAMES[type(value)]
    return f"{name}: {value!r}" if isinstance(value, str) else f"{name}: {value}"


def _first_lines(error: Exception) -> str:
    return " ".join(" ".join(str(error).split()).split("To suppress")[0].split())

"""Page of docs/: every key of a source file, generated from the dataclasses that read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..features.churn_definition import ChurnDefinition
from ..models.offers import Offer
from .settings.experiments import Experiment, Retention
from .settings.sources import Campaigns, Source, TableQuery
from .settings.yaml_dataclasses import NO_KEY

SECTIONS = {
    "The file": (Source, "Keys at the top of `sources/<name>.yaml`."),
    "Queries": (
        TableQuery,
        "One for each table under `tables:`, each view under `views:`, and `campaigns.responses`.",
    ),
    "churn": (ChurnDefinition, "When a customer counts as lost."),
    "experiment": (Experiment, "What lost customers were offered at random, and what it cost."),
    "retention": (
        Retention,
        "What active customers were offered at random, and what it cost "
        "([who stays](retention.md)).",
    ),
    "offers": (
        Offer,
        "Under `experiment.offers` and `retention.offers`, by name; the control is not listed.",
    ),
    "campaigns": (Campaigns, "Where the campaigns lie, and what came of them."),
}
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def source_reference() -> str:
    """The page, as markdown."""
    parts = [
        "# Every key of a source file",
        "",
        "A data set is one file in `sources/`. [Your own data](own_data.md) shows how to write "
        "one, [the contract](contract.md) which columns the tables have. An unknown key is an "
        "error that names the nearest one. Keys marked as needed must be there.",
    ]
    for title, (cls, what) in SECTIONS.items():
        parts += ["", f"## {title}", "", what, "", "| key | type | default | meaning |"]
        parts += ["|---|---|---|---|", *_rows(cls)]
    return "\n".join(parts) + "\n"


def _rows(cls: Any) -> Iterator[str]:
    hints = get_type_hints(cls, include_extras=True)
    meanings = attribute_meanings(cls.__doc__ or "")
    for item in fields(cls):
        if NO_KEY in get_args(hints[item.name]):
            continue
        cells = (f"`{item.name}`", _type(hints[item.name]), _default(item), meanings[item.name])
        yield f"| {' | '.join(cells)} |"


def attribute_meanings(docstring: str) -> dict[str, str]:
    """Texts of the section Attributes of a numpydoc docstring, by name."""
    section = re.search(r"Attributes\n +-+\n(.*?)(?:\n\n +\w+\n +-+\n|\Z)", docstring, re.DOTALL)
    meanings = {}
    for names, text in re.findall(
        r"^    (\w[\w, ]*)\n((?:        .*(?:\n|$))+)", section[1] if section else "", re.MULTILINE
    ):
        for name in names.split(", "):
            meanings[name] = " ".join(text.split())
    return meanings


def _type(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _type(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in inner if part is not type(None))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is not None and len(inner) == 2:
        return f"{_type(inner[1])}, by name"
    titles = {cls: title for title, (cls, _) in SECTIONS.items()}
    if hint in titles:
        return f"[{titles[hint]}](#{titles[hint].lower()})"
    return {**WORDS, Any: "anything"}.get(hint) or {
        "Path": "path",
        "Address": "address",
        "datetime": "date or time",
    }.get(hint.__name__, hint.__name__)


def _default(item: Field[Any]) -> str:
    if item.default is MISSING and item.default_factory is MISSING:
        return "needed"
    value = item.default_factory() if item.default_factory is not MISSING else item.default
    if value is None or value == "" or (isinstance(value, dict | tuple) and not value):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"

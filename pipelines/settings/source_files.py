"""The file of a source: read with its variables put in, and a digest of what it says."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any

from .sources import Source, TableQuery
from .yaml_dataclasses import SettingsError, from_mapping, read_yaml

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def load_source(
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Source:
    """Read a source file.

    Parameters
    ----------
    path
        `sources/<name>.yaml`.
    overrides
        Parameters of the simulated world that replace those of the file, such as its scale;
        without effect on a source that has tables.
    environment
        For `${VARIABLE}` and `${VARIABLE:-default}` in queries and uris; default: that of the
        process.

    Raises
    ------
    SettingsError
        Listing every unknown, missing or mistyped key with its place, and unset variables.
    """
    variables = os.environ if environment is None else environment
    source = replace(from_mapping(Source, read_yaml(path), f"{path}:"), path=path)
    if source.simulate is not None:
        return replace(source, simulate={**source.simulate, **(overrides or {})})
    problems: list[str] = []

    def expanded(part: str, queries: Mapping[str, TableQuery]) -> dict[str, TableQuery]:
        return {
            name: _expanded(table, variables, f"{path}: {part}.{name}", problems)
            for name, table in queries.items()
        }

    views, tables = expanded("views", source.views), expanded("tables", source.tables)
    campaigns = source.campaigns
    if campaigns:
        folder = campaigns.folder
        if isinstance(folder, Path):
            folder = Path(_from_root(str(folder), variables.get("DVC_ROOT")))
        answered = {"responses": campaigns.responses} if campaigns.responses else {}
        campaigns = replace(campaigns, folder=folder, **expanded("campaigns", answered))
    if problems:
        raise SettingsError(problems)
    return replace(source, views=views, tables=tables, campaigns=campaigns)


def made_from(source: Source, *settings: Any) -> str:
    """A digest of what a source says of its data, and of the settings used beside it.

    Stages write it into their manifests, so that others can tell whether what stands there is of
    this source. Titles, passwords and where the files lie do not count.
    """
    described = asdict(source)
    for name in ("title", "about", "where_to_get", "currency", "path", "views", "tables"):
        del described[name]
    if source.campaigns:
        described["campaigns"] = str(source.campaigns.folder)
    queries = {name: _as_written(table) for name, table in source.queries.items()}
    body = json.dumps([described, queries, settings], default=_plain)
    return hashlib.sha256(body.encode()).hexdigest()


def _as_written(table: TableQuery) -> str:
    """The query with the names of its variables in the place of their values."""
    query = table.query
    for value, name in sorted(table.variables, reverse=True):
        query = query.replace(value.replace("'", "''"), f"${{{name}}}") if value else query
    return query


def _plain(value: Any) -> Any:
    return vars(value) if is_dataclass(value) else str(value)


def _expanded(
    table: TableQuery, environment: Mapping[str, str], where: str, problems: list[str]
) -> TableQuery:
    """The query and uri with their variables put in."""
    used: dict[str, str] = {}

    def value_of(match: re.Match[str]) -> str:
        variable, default = match[1], match[2]
        value = environment.get(variable) or default
        if value is None:
            problems.append(f"{where}: environment variable {variable} is not set; set it")
            return ""
        if not table.uri:
            value = _from_root(value, environment.get("DVC_ROOT"))
        used[value] = variable
        return value

    uri = _VARIABLE.sub(value_of, table.uri) if table.uri else None
    query = _VARIABLE.sub(lambda match: value_of(match).replace("'", "''"), table.query)
    # Without the final semicolon, so that the query can stand in brackets.
    bare = query.strip().rstrip(";").rstrip()
    return replace(table, query=bare, uri=uri, variables=tuple(used.items()))


def _from_root(value: str, root: str | None) -> str:
    """A relative path as it is, or below DVC_ROOT where only that exists (temporary copies)."""
    if root and not Path(value).is_absolute() and not Path(value).exists():
        below = Path(root) / value
        return str(below) if below.exists() else value
    return value

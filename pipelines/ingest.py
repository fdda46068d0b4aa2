"""Stage ingest: raw data become the checked and sorted tables of the contract."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ..features.churn_definition import ChurnDefinition
from ..features.contract.as_text import numbers_as_text
from ..features.contract.checks import require
from ..features.contract.contract import TABLES, Kind
from ..features.contract.unit_shift import profile, shifts
from ..features.contract.violation import ContractError
from ..features.silence import silence_before
from .job.progress import say, step
from .settings import moments
from .settings.raw_files import require_raw_files
from .settings.source_files import made_from
from .settings.sources import RESPONSES, Source, SourceError
from .settings.yaml_dataclasses import from_mapping
from .storage.atomic import MANIFEST, StoreError, parse_manifest, replace_folder
from .tables.campaign_log import add_campaigns
from .tables.csv_dates import refuse_guessed_dates
from .tables.database import open_databases, run
from .tables.engine import WHOLE_TYPES, open_duckdb, quoted_name, quoted_text

_SPILL = "spill"
_ROW = "_winback_row"  # beside the columns of a table while it is checked
_STORED: dict[Kind, str] = {
    "time": "{}::timestamp",
    "money": "round({}, 2)::decimal(18, 2)",
    "number": "{}::double",
    "probability": "{}::double",
    "whole": "{}::bigint",
    "text": "{}::varchar",
    "flag": "{}::boolean",
}
_TIMES = {
    "DATE", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
}  # fmt: skip
_ZONED_NS = "TIMESTAMPTZ_NS"  # of pandas; DuckDB knows no cast from it to a plain timestamp


def ingest(
    source: Source,
    out: Path,
    *,
    truth: Path,
    memory_limit: str = "2GB",
    threads: int = 1,
    seed: int = 0,
) -> dict[str, int]:
    """Read or simulate the tables of a source, check them, and store them.

    Parameters
    ----------
    source
        What to read.
    out
        Folder of the tables, `<table>.parquet` each, with a manifest. The manifest keeps a profile:
        amounts in another unit, or times in another zone, than in the last run are refused. Remove
        it to accept them. Its `warnings` are what the data make doubtful, a sentence each.
    truth
        Folder for what only a simulation knows: `customers.parquet` (what lost customers would do
        under each offer) and `active.parquet` (true churn probabilities); empty for real data.
    memory_limit, threads
        For DuckDB, which spills beside `out` when the memory does not suffice.
    seed
        For a simulated source.

    Returns
    -------
    dict
        Rows by table.

    Raises
    ------
    SourceError
        If raw data cannot be read.
    ContractError
        If a table breaks the contract. Then nothing is written and what stood stays.
    """
    with replace_folder(out) as new:
        spill = new.path / _SPILL
        spill.mkdir()
        with closing(open_duckdb(memory_limit, threads, spill=spill)) as connection:
            with step(f"{'reading' if source.tables else 'simulating'} {source.title}"):
                known_only_here = _load(source, connection, seed)
                add_campaigns(source, connection)
            _close_to_the_world(connection, new.path)
            names = _tables(connection)
            tables = {name: connection.table(quoted_name(name)) for name in names}
            numbered = {name: _numbered(connection, name) for name in names}
            with step("checking the tables against the contract"):
                check_tables(source, numbered, row=_ROW)
                facts = profile(tables)
                warnings = look_for_doubts(source, tables)
                if source.simulate is None:
                    _refuse_shifts(facts, out, source.name)
            with step("writing the tables"):
                rows = {
                    name: _write(connection, name, new.path / f"{name}.parquet") for name in tables
                }
        shutil.rmtree(spill)
        new.extra.update(
            source=source.name,
            as_of=str(source.as_of) if source.as_of else None,
            profile=facts,
            made_from=made_from(source, seed),
            warnings=warnings,
        )
    with replace_folder(truth) as new:
        for name, frame in known_only_here.items():
            frame.to_parquet(new.path / f"{name}.parquet", index=False, compression="zstd")
    for told in warnings:
        say(f"warning: {told}")
    return rows


def _numbered(connection: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
    """A table with the position of each row in the result of its query, from 1, as `_ROW`."""
    columns = {column.lower() for column, *_ in _columns(connection, name)}
    # The engine's own numbers cost nothing, but a column of that name hides them.
    position = "row_number() over ()" if "rowid" in columns else "rowid + 1"
    return connection.sql(f"select *, {position} as {_ROW} from {quoted_name(name)}")


def check_tables(source: Source, tables: Mapping[str, Any], *, row: str = "") -> None:
    """Refuse tables that break the contract.

    Parameters
    ----------
    tables
        Frames of any engine by name.
    row
        A column with the position of each row, for messages.

    Raises
    ------
    ContractError
        With everything that is wrong.
    """
    require(
        tables,
        as_of=source.as_of or moments.now(),
        offers=source.offer_names,
        known_afterwards=source.known_afterwards,
        label=source.churn.column if source.churn else None,
        row=row,
    )


def look_for_doubts(source: Source, tables: Mapping[str, Any]) -> list[str]:
    """What tables that keep the contract make doubtful, a sentence each with its cure.

    Purchases may end long before `as_of`, and attributes may be numbers that came as text.

    Parameters
    ----------
    tables
        Frames of any engine by name.

    Raises
    ------
    ContractError
        If the last purchase is so long ago that every customer would count as lost.
    """
    silence = silence_before(
        tables, as_of=source.as_of, definition=source.churn or ChurnDefinition()
    )
    if silence is not None and source.churn is not None and silence.violations:
        raise ContractError(silence.violations)
    told = [str(silence)] if silence else []
    if "attributes" in tables:
        known = (*source.allowed, *source.protected)
        told += numbers_as_text(tables["attributes"], known=known)
    return told


def _load(source: Source, connection: duckdb.DuckDBPyConnection, seed: int) -> dict[str, Any]:
    """Fill the engine with the raw tables; what a simulation made is returned as well."""
    if source.simulate is not None:
        return _simulate(source, connection, seed)
    require_raw_files(source)
    for name, view in source.views.items():
        query = f"create view {quoted_name(name)} as {view.query}"
        _execute(connection, query, f"{source.path}: views.{name}")
    refuse_guessed_dates(source, connection)
    with open_databases(source) as cursors:
        for name, table in source.queries.items():
            where = f"{source.path}: {name if name == RESPONSES else f'tables.{name}'}"
            if name in source.views:
                continue
            if table.uri:
                cursor = cursors[table.uri]
                run(cursor, table.query, uri=table.uri, where=where)
                reader = cursor.fetch_record_batch()
                connection.register("incoming", reader)
                _create(connection, name, "select * from incoming", _numerics(reader.schema), where)
                connection.unregister("incoming")
            else:
                _create(connection, name, table.query, (), where)
    return {}


def _simulate(source: Source, connection: duckdb.DuckDBPyConnection, seed: int) -> dict[str, Any]:
    # Imported here: real data need neither SciPy nor the simulator.
    from ..models.simulation.simulate import simulate
    from ..models.simulation.world import World

    ahead = {"churn_horizon_days": source.churn.horizon_days} if source.churn else {}
    world = from_mapping(World, {**(source.simulate or {}), **ahead}, f"{source.path}: simulate")
    simulated = simulate(world, seed=seed)
    for name, frame in simulated.tables.items():
        connection.register("incoming", frame)
        _create(connection, name, "select * from incoming", (), f"{source.path}: simulate")
        connection.unregister("incoming")
    known = {"customers": simulated.truth, "active": simulated.active}
    if simulated.retention is not None:
        known["retention"] = simulated.retention
    return known


def _create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    query: str,
    numerics: Collection[str],
    where: str,
) -> None:
    """Materialize a query; dates and times become naive UTC, blank text is missing.

    Other types stay as delivered.
    """
    columns = [
        f"{_plain(column, kind, column in numerics)} as {quoted_name(column)}"
        for column, kind, *_ in _execute(connection, f"describe {query}", where)
    ]
    chosen = ", ".join(columns)
    # On a line of its own, the bracket cannot end up in a comment at the end of the query.
    query = f"create table {quoted_name(name)} as select {chosen} from (\n{query}\n)"
    _execute(connection, query, where)


def _execute(connection: duckdb.DuckDBPyConnection, query: str, where: str) -> list[Any]:
    try:
        return connection.execute(query).fetchall()
    except duckdb.Error as error:
        text = " ".join(str(error).split())
        raise SourceError(
            f"{where}: the query failed: {text}; correct it in the source (DuckDB SQL)"
        ) from None


def _plain(column: str, kind: str, is_numeric: bool) -> str:
    """SQL for a column of a query in the type in which it is checked."""
    name = quoted_name(column)
    if is_numeric:
        return f"{name}::double"
    if kind == _ZONED_NS:
        return f"{name}::timestamptz::timestamp"
    if kind in _TIMES:
        return f"{name}::timestamp"
    if kind == "UUID" or kind.startswith("ENUM"):
        name = f"{name}::varchar"
    elif kind != "VARCHAR":
        return name
    return f"case when regexp_matches({name}, '\\S') then {name} end"


def _numerics(schema: pa.Schema) -> set[str]:
    """Columns that a database calls numeric; they arrive as text, marked by their type's name."""
    return {
        field.name for field in schema if "numeric" in str(getattr(field.type, "type_name", ""))
    }


def _close_to_the_world(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """From here on the engine reaches no file but those in the new folder."""
    connection.execute(f"set allowed_directories = [{quoted_text(f'{folder.resolve()}/')}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _refuse_shifts(facts: Mapping[str, Any], out: Path, name: str) -> None:
    """Compare with the profile in the accepted tables of the same source, if there are any."""
    file = out / MANIFEST
    if not file.is_file():
        return
    try:
        accepted = parse_manifest(file.read_bytes(), file)
    except StoreError as error:
        raise StoreError(
            f"{file}: was changed or damaged, and says no more what the last data were like; "
            "remove it, to accept these without comparing them"
        ) from error
    violations = (
        shifts(facts, accepted.get("profile", {})) if accepted.get("source") == name else []
    )
    if violations:
        raise ContractError(violations)


def _write(connection: duckdb.DuckDBPyConnection, name: str, file: Path) -> int:
    """Store a table in the types of the contract, sorted: equal input gives equal bytes."""
    table = TABLES[name]
    columns = {column: kind for column, kind, *_ in _columns(connection, name)}
    chosen = [
        f"{_stored(name, column, kind)} as {quoted_name(column)}"
        for column, kind in columns.items()
    ]
    order = [column for column in table.sort if column in columns]
    if not table.key:
        order += [column for column in columns if column not in order]
    (rows,) = _execute(
        connection,
        f"copy (select {', '.join(chosen)} from {quoted_name(name)} "
        f"order by {', '.join(map(quoted_name, order))}) "
        f"to {quoted_text(str(file.resolve()))} (format parquet, compression zstd)",
        name,
    )
    return int(rows[0])


def _stored(table: str, name: str, kind: str) -> str:
    """SQL for a column in the type in which it is stored."""
    column = TABLES[table].column(name)
    quoted = quoted_name(name)
    if column is not None and column.kind != "id":
        return _STORED[column.kind].format(quoted)
    if kind in WHOLE_TYPES:
        return f"{quoted}::bigint"
    if kind == "FLOAT" or kind.startswith("DECIMAL"):
        return f"{quoted}::double"
    return quoted


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    present = {
        name for (name,) in connection.execute("from duckdb_tables() select table_name").fetchall()
    }
    return [name for name in TABLES if name in present]


def _columns(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"describe {quoted_name(name)}").fetchall()

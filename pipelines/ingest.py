"""Stage 1: raw data, wherever they lie, become the tables of the contract, checked and sorted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ..features.checks import ContractError, require
from ..features.contract import TABLES, Kind
from ..features.shift import profile, shifts
from .database import open_database, run
from .settings import from_mapping
from .sources import Source, SourceError, raw_files, require_raw_files
from .store import MANIFEST, replace_file, replace_folder

_SPILL = "spill"
# Independent of the order of rows; 64 bits a row, summed exactly.
_CONTENT_HASH = (
    "select count(*)::text, sum(hashtextextended(t::text, 0)::numeric)::text from ({query}) t"
)
_STORED: dict[Kind, str] = {
    "time": "{}::timestamp",
    "money": "round({}, 2)::decimal(18, 2)",
    "number": "{}::double",
    "probability": "{}::double",
    "whole": "{}::bigint",
    "text": "{}::varchar",
    "flag": "{}::boolean",
}
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_WHOLE_TYPES = {*_WHOLE, *(f"U{name}" for name in _WHOLE)}
_TIMES = {
    "DATE", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
}  # fmt: skip


def ingest(
    source: Source,
    out: Path,
    *,
    truth: Path,
    memory_limit: str = "2GB",
    threads: int = 1,
    seed: int = 0,
    accept_shift: bool = False,
) -> dict[str, int]:
    """Read or simulate the tables of a source, check them, and store them.

    Parameters
    ----------
    source
        What to read.
    out
        Folder of the tables, `<table>.parquet` each, with a manifest.
    truth
        Folder for what only a simulation knows; empty for real data.
    memory_limit, threads
        For DuckDB, which spills beside `out` when the memory does not suffice.
    seed
        For a simulated source.
    accept_shift
        Accept amounts in another unit, or times in another zone, than in the last accepted run.

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
        with _engine(memory_limit, threads, spill) as connection:
            known_only_here = _load(source, connection, seed)
            _close_to_the_world(connection, new.path)
            tables = {name: connection.table(_quoted(name)) for name in _tables(connection)}
            experiment = source.experiment
            require(
                tables,
                as_of=source.as_of or datetime.now(UTC).replace(tzinfo=None),
                offers=experiment.offer_names if experiment else None,
                known_afterwards=source.known_afterwards,
            )
            facts = profile(tables)
            if source.simulate is None and not accept_shift:
                _refuse_shifts(facts, out, source.name)
            for name in tables:
                _write(connection, name, new.path / f"{name}.parquet")
            rows = {name: _count(connection, name) for name in tables}
        shutil.rmtree(spill)
        as_of = str(source.as_of) if source.as_of else None
        new.extra.update(source=source.name, as_of=as_of, profile=facts)
    with replace_folder(truth) as new:
        for name, frame in known_only_here.items():
            frame.to_parquet(new.path / f"{name}.parquet", index=False, compression="zstd")
    return rows


def fingerprint(source: Source, *, cache: Path | None = None) -> str:
    """A hash that changes when, and only when, the raw data of a source change.

    Files are hashed by content; with `cache`, a file whose size and time of change stand there is
    not read again. A table in a database is hashed by the database, or by `version_query`.

    Raises
    ------
    SourceError
        If a file is missing or a database refuses.
    """
    require_raw_files(source)
    digest = hashlib.sha256(source.name.encode())
    known = _read_hashes(cache)
    hashes: dict[str, list[Any]] = {}
    for files in raw_files(source):
        digest.update(files.table.encode())
        for path in files.found():
            stat, key = path.stat(), str(path.resolve())
            seen = known.get(key)
            if seen is None or seen[:2] != [stat.st_size, stat.st_mtime_ns]:
                with path.open("rb") as handle:
                    content = hashlib.file_digest(handle, "sha256").hexdigest()
                seen = [stat.st_size, stat.st_mtime_ns, content]
            hashes[key] = seen
            digest.update(f"{path.name} {seen[2]}".encode())
    if cache is not None and hashes != known:
        replace_file(cache, json.dumps(hashes, indent=1, sort_keys=True).encode())
    with _databases(source) as cursors:
        for name, table in source.tables.items():
            if table.uri:
                query = table.version_query or _CONTENT_HASH.format(query=_bare(table.query))
                where = f"{source.path}: tables.{name}"
                cursor = cursors[table.uri]
                run(cursor, query, uri=table.uri, where=where)
                digest.update(f"{name} {cursor.fetchall()}".encode())
    return digest.hexdigest()


def _load(source: Source, connection: duckdb.DuckDBPyConnection, seed: int) -> dict[str, Any]:
    """Fill the engine with the raw tables; what a simulation made is returned as well."""
    if source.simulate is not None:
        return _simulate(source, connection, seed)
    require_raw_files(source)
    for name, view in source.views.items():
        query = f"create view {_quoted(name)} as {_bare(view.query)}"
        _execute(connection, query, f"{source.path}: views.{name}")
    with _databases(source) as cursors:
        for name, table in source.tables.items():
            where = f"{source.path}: tables.{name}"
            if table.uri:
                cursor = cursors[table.uri]
                run(cursor, _bare(table.query), uri=table.uri, where=where)
                reader = cursor.fetch_record_batch()
                connection.register("incoming", reader)
                _create(connection, name, "select * from incoming", _numerics(reader.schema), where)
                connection.unregister("incoming")
            else:
                _create(connection, name, _bare(table.query), (), where)
    return {}


def _simulate(source: Source, connection: duckdb.DuckDBPyConnection, seed: int) -> dict[str, Any]:
    # Imported here: real data need neither SciPy nor the simulator.
    from ..models.simulate import simulate
    from ..models.world import World

    world = from_mapping(World, source.simulate or {}, f"{source.path}: simulate")
    simulated = simulate(world, seed=seed)
    for name, frame in simulated.tables.items():
        connection.register("incoming", frame)
        _create(connection, name, "select * from incoming", (), f"{source.path}: simulate")
        connection.unregister("incoming")
    return {"customers": simulated.truth}


def _create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    query: str,
    numerics: Collection[str],
    where: str,
) -> None:
    """Materialize a query; dates and times become naive UTC, other types stay as delivered."""
    columns = [
        f"{_quoted(column)}::{_plain_type(kind, column in numerics)} as {_quoted(column)}"
        for column, kind, *_ in _execute(connection, f"describe {query}", where)
    ]
    chosen = ", ".join(columns)
    _execute(connection, f"create table {_quoted(name)} as select {chosen} from ({query})", where)


def _execute(connection: duckdb.DuckDBPyConnection, query: str, where: str) -> list[Any]:
    try:
        return connection.execute(query).fetchall()
    except duckdb.Error as error:
        text = " ".join(str(error).split())
        raise SourceError(
            f"{where}: the query failed: {text}; correct it in the source (DuckDB SQL)"
        ) from None


def _plain_type(kind: str, is_numeric: bool) -> str:
    if is_numeric:
        return "double"
    if kind in _TIMES:
        return "timestamp"
    return "varchar" if kind == "UUID" or kind.startswith("ENUM") else kind


def _numerics(schema: pa.Schema) -> set[str]:
    """Columns that a database calls numeric; they arrive as text, marked by their type's name."""
    return {
        field.name for field in schema if "numeric" in str(getattr(field.type, "type_name", ""))
    }


@contextmanager
def _engine(memory_limit: str, threads: int, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
        }
    )
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def _close_to_the_world(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """From here on the engine reaches no file but those in the new folder."""
    connection.execute(f"set allowed_directories = [{_text(f'{folder}/')}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


@contextmanager
def _databases(source: Source) -> Iterator[dict[str, Any]]:
    """One open cursor for each database of a source."""
    with ExitStack() as stack:
        yield {
            uri: stack.enter_context(open_database(uri, f"{source.path}: tables.{name}"))
            for uri, name in {t.uri: n for n, t in source.tables.items() if t.uri}.items()
        }


def _refuse_shifts(facts: Mapping[str, Any], out: Path, name: str) -> None:
    """Compare with the profile in the accepted tables of the same source, if there are any."""
    file = out / MANIFEST
    if not file.is_file():
        return
    accepted = json.loads(file.read_bytes())
    found = shifts(facts, accepted["profile"]) if accepted.get("source") == name else []
    if found:
        raise ContractError(found)


def _write(connection: duckdb.DuckDBPyConnection, name: str, file: Path) -> None:
    """Store a table in the types of the contract, sorted so that equal input gives equal bytes."""
    table = TABLES[name]
    columns = {column: kind for column, kind, *_ in _columns(connection, name)}
    chosen = [f"{_stored(name, each, kind)} as {_quoted(each)}" for each, kind in columns.items()]
    order = [column for column in table.sort if column in columns]
    if not table.key:
        order += [column for column in columns if column not in order]
    connection.execute(
        f"copy (select {', '.join(chosen)} from {_quoted(name)} "
        f"order by {', '.join(map(_quoted, order))}) "
        f"to {_text(str(file))} (format parquet, compression zstd)"
    )


def _stored(table: str, name: str, kind: str) -> str:
    """SQL for a column in the type in which it is stored."""
    column = TABLES[table].column(name)
    quoted = _quoted(name)
    if column is not None and column.kind != "id":
        return _STORED[column.kind].format(quoted)
    if kind in _WHOLE_TYPES:
        return f"{quoted}::bigint"
    if kind == "FLOAT" or kind.startswith("DECIMAL"):
        return f"{quoted}::double"
    return quoted


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    found = {
        name for (name,) in connection.execute("from duckdb_tables() select table_name").fetchall()
    }
    return [name for name in TABLES if name in found]


def _columns(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"describe {_quoted(name)}").fetchall()


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"select count(*) from {_quoted(name)}").fetchone()
    return int(row[0]) if row else 0


def _read_hashes(cache: Path | None) -> dict[str, list[Any]]:
    if cache is None or not cache.is_file():
        return {}
    return dict(json.loads(cache.read_bytes()))


def _bare(query: str) -> str:
    """A query without its final semicolon, so that it can stand in brackets."""
    return query.strip().rstrip(";").rstrip()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"

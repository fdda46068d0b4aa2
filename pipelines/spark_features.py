"""Features on Spark: the code of the local engine, in each range of customers.

What has to be known of all customers first (the columns of attributes, the kinds of activity, the
last event) is asked by the functions of the local engine, of Spark's frames. Then each range is a
task, whose parts wait in a folder beside the output: a killed job goes on with the ranges that are
missing. In the end one task for each table writes its parts in order as the file that local
`featurize` writes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from ..features.newest_event import EVENT_TIMES
from ..features.sensitivity import rates
from .featurize import (
    SENSITIVITY,
    Setting,
    churn_counts,
    describe,
    last_offer,
    left_out,
    median_lapse,
    offers_made,
    offers_of,
    setting_of,
    write_churn,
    write_leavers,
    write_retention,
    write_today,
    write_winback,
)
from .ingest import check_tables
from .job.lock import only_one
from .job.progress import step
from .settings.moments import seconds
from .settings.params import Featurize, Machine
from .settings.source_files import made_from
from .settings.sources import Source
from .storage.atomic import StoreError
from .storage.places import PREFIX, Address, Place, replace_folder, told, waiting
from .storage.shared_files import below, listing, opened, remove, sha256, stamp, stamps
from .storage.stage_inputs import write_inputs
from .tables import frames
from .tables.customer_ranges import ROWS_PER_RANGE, features_writer
from .tables.engine import open_duckdb
from .tables.frames import ROWS_PER_GROUP
from .tables.on_spark import SharedTable, bounds_of, each, session, shared_table, spark_frame
from .tables.range_parts import RangeParts

COUNTS = ("customers_at_start", "lost", "paid")
OWNERS = {"referrals": ("referrer_id", "referred_id")}


@dataclass(frozen=True)
class OnSpark:
    """Tables of events that executors can read, and what they say of all customers.

    Attributes
    ----------
    tables
        By name.
    inputs
        SHA-256 of each file by its name.
    digest
        Of all of them: that of their manifest, where there is one.
    setting
        What every part needs (`featurize.Setting`), without tables.
    machine
        How much of theirs the tasks may use.
    """

    tables: dict[str, SharedTable]
    inputs: dict[str, str]
    digest: str
    setting: Setting
    machine: Machine


def open_on_spark(
    spark: Any, source: Source, params: Featurize, machine: Machine, folder: Place
) -> OnSpark:
    """Tables of a folder, compared with its manifest, or with the contract where it has none.

    A table is a file `<table>.parquet`, or a folder of that name with Parquet files.

    Raises
    ------
    StoreError
        If a file is not what the manifest says.
    ContractError
        If there is no manifest, and tables break the contract.
    """
    found = listing(folder)
    files: dict[str, list[Place]] = {}
    for name, file in found.files.items():
        files.setdefault(PurePosixPath(name).parts[0].removesuffix(".parquet"), []).append(file)
    tables = {
        name: shared_table(parts, owners=OWNERS.get(name, ("customer_id",)))
        for name, parts in files.items()
    }
    with step("checking the tables on Spark"):
        hashes = each(spark, [*found.files.values()], sha256)
        inputs = dict(zip(found.files, hashes, strict=True))
        if found.manifest is None:
            check_tables(source, {name: spark_frame(spark, tables[name]) for name in tables})
        else:
            _compare(found.manifest, inputs, folder)
    known = found.manifest or {"as_of": source.as_of}
    all_hashes = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    def seen(name: str, *columns: str) -> nw.LazyFrame:
        return frames.canonical(name, spark_frame(spark, tables[name], columns))

    def last_event() -> int:
        times = {
            name: [time for time in columns if time in tables[name].schema.names]
            for name, columns in EVENT_TIMES.items()
            if name in tables
        }
        return frames.last_event({name: seen(name, *times[name]) for name in times if times[name]})

    looked_at = {
        name: seen(name, *columns)
        for name, columns in {"attributes": (), "activity": ("kind",)}.items()
        if name in tables
    }
    with closing(open_duckdb(machine.memory_limit, 1, spill=None)) as connection:
        empty = {name: table.schema.empty_table() for name, table in tables.items()}
        setting = setting_of(
            source,
            params,
            connection,
            frames.open_arrow(connection, empty),
            now=seconds(known["as_of"]) if known.get("as_of") else last_event(),
            seen=looked_at,
        )
    setting = replace(setting, connection=None, tables={})
    return OnSpark(tables, inputs, known.get("digest", all_hashes), setting, machine)


@contextmanager
def range_setting(given: OnSpark, rows: Mapping[str, pa.Table]) -> Iterator[Setting]:
    """The setting of one range of customers, on a DuckDB of this process."""
    with ExitStack() as stack:
        spill = stack.enter_context(tempfile.TemporaryDirectory())
        connection = open_duckdb(given.machine.memory_limit, 1, spill=Path(spill))
        stack.enter_context(closing(connection))
        tables = frames.open_arrow(connection, {name: rows[name] for name in given.tables})
        yield replace(given.setting, connection=connection, tables=tables)


def featurize_on_spark(
    source: Source, params: Featurize, machine: Machine, *, tables: Place, out: Place
) -> None:
    """What `featurize.featurize` writes, computed on Spark.

    Raises
    ------
    StoreError, ContractError
        See `open_on_spark`; the output stays as it was.
    """
    with only_one(waiting(out) if isinstance(out, Address) else out), session(machine.threads) as s:
        seen = stamps(tables)
        given = open_on_spark(s, source, params, machine, tables)
        skipped = left_out(source, given.tables, offers=_offers(s, given))
        key = made_from(source, params, given.digest, version("winback"))[:16]
        bounds = bounds_of(s, given.tables["customers"], _each(params))
        job = RangeParts(s, given.tables, bounds, work_place(out, key))

        def features(rows: dict[str, pa.Table], folder: Path) -> Any:
            with range_setting(given, rows) as setting:
                return _parts(source, params, setting, folder, skipped)

        def leavers(rows: dict[str, pa.Table], folder: Path) -> None:
            assert source.experiment is not None
            with range_setting(given, rows) as setting:
                file = folder / "leavers.parquet"
                write_leavers(source.experiment, setting, file, lapse=lapse, last=last)

        with step(f"features of {job.count} ranges of customers on Spark"):
            counts = [note["said"] for note in job.build("features", features)]
        made = ("churn", "winback", *(["retention"] if source.retention else []), "current")
        parts = [name for name in made if name not in skipped]
        if "winback" not in skipped:
            with step("features of leavers who were in no experiment"):
                (lapse,) = each(s, [job.files("winback")], _median)
                if lapse is not None:
                    last = _last(s, source, given)
                    job.build("leavers", leavers)
                    parts.append("leavers")
        if stamps(tables) != seen:
            raise ValueError(f"{tables}: changed while features were made; start again")
        prefix = f"{PREFIX}{uuid.uuid4().hex}"
        with step("writing the features"), replace_folder(out, prefix) as new:
            whole = below(out, prefix) if isinstance(out, Address) else new.path
            files = [(job.files(part), below(whole, f"{part}.parquet")) for part in parts]
            for (_, target), facts in zip(files, each(s, files, _merge), strict=True):
                if isinstance(target, Address):
                    new.written[PurePosixPath(target.path).name] = facts
            if "churn" not in skipped and given.setting.definition.dated:
                _sensitivity(source, params, given, counts, new.path / SENSITIVITY)
            with closing(open_duckdb(machine.memory_limit, 1, spill=None)) as connection:
                empty = {name: table.schema.empty_table() for name, table in given.tables.items()}
                setting = replace(given.setting, tables=frames.open_arrow(connection, empty))
                describe(new, source, params, setting, skipped, tables=given.digest)
            write_inputs(new.path, new.written)
        remove(job.work)


def work_place(out: Place, key: str) -> Place:
    """Where the parts of a job wait until they are published: beside the output."""
    if isinstance(out, Address):
        return below(out, f"{PREFIX}work-{key}")
    out = out.resolve()
    return out.with_name(f".{out.name}.work-{key}")


def _parts(
    source: Source, params: Featurize, setting: Setting, folder: Path, skipped: Mapping[str, str]
) -> list[list[int]]:
    """Write the tables of one range; its counts for the sensitivity."""
    counts: list[list[int]] = []
    if "churn" not in skipped:
        write_churn(source, params, setting, folder / "churn.parquet")
        if setting.definition.dated:
            rows = _counts(churn_counts(source, params, setting))
            counts = [rows[name].to_pylist() for name in COUNTS]
    if source.experiment is not None and "winback" not in skipped:
        write_winback(source.experiment, setting, folder / "winback.parquet")
    if source.retention is not None and "retention" not in skipped:
        write_retention(source, setting, folder / "retention.parquet")
    write_today(setting, setting.now, folder / "current.parquet")
    return counts


def _counts(frame: nw.LazyFrame) -> pa.Table:
    return frame.sort("definition").collect(backend="pyarrow").to_native()


def _sensitivity(
    source: Source, params: Featurize, given: OnSpark, ranges: Sequence[Any], path: Path
) -> None:
    """Write the table of `features.sensitivity` from the counts of all ranges."""
    none = {name: table.schema.empty_table() for name, table in given.tables.items()}
    with range_setting(given, none) as setting:
        rows = _counts(churn_counts(source, params, setting))
        for position, name in enumerate(COUNTS):
            each_range = (counts[position] for counts in ranges)
            sums = [sum(column) for column in zip(*each_range, strict=True)]
            place = rows.column_names.index(name)
            rows = rows.set_column(place, rows.schema.field(name), pa.array(sums, pa.int64()))
        setting.connection.register("counts", rows)
        frame = nw.from_native(setting.connection.table("counts"))
        frames.write(rates(frame), path, sort_by=("definition",))


def _merge(given: tuple[Sequence[Place], Place]) -> dict[str, Any]:
    """Write the parts of all ranges in order as one file; what a manifest says of it."""
    parts, target = given
    rows = 0
    with ExitStack() as stack:
        if isinstance(target, Address):
            store = stack.enter_context(told(target))
            sink = stack.enter_context(store.open_output_stream(target.path))
        else:
            sink = target
        writer = None
        for part in parts:
            with opened(part) as handle:
                reader = pq.ParquetFile(handle)
                if writer is None:
                    writer = stack.enter_context(features_writer(sink, reader.schema_arrow))
                for group in range(reader.num_row_groups):
                    table = reader.read_row_group(group, use_threads=False)
                    writer.write_table(table, row_group_size=ROWS_PER_GROUP)
                    rows += len(table)
    return {"bytes": stamp(target)[0], "sha256": sha256(target), "rows": rows}


def _median(files: Sequence[Place]) -> int | None:
    def one_by_one() -> Iterator[Any]:
        for file in files:
            with opened(file) as handle:
                yield handle

    return median_lapse(one_by_one())


def _last(spark: Any, source: Source, given: OnSpark) -> int:
    assert source.experiment is not None
    offers = spark_frame(spark, given.tables["offers"], ["offered_at", "offer"])
    seen = {"offers": frames.canonical("offers", offers)}
    return last_offer(offers_of(source.experiment, seen)["offers"])


def _offers(spark: Any, given: OnSpark) -> set[str]:
    if "offers" not in given.tables:
        return set()
    offers = spark_frame(spark, given.tables["offers"], ["offer"])
    return offers_made(frames.canonical("offers", offers))


def _each(params: Featurize) -> int:
    return max(1, ROWS_PER_RANGE // params.snapshots)


def _compare(manifest: Mapping[str, Any], found: Mapping[str, str], folder: Place) -> None:
    known = {PurePosixPath(name).name: facts for name, facts in manifest["files"].items()}
    for name, digest in found.items():
        if known[PurePosixPath(name).name]["sha256"] != digest:
            raise StoreError(f"{folder}: {name} was changed or damaged, run the stage again")

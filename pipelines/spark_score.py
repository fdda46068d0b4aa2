"""`winback score --engine spark`: each range of customers is a task that answers and writes a part.

The customers are rows of features, or tables of events from which each task computes its features
with the code of the local engine. Who objected and how customers drifted are joined and counted in
the same tasks; to the driver come counts. Parts wait beside the output, or in the object store it
is in, so that a killed job goes on with the ranges that are missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..models.formula.answers import input_columns
from .featurize import write_today
from .job.lock import only_one
from .job.progress import say, step
from .registry.opened_model import Opened
from .score import (
    Job,
    check_job,
    check_out,
    clear_work,
    finish,
    named_facts,
    opened_for,
    publish,
    published_before,
    read_list,
    to_table,
    undisturbed,
    work_folder,
)
from .scoring import drift
from .scoring import input_rows as batch
from .scoring.parts import Task, answered, columns_read, write_parquet
from .scoring.postgres_table import check_table
from .scoring.suppressions import Suppressions, check_kinds
from .settings import moments
from .settings.params import Featurize, Machine
from .settings.source_files import made_from
from .settings.sources import Source
from .spark_features import OnSpark, open_on_spark, range_setting
from .storage.places import PREFIX, Address, Place, replace_folder
from .storage.shared_files import below, listing, sha256, stamps, stands
from .tables.on_spark import SharedTable, bounds_of, each, read_group, session, shared_table
from .tables.range_parts import RangeParts

FEATURES, OBJECTORS, PART = "features", "objectors", "part"


@dataclass(frozen=True)
class Customers:
    """Whom to score.

    Attributes
    ----------
    tables
        What is dealt out to the ranges, by name.
    first
        The table that says who there is.
    facts
        What the manifest says of them.
    as_of
        The moment to score (naive UTC).
    given
        The tables of events, None where features are given.
    """

    tables: dict[str, SharedTable]
    first: str
    facts: dict[str, Any]
    as_of: datetime
    given: OnSpark | None = None


@dataclass(frozen=True)
class _Plan:
    """What every task needs."""

    task: Task
    opened: Opened
    listed: str | None
    given: OnSpark | None
    place: str


def score_on_spark(
    job: Job, meaning: tuple[Source, Featurize, Machine] | None = None
) -> dict[str, Any]:
    """Score, publish, and return the manifest of what was published.

    Parameters
    ----------
    meaning
        Given where `job.features` is a folder of tables of events: what they mean, the settings
        with which the model's features were made, and how much a task may use.

    Raises
    ------
    ValueError
        If the rows, the tables or the output folder are unusable.
    DriftBeyondLimit, SuppressionsUnusable, LockHeld, ModelRefused
        See `job.exit_codes`; the output stays as it was.
    """
    check_job(job)
    if isinstance(job.out, Path):
        job = replace(job, out=job.out.resolve())
    if isinstance(job.suppressions, Path):  # executors have a working folder of their own
        job = replace(job, suppressions=job.suppressions.absolute())
    with only_one(job.here), session(job.threads) as spark:
        check_out(job)
        if job.table is not None:
            check_table(job.table, job.uri)
        seen = stamps(job.features, nested=meaning is not None)
        opened = opened_for(job)
        if meaning is None:
            customers = _of_features(spark, job, opened)
        else:
            customers = _of_events(spark, job, meaning)
        more = {"engine": "spark", **customers.facts}
        facts = named_facts(job, opened, customers.as_of, more)
        listed = _list_hash(spark, job, customers.as_of)
        while True:
            facts["suppressions"] = listed
            if done := published_before(job, facts):
                return done
            work = _work_place(job, facts["job"], listed)
            notes = _answer_ranges(spark, job, opened, customers, listed, work)
            latest = _list_hash(spark, job, customers.as_of)
            if latest == listed:
                break
            listed = latest  # somebody objected meanwhile: their parts are answered anew
        if stamps(job.features, nested=meaning is not None) != seen:
            clear_work(job.here)
            raise ValueError(f"{job.features}: changed while it was scored; start again")
        counts = drift.added(note["said"]["drift"] for note in notes)
        facts["drift"] = drift.distance(opened, counts, limit=job.drift_limit)
        _publish(job, notes, facts, customers.as_of, work)
        clear_work(job.here)
        to_table(job, facts["as_of"])
    return stands(job.out)


def _of_features(spark: Any, job: Job, opened: Opened) -> Customers:
    """Rows of features, one for each customer."""
    columns = input_columns(opened.answers)
    found = listing(job.features, nested=False)
    table = shared_table([*found.files.values()], columns={*batch.KEYS, *columns})
    batch.check_schema(table.schema, columns, job.features)
    if not table.rows:
        raise ValueError(f"{job.features}: there are no rows to score")
    hashes = each(spark, [*found.files.values()], sha256)
    facts = {"inputs": dict(zip(found.files, hashes, strict=True))}
    as_of = job.as_of or _moment(spark, table) or moments.now()
    return Customers({FEATURES: table}, FEATURES, facts, as_of)


def _of_events(spark: Any, job: Job, meaning: tuple[Source, Featurize, Machine]) -> Customers:
    """Tables of events, whose features are made on the way."""
    source, params, machine = meaning
    given = open_on_spark(spark, source, params, machine, job.features)
    now = moments.from_seconds(given.setting.now)
    facts = {"inputs": given.inputs, "made_from": made_from(source, params, given.digest)}
    return Customers(given.tables, "customers", facts, job.as_of or now, given)


def _moment(spark: Any, table: SharedTable) -> datetime | None:
    """The one moment of all rows, None where they say none."""
    if "as_of" not in table.schema.names:
        return None

    def moments_of(number: int) -> list[datetime]:
        when = batch.moments_of(read_group(table, number, ["as_of"]))
        return list(pc.unique(pc.drop_null(when)).to_pylist()[:2])

    found = each(spark, range(len(table.groups)), moments_of)
    return batch.one_moment({moment for some in found for moment in some})


def _list_hash(spark: Any, job: Job, as_of: datetime) -> str | None:
    """The SHA-256 of the list of objectors, once a task has seen that it can be relied on."""

    def look(job: Job) -> str | None:
        listed = read_list(job, as_of)
        return listed.sha256 if listed else None

    (found,) = each(spark, [replace(job, uri="", table=None)], look)  # no secret to executors
    return found


def _work_place(job: Job, name: str, listed: str | None) -> Place:
    """Where parts wait; in a store, which cannot rename, they are published where they lie."""
    if isinstance(job.out, Address):
        return below(job.out, f"{PREFIX}{name}-{(listed or 'all')[:16]}")
    return work_folder(job.here, name)


def _answer_ranges(
    spark: Any,
    job: Job,
    opened: Opened,
    customers: Customers,
    listed: str | None,
    work: Place,
) -> list[dict[str, Any]]:
    """Answer and write all ranges that are not finished; the notes of all, in order."""
    tables = dict(customers.tables)
    first = tables[customers.first]
    if job.suppressions is not None:
        files = [*listing(job.suppressions, nested=False).files.values()]
        objectors = shared_table(files, columns=("customer_id",))
        if objectors.rows:
            known = first.schema.field("customer_id").type
            check_kinds(objectors.schema.field("customer_id").type, known)
            tables[OBJECTORS] = objectors
    parts = RangeParts(spark, tables, bounds_of(spark, first, job.part_rows), work)
    task = Task(opened.answers, opened.version, customers.as_of, None)
    plan = _Plan(task, opened, listed, customers.given, place=str(job.features))
    with step(f"scoring {first.rows:,} customers with {opened.version} on Spark"):
        return parts.build(
            PART, lambda rows, folder: _answer(plan, rows, folder), suppressions=listed
        )


def _answer(plan: _Plan, rows: dict[str, pa.Table], folder: Path) -> dict[str, Any]:
    """Answer one range and write its part; what there is to say of its customers."""
    task = replace(plan.task, listed=_listed(plan, rows))
    columns = input_columns(task.answers)
    with tempfile.TemporaryDirectory() as beside:
        file = Path(beside) / "customers.parquet"
        if plan.given is None:
            pq.write_table(rows[FEATURES], file)
        else:
            with range_setting(plan.given, rows) as setting:
                write_today(setting, moments.seconds(task.as_of), file)
        batch.check_schema(pq.read_schema(file), columns, plan.place)
        survey = batch.Survey(0, task.as_of, 0)
        if pq.read_metadata(file).num_rows:
            survey = batch.survey([file], as_of=task.as_of, now=task.as_of)
        names = columns_read(task, pq.read_schema(file).names)
        chunks = list(batch.chunks([file], names)) or [pq.read_table(file, columns=names)]
    answers = pa.concat_tables([answered(chunk, task) for chunk in chunks])
    with (folder / f"{PART}.parquet").open("wb") as handle:
        write_parquet(answers, handle)
    return {
        "rows": len(answers),
        "rows_in": survey.rows,
        "elsewhere": survey.elsewhere,
        "drift": drift.added(drift.counts(plan.opened, chunk) for chunk in chunks),
    }


def _listed(plan: _Plan, rows: dict[str, pa.Table]) -> Suppressions | None:
    """Those of a range who objected."""
    if plan.listed is None:
        return None
    found = rows.pop(OBJECTORS, None)
    ids = pa.array([], pa.string()) if found is None else found["customer_id"].combine_chunks()
    return Suppressions(ids, plan.listed)


def _publish(
    job: Job,
    notes: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    as_of: datetime,
    work: Place,
) -> None:
    rows, rows_in, elsewhere = (
        sum(note["said"][name] for note in notes) for name in ("rows", "rows_in", "elsewhere")
    )
    survey = batch.Survey(rows_in, as_of, elsewhere)
    if not rows_in:
        raise ValueError(f"{job.features}: there are no rows to score")
    listed = facts["suppressions"]
    names = [f"{PART}-{number:05d}.parquet" for number in range(len(notes))]
    if isinstance(work, Path):
        latest = Suppressions(pa.array([], pa.string()), listed) if listed else None
        with undisturbed(job.here, work):
            publish(job, [work / name for name in names], facts, survey, latest)
        return
    with replace_folder(job.out, work.path.rpartition("/")[2]) as new:
        finish(new, facts, survey, rows, listed)
        for name, note in zip(names, notes, strict=True):
            new.written[name] = {**note["files"][PART], "rows": note["said"]["rows"]}
    say(f"{rows:,} of {rows_in:,} customers in {job.out}")

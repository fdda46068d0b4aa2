"""Protected columns of the attributes, as last known: read for reports, never for a model.

What the list says is counted by their groups, a part of the customers at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...models.evaluation.fairness import MOST_GROUPS, bands_of, counted, groups_of
from ..job.progress import say
from ..settings.params import Machine
from ..settings.sources import Source
from .engine import open_duckdb, quoted_name
from .list_parts import list_parts, listed_columns, moment_of
from .parts import beside, parts_of

LATEST = """
copy (
    select customer_id, {columns} from read_parquet($file, file_row_number = true)
    where {known} and customer_id in (select customer_id from read_parquet($listed))
    qualify row_number() over (partition by customer_id order by {order} file_row_number desc) = 1
    order by customer_id
) to $out (format parquet)
"""


def count_protected(
    source: Source, tables: Path, recommendations: Path, machine: Machine, scratch: Path
) -> dict[str, pd.DataFrame]:
    """`fairness.counted` of the list by group of each protected column that there is.

    A column with too many values is no group but an id; it is said to be left out.

    Parameters
    ----------
    recommendations
        The list.
    machine, scratch
        Limits of DuckDB, which sorts the columns, and a folder for them.
    """
    known = latest_protected(
        tables,
        source.protected,
        recommendations,
        machine=machine,
        scratch=scratch,
    )
    if known is None:
        return {}
    experiments = [one for one in (source.experiment, source.retention_experiment) if one]
    asked, control = ["churn_probability"], source.experiment.control if source.experiment else ""
    if experiments:  # else nobody is a candidate for an offer
        asked += ["recommended_offer", "expected_incremental_profit"]
        asked += [f"uplift_{offer}" for one in experiments for offer in one.offers]
    no_offer = {one.control: control for one in experiments}
    asked = [name for name in asked if name in listed_columns(recommendations)]
    names = [name for name in pq.read_schema(known).names if name != "customer_id"]
    bands = {name: bands_of(_numbers(known, name)) for name in names}
    counts: dict[str, pd.DataFrame] = {}
    today = parts_of(known, ["customer_id", *names])
    for customers, facts in beside(list_parts(recommendations, asked), today):
        if experiments:
            customers["recommended_offer"] = customers["recommended_offer"].replace(no_offer)
        for name in list(bands):
            groups = counted(customers, groups_of(facts[name], bands[name]), control=control)
            before = [counts[name]] if name in counts else []
            counts[name] = pd.concat([*before, groups]).groupby(level="group").sum()
            if len(counts[name]) > MOST_GROUPS:
                say(f"{name}: has too many values for groups; it is left out of fairness")
                del counts[name], bands[name]
    return counts


def latest_protected(
    tables: Path, names: Sequence[str], recommendations: Path, *, machine: Machine, scratch: Path
) -> Path | None:
    """A file of the protected columns that there are, in the order of the ids; None without any.

    Of each customer of the list it has the latest row known by the moment of the list.

    Parameters
    ----------
    tables
        Folder of the tables.
    names
        The columns under `protected:` of the source.
    recommendations
        The list.
    machine
        Limits of DuckDB, which sorts.
    scratch
        Folder of the file.
    """
    file = tables / "attributes.parquet"
    present = pq.read_schema(file).names if names and file.is_file() else []
    found = [name for name in names if name in present]
    if not found:
        return None
    dated, as_of = "known_at" in present, moment_of(recommendations)
    schema = pq.read_schema(file)
    query = LATEST.format(
        columns=", ".join(_selected(schema.field(name)) for name in found),
        known=f"(known_at is null or known_at <= timestamp '{as_of}')" if dated else "true",
        order="known_at desc nulls last," if dated else "",
    )
    out = scratch / "protected.parquet"
    with open_duckdb(machine.memory_limit, machine.threads, spill=scratch) as connection:
        files = {"file": file, "listed": recommendations, "out": out}
        connection.execute(query, {name: str(path) for name, path in files.items()})
    return out


def _selected(field: pa.Field) -> str:
    """A column in SQL; days as moments, which are cut into groups."""
    name = quoted_name(field.name)
    return f"{name}::timestamp as {name}" if pa.types.is_date(field.type) else name


def _numbers(known: Path, name: str) -> pd.Series:
    """A column of all customers if it holds numbers or dates, else nothing."""
    kind = pq.read_schema(known).field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind)):
        return pd.Series(dtype="str")
    return pd.read_parquet(known, columns=[name])[name]

"""Drift of the customers to be scored from those of the registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from ...models.evaluation import drift
from ...models.formula.answers import input_columns
from ..job.exit_codes import DriftBeyondLimit
from ..registry.opened_model import Opened, populations
from . import input_rows as batch

Counts: TypeAlias = Mapping[str, drift.Counts]
NOT_CHECKED = {"level": "not checked", "why": "the model carries no reference"}


def distance_from_registration(
    opened: Opened, files: Sequence[Path], *, rows: int, limit: float
) -> dict[str, Any]:
    """The feature with the largest drift, and its population.

    Raises
    ------
    DriftBeyondLimit
        If it lies farther away than `limit`.
    """
    if opened.reference is None:
        return NOT_CHECKED
    columns = input_columns(opened.answers)
    keys = [name for name in ("population",) if name in pq.read_schema(files[0]).names]
    sample = batch.sample(files, [*columns, *(k for k in keys if k not in columns)], rows=rows)
    return distance(opened, counts(opened, sample), limit=limit)


def counts(opened: Opened, rows: pa.Table) -> Counts:
    """The rows of customers by population, feature and bin; those of several tables add up."""
    if opened.reference is None:
        return {}
    columns = input_columns(opened.answers)
    today = batch.typed(rows, columns)
    texts = today.select_dtypes("category").columns
    today = today.astype(dict.fromkeys(texts, "str"))
    groups, reference_groups = populations(today), populations(opened.reference)
    return {
        label: drift.counted(
            drift.bins_of(opened.reference.loc[reference_groups == label, list(columns)]),
            today[groups == label],
        )
        for label in sorted(set(groups.unique()) & set(reference_groups.unique()))
    }


def added(parts: Iterable[Counts]) -> Counts:
    """The counts of all rows, from those of their parts."""
    sums: dict[str, drift.Counts] = {}
    for part in parts:
        for label, found in part.items():
            sums[label] = drift.added([sums.get(label, {}), found])
    return {label: sums[label] for label in sorted(sums)}


def distance(opened: Opened, counts: Counts, *, limit: float) -> dict[str, Any]:
    """As `distance_from_registration` says, from counts.

    Raises
    ------
    DriftBeyondLimit
        As there.
    """
    if opened.reference is None:
        return NOT_CHECKED
    groups = populations(opened.reference)
    worst: dict[str, Any] = {"level": "ok", "distance": 0.0}
    for label, counted_there in counts.items():
        before = opened.reference.loc[groups == label, list(counted_there)]
        first = drift.distances(before, counted_there).iloc[0]
        if first["distance"] > worst["distance"]:
            worst = {
                "level": str(first["level"]),
                "distance": round(float(first["distance"]), 6),
                "feature": str(first["feature"]),
                "population": label,
            }
    if worst["distance"] > limit:
        raise DriftBeyondLimit(
            f"drift of {worst['feature']} among the {worst['population']} is "
            f"{worst['distance']:.2f}, the limit {limit:g}: these are not the customers "
            "the model was registered for; look at the feature, train anew, or raise --drift-limit"
        )
    return worst

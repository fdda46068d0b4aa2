"""Drift of the customers to be scored from those of the registration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ...models.evaluation.drift import drift
from ...models.formula.answers import input_columns
from ..job.exit_codes import DriftBeyondLimit
from ..registry.opened_model import Opened, populations
from . import input_rows as batch


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
        return {"level": "not checked", "why": "the model carries no reference"}
    columns = input_columns(opened.answers)
    keys = [name for name in ("population",) if name in pq.read_schema(files[0]).names]
    sample = batch.sample(files, [*columns, *(k for k in keys if k not in columns)], rows=rows)
    today = batch.typed(sample, columns)
    texts = today.select_dtypes("category").columns
    today = today.astype(dict.fromkeys(texts, "str"))
    groups, reference_groups = populations(today), populations(opened.reference)
    worst: dict[str, Any] = {"level": "ok", "distance": 0.0}
    for label in sorted(set(groups.unique()) & set(reference_groups.unique())):
        before = opened.reference.loc[reference_groups == label, list(columns)]
        table = drift(before, today[groups == label])
        first = table.iloc[0]
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

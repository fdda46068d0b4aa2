"""`winback monitor`: what past scoring jobs said, beside what came of it since.

For every published folder of scores: how many customers it scored, how far they had drifted, and,
once the label of its moment is certain in the tables of today, how many customers were expected to
leave and how many left. Replayed or delayed tables change what is told; nothing is written to the
folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..features.churn_definition import ChurnDefinition
from ..features.snapshots import churn_snapshots
from ..features.windows import DAY
from ..models.evaluation.probability import grade_probabilities
from ..models.intervals import wilson_interval
from .job.result import Result
from .settings.moments import seconds
from .settings.params import Machine
from .settings.sources import Source
from .storage.atomic import MANIFEST, replace_file, verify
from .tables.standing_tables import standing_tables

LEVEL = 0.95  # of the interval of the share that left


def monitor(
    source: Source, machine: Machine, *, tables: Path, scores: Sequence[Path], out: Path
) -> Result:
    """Grade every folder of scores, the oldest first, and keep the table.

    Parameters
    ----------
    scores
        Published folders, or folders that hold some.
    out
        CSV file, replaced.

    Raises
    ------
    ValueError
        If no folder of scores is found, or the source does not say when a customer is lost.
    """
    if source.churn is None or source.churn.kind == "label":
        raise ValueError(
            f"{source.path}: does not say when a customer is lost, so nobody knows who left since; "
            "add churn: with a kind that knows dates"
        )
    folders = [folder for place in scores for folder in _published(place)]
    if not folders:
        raise ValueError(
            f"{', '.join(map(str, scores))}: no published scores there; name folders that "
            "winback score wrote"
        )
    with standing_tables(tables, machine, beside=out) as (_, opened, now):
        graded = [_graded(folder, opened, source.churn, now) for folder in folders]
    table = pd.DataFrame(graded).sort_values(["as_of", "scores"], ignore_index=True)
    replace_file(out, table.to_csv(index=False).encode())
    return Result(_text(table), {"out": out, "jobs": table.to_dict("records")})


def _published(place: Path) -> list[Path]:
    if (place / MANIFEST).is_file():
        return [place]
    return sorted(file.parent for file in place.glob(f"[!.]*/{MANIFEST}"))


def _graded(
    folder: Path, tables: Mapping[str, nw.LazyFrame], definition: ChurnDefinition, now: int
) -> dict[str, Any]:
    """One job: what it said, and what came of it if that is certain."""
    manifest = verify(folder)
    if "rows_out" not in manifest:
        raise ValueError(f"{folder}: holds no scores; name folders that winback score wrote")
    moment = datetime.fromisoformat(manifest["as_of"])
    row: dict[str, Any] = {
        "scores": folder.name,
        "as_of": f"{moment:%Y-%m-%d}",
        "model": manifest["model"]["version"],
        "customers": manifest["rows_out"],
        "drift": manifest["drift"].get("distance"),
        "certain": seconds(moment) + definition.maturity_days * DAY <= now,
    }
    if not row["certain"]:
        return row
    parts = sorted(folder.glob("part-*.parquet"))
    if "churn_probability" not in pq.read_schema(parts[0]).names:
        return row
    said = pd.concat(
        [pd.read_parquet(part, columns=["customer_id", "churn_probability"]) for part in parts],
        ignore_index=True,
    )
    labels = churn_snapshots(tables, dates=(seconds(moment),), definition=definition, now=now)
    known = labels.select("customer_id", "churned").collect().to_pandas()
    judged = said.dropna().merge(known, on="customer_id")
    return row | _grades(judged["churned"].to_numpy(), judged["churn_probability"].to_numpy())


def _grades(left: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    """Expected and observed churn; a ranking only where some left and some stayed."""
    if not len(left):
        return {"judged": 0}
    low, high = wilson_interval(left.mean(), len(left), level=LEVEL)
    found = {
        "judged": len(left),
        "expected": float(chance.mean()),
        "left": float(left.mean()),
        "left_lo": float(low),
        "left_hi": float(high),
    }
    if 0 < left.sum() < len(left):
        grades = grade_probabilities(left, chance, metrics=("auc", "ece"))
        found |= {"auc": grades["auc"], "calibration_error": grades["ece"]}
    return found


def _text(table: pd.DataFrame) -> str:
    lines = []
    for row in table.to_dict("records"):
        drift = f", drift {row['drift']:.2f}" if pd.notna(row["drift"]) else ""
        lines.append(
            f"{row['scores']}: {row['customers']:,} customers as of {row['as_of']} by "
            f"{row['model']}{drift}"
        )
        if not row["certain"]:
            lines.append("  who leaves is not certain yet")
        elif pd.notna(row.get("expected", np.nan)):
            close = row["left_lo"] <= row["expected"] <= row["left_hi"]
            lines.append(
                f"  {row['left']:.1%} left ({row['left_lo']:.1%} to {row['left_hi']:.1%}), "
                f"{row['expected']:.1%} were expected to: "
                f"{'as forecast' if close else 'not as forecast'}"
                + (f"; AUC {row['auc']:.3f}" if pd.notna(row.get("auc", np.nan)) else "")
            )
        else:
            lines.append("  nobody of them can be judged")
    return "\n".join(lines)

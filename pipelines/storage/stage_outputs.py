"""Reading the results of earlier stages: features, models, and why a part is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from ...models.formula.formula import Formula, to_files
from .atomic import verify

OFFERS_FILE = "offers.json"  # of train_winback: what the experiment says of its offers
LEAVERS = "leavers.parquet"  # who was in no experiment; with the answers, once fitted


def why_skipped(folder: Path, part: str) -> str:
    """Why an earlier stage left a part out; empty if it is there."""
    skipped: dict[str, str] = verify(folder).get("skipped", {})
    return skipped.get(part, "")


def feature_names(folder: Path, frame: pd.DataFrame) -> list[str]:
    """Columns of a frame of data/features that are features, by its data dictionary."""
    names = [entry["name"] for entry in read_dictionary(folder)]
    return [name for name in names if name in frame.columns]


def training_rows(features: Path, part: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows of a training set in the order of their keys, and which columns are features."""
    rows = pd.read_parquet(features / f"{part}.parquet")
    keys = [name for name in ("customer_id", "as_of", "offer") if name in rows.columns]
    rows = rows.sort_values(keys, kind="stable", ignore_index=True)
    return rows, feature_names(features, rows)


def read_dictionary(folder: Path) -> list[dict[str, str]]:
    """The data dictionary: name, family, unit and meaning of each feature."""
    entries: list[dict[str, str]] = json.loads((folder / "dictionary.json").read_text())
    return entries


def write_formula(folder: Path, formula: Formula) -> None:
    """Save a fitted model as JSON and booster text."""
    for name, body in to_files(formula).items():
        (folder / name).write_bytes(body)

"""Reading the results of earlier stages: features, models, and why a part is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from ...models.formula.formula import Formula, to_files
from .atomic import StoreError, verify

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


def read_json(file: Path, kind: type) -> Any:
    """A JSON document of an earlier stage that is an object (dict) or a list.

    Raises
    ------
    StoreError
        If it is missing, damaged or something else.
    """
    cure = "run `winback run` to write it anew"
    if not file.is_file():
        raise StoreError(f"{file}: not found; {cure}")
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{file}: not valid JSON ({error}); {cure}") from error
    if not isinstance(document, kind):
        raise StoreError(f"{file}: must be a JSON {kind.__name__}; {cure}")
    return document


def read_dictionary(folder: Path) -> list[dict[str, str]]:
    """The data dictionary: name, family, unit and meaning of each feature."""
    entries: list[dict[str, str]] = read_json(folder / "dictionary.json", list)
    return entries


def read_meanings(folder: Path) -> dict[str, str]:
    """Meaning of each feature in the data dictionary, by name."""
    return {entry["name"]: entry["meaning"] for entry in read_dictionary(folder)}


def write_formula(folder: Path, formula: Formula) -> None:
    """Save a fitted model as JSON and booster text."""
    for name, body in to_files(formula).items():
        (folder / name).write_bytes(body)

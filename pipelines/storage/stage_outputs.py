"""Reading the results of earlier stages: features, models, and why a part is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...models.formula.formula import Formula, to_files
from .atomic import StoreError, verify

LISTED = {  # what later stages read of the list of recommendations, beside the forecasts
    "as_of": (pa.types.is_timestamp, "a timestamp"),
    "recommended_offer": (pa.types.is_string, "text"),
    "holdout": (pa.types.is_boolean, "true or false"),
    "reasons": (pa.types.is_string, "text"),
    "model_version": (pa.types.is_string, "text"),
    "expected_incremental_profit": (pa.types.is_floating, "a number"),
}
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


def read_recommendations(file: Path, *, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """The list that stage recommend wrote; it is one file without a manifest, so its form is read.

    Parameters
    ----------
    file
        The list.
    without
        Columns that are not needed, by the beginnings of their names: they are not read.

    Raises
    ------
    StoreError
        If it is missing, damaged, empty, lacks a column, or holds another type or an infinite
        number.
    """
    cure = "run `winback run` to write it anew"
    if not file.is_file():
        raise StoreError(f"{file}: not found; {cure}")
    try:
        schema = pq.read_schema(file)
        kept = [name for name in schema.names if not name.startswith(without)]
        table = pq.read_table(file, columns=kept)
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise StoreError(f"{file}: not a readable parquet file ({why}); {cure}") from error
    if not len(table):
        raise StoreError(f"{file}: has no rows; {cure}")
    for name in ("customer_id", *LISTED):
        if name not in schema.names:
            raise StoreError(f"{file}: column '{name}' is missing; {cure}")
    for name, (fits, kind) in LISTED.items():
        found = schema.field(name).type
        if not fits(pa.string() if pa.types.is_large_string(found) else found):
            raise StoreError(f"{file}: column '{name}' must be {kind}, found {found}; {cure}")
    # Column by column: each leaves Arrow's memory when it is in that of pandas.
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    del table
    for name in ("customer_id", "as_of", "holdout", "model_version"):
        if name in frame and frame[name].isna().any():
            raise StoreError(f"{file}: column '{name}' must not be empty; {cure}")
    if frame["customer_id"].duplicated().any():
        raise StoreError(f"{file}: customers stand there twice; {cure}")
    for column, values in frame.select_dtypes("float").items():
        if np.isinf(values).any():
            raise StoreError(f"{file}: column '{column}' must be finite, found infinity; {cure}")
    return frame


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
    entries: list[dict[str, str]] = json.loads((folder / "dictionary.json").read_text())
    return entries


def write_formula(folder: Path, formula: Formula) -> None:
    """Save a fitted model as JSON and booster text."""
    for name, body in to_files(formula).items():
        (folder / name).write_bytes(body)

"""Forecasts for today's customers, part by part, with what decides on them; kept on disk.

A decision looks at all customers more than once, and forecasts are the dear part of it. So they are
made once, and only a part of them is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...models.decision.learn import fact_columns
from ...models.formula.answers import Answers, forecasts, input_columns
from ..tables.parts import PART_ROWS
from . import input_rows as batch
from .suppressions import Suppressions, refuse_everybody


@dataclass(frozen=True)
class ForecastParts:
    """Parts of today's customers on disk: iterated over, the rows and the forecasts of each.

    Attributes
    ----------
    files
        One per part, in the order of the customers.
    outputs
        Columns that are forecasts.
    objected
        (rows of the features,) bool: who is in no part.
    """

    files: tuple[Path, ...]
    outputs: tuple[str, ...]
    objected: np.ndarray

    def __iter__(self) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        for file in self.files:
            rows = pd.read_parquet(file)
            yield rows.drop(columns=list(self.outputs)), rows[list(self.outputs)]


def forecast_parts(
    models: Answers,
    current: Path,
    listed: Suppressions | None,
    *,
    kinds: tuple[str, str],
    threads: int,
    out: Path,
) -> ForecastParts:
    """Answer a file of features, and keep forecasts, keys and what a decision asks for.

    Parameters
    ----------
    listed
        Who is left out; None where nobody can object.
    kinds
        Columns that tell of which kind a customer is, see `evidence.KindsTested`: a text and a
        number, kept where they are there.
    out
        Folder of the parts.

    Raises
    ------
    SuppressionsUnusable
        If nobody is left.
    ValueError
        If a column is missing or of the wrong type.
    """
    there = pq.read_schema(current).names
    asked = _asked(there, kinds)
    columns = asked | input_columns(models)
    batch.check_columns([current], columns)
    keys = [name for name in batch.KEYS if name in there]
    files: list[Path] = []
    hits, outputs = [], pd.DataFrame()
    for chunk in batch.chunks([current], list(dict.fromkeys([*keys, *columns])), rows=PART_ROWS):
        hit = np.zeros(len(chunk), dtype=bool)
        if listed is not None:
            hit = np.asarray(listed.hit(chunk["customer_id"]).to_numpy(), dtype=bool)
        hits.append(hit)
        if hit.all():
            continue
        rows = typed_rows(chunk.filter(pa.array(~hit)), columns)
        outputs = forecasts(models, rows, threads=threads)
        kept = pd.concat([rows[list(dict.fromkeys([*keys, *asked]))], outputs], axis=1)
        files.append(out / f"forecasts-{len(files):05d}.parquet")
        kept.to_parquet(files[-1], index=False, use_dictionary=False)
    objected = np.concatenate(hits)
    refuse_everybody(int(objected.sum()), len(objected))
    return ForecastParts(tuple(files), tuple(outputs.columns), objected)


def typed_rows(chunk: pa.Table, columns: Mapping[str, bool]) -> pd.DataFrame:
    """`input_rows.typed` with the keys."""
    keys = {name: chunk[name].to_pandas() for name in batch.KEYS[:2] if name in chunk.column_names}
    return batch.typed(chunk, columns).assign(**keys)


def _asked(there: list[str], kinds: tuple[str, str]) -> dict[str, bool]:
    """Columns that a decision may read: name -> whether it is a number."""
    facts = fact_columns(there)
    reason, lapse = ([name] if name in there else [] for name in kinds)
    texts = {*facts.pop("reason", ()), *reason}
    numbers = [name for names in facts.values() for name in names] + lapse
    return dict.fromkeys(numbers, True) | dict.fromkeys(sorted(texts), False)

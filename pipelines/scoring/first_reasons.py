"""Why the customers who come first on the list are there: what moves their forecasts most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...features.phrases import category, high_and_low, is_flag, unknown
from ...models.decision.facts import is_of
from ...models.formula.answers import Answers, formula_of, input_columns
from ...models.formula.explain import drivers
from ...models.formula.formula import Formula
from ..tables.list_rows import GAIN, RISK, leading
from ..tables.parts import PART_ROWS
from . import input_rows as batch
from .forecast_parts import typed_rows


@dataclass(frozen=True)
class First:
    """The `count` customers with the largest expected gains, and the active most likely to leave.

    Attributes
    ----------
    count
        Of each.
    gaining, risky
        Their rows of the list.
    """

    count: int
    gaining: pd.DataFrame = field(default_factory=pd.DataFrame)
    risky: pd.DataFrame = field(default_factory=pd.DataFrame)

    def with_part(self, table: pd.DataFrame) -> First:
        """Those of a further part of the list too."""
        gaining = table.loc[table[GAIN] > 0, ["customer_id", "recommended_offer", GAIN]]
        gaining = gaining.dropna(subset="recommended_offer")
        gaining = leading([self.gaining] * bool(len(self.gaining)), gaining, GAIN, self.count)
        risky = self.risky
        if RISK in table.columns:
            rows = table[["customer_id", RISK]].dropna()
            risky = leading([risky] * bool(len(risky)), rows, RISK, self.count)
        return First(self.count, gaining, risky)


def why_first(
    first: First,
    answers: Answers,
    current: Path,
    objected: np.ndarray,
    meanings: Mapping[str, str],
) -> dict[Any, str]:
    """What is said of each customer beside the reason, by id.

    Parameters
    ----------
    current, objected
        The features of today's customers, and (rows,) bool: who is not among them.
    meanings
        Of the features, by name.
    """
    asked = list(_asked(first, answers))
    rows = _rows(current, [one for *_, ids in asked for one in ids], input_columns(answers))
    words = {
        population: _words(current, objected, population, meanings)
        for population in ("active", "lost")
    }
    said: dict[Any, str] = {}
    for formula, output, ids in asked:
        population = "lost" if formula is answers.winback else "active"
        lines = drivers(formula, rows.loc[ids], output, words=words[population])
        said |= {one: f"{said.get(one, '')}; {line}" for one, line in zip(ids, lines, strict=True)}
    return said


def _asked(first: First, answers: Answers) -> Iterator[tuple[Formula, str, list[Any]]]:
    """Formula, output and customers: the effect of their offer, or the risk."""
    if len(first.gaining):
        for offer, rows in first.gaining.groupby("recommended_offer"):
            formula, output = formula_of(answers, f"uplift_{offer}"), f"uplift_{offer}"
            if formula is not None:
                yield formula, output, list(rows["customer_id"])
    if answers.churn is not None and len(first.risky):
        yield answers.churn, RISK, list(first.risky["customer_id"])


def _rows(current: Path, ids: list[Any], columns: Mapping[str, bool]) -> pd.DataFrame:
    """Features of some customers, by id."""
    if not ids:
        return pd.DataFrame()
    wanted = pa.array(ids, pq.read_schema(current).field("customer_id").type)
    found = [
        chunk.filter(pc.is_in(chunk["customer_id"], value_set=wanted))
        for chunk in batch.chunks([current], ["customer_id", *columns], rows=PART_ROWS)
    ]
    rows = typed_rows(pa.concat_tables(found, promote_options="permissive"), columns)
    return rows.set_index("customer_id", drop=False)


def _words(
    current: Path, objected: np.ndarray, population: str, meanings: Mapping[str, str]
) -> Callable[[str, object], str]:
    """Words for a feature and its value: high or low against the median of the population.

    The lost have been silent for long: beside them whoever is active ordered lately.
    """
    schema = pq.read_schema(current)

    @cache
    def compared() -> np.ndarray:
        column = [name for name in ["population"] if name in schema.names]
        return is_of(population, pq.read_table(current, columns=column).to_pandas()) & ~objected

    @cache
    def typical(name: str) -> float:
        values = pq.read_table(current, columns=[name]).column(0).to_pandas()
        return float(values[compared()].median())

    def words(name: str, value: Any) -> str:
        meaning = meanings.get(name, "")
        if pd.isna(value):
            return unknown(name, meaning)
        high, low = high_and_low(name, meaning)
        if is_flag(meaning):
            return high if value else low
        kind = schema.field(name).type
        if name not in meanings or not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            return category(name, value, meaning)
        return high if value > typical(name) else low

    return words

"""A forecast taken apart: what each feature adds to it, for one customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...models.formula.answers import Answers, formula_of
from ...models.formula.explain import contributions

SHOWN = 8  # features of a waterfall by name; the rest is one line


@dataclass(frozen=True)
class Waterfall:
    """A forecast taken apart: `base` plus the parts is the forecast.

    Attributes
    ----------
    output
        Which output of the models.
    parts
        feature, meaning, value (as text), share; the largest shares first, and where there are
        more, a last row for all others.
    """

    output: str
    base: float
    parts: pd.DataFrame
    forecast: float


def take_apart(
    answers: Answers, known: pd.DataFrame, output: str, meanings: Mapping[str, str]
) -> Waterfall:
    """One output for the first row, taken apart.

    Parameters
    ----------
    answers
        The models.
    known
        One row of features.
    output
        Which output.
    meanings
        Words by feature.
    """
    formula = formula_of(answers, output)
    if formula is None:
        raise ValueError(f"{output}: no model that stands answers it; run winback run")
    shares, base = contributions(formula, known, output)
    share = shares.iloc[0]
    share = share.reindex(share.abs().sort_values(ascending=False, kind="stable").index)
    first, rest = share[:SHOWN], share[SHOWN:]
    parts = pd.DataFrame(
        {
            "feature": first.index,
            "meaning": [meanings.get(name, name) for name in first.index],
            "value": [_value(known[name].iloc[0]) if name in known else "" for name in first.index],
            "share": first.to_numpy(float),
        }
    )
    if len(rest):
        others = ("", f"{len(rest)} other features", "", float(rest.sum()))
        parts.loc[len(parts)] = others
    return Waterfall(output, base, parts, base + float(parts["share"].sum()))


def _value(value: Any) -> str:
    if pd.isna(value):
        return "unknown"
    return value if isinstance(value, str) else f"{value:.4g}"

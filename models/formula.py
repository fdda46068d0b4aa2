"""A fitted model as data: a formula over boosters that NumPy and LightGBM alone evaluate.

Every estimator of this package ends as one `Formula`: how raw columns become numbers, a few
LightGBM text models, and a small expression per output. It is what predicts in the estimators,
what is saved (JSON and booster text, never a pickle), what batch scoring runs and what the
registered model carries. This module therefore stands alone: it imports nothing of winback.

Expressions are lists whose first element names the operation:

=================================  ================================================================
``["const", c]``                   the number c for every row
``["ref", name]``                  another named expression of the same formula, evaluated once
``["booster", file, extra]``       raw score of a booster on the encoded columns followed by the
                                   constants in `extra` (the one-hot offer of an S-learner)
``["additive", intercept, terms]``  a sum of piecewise linear functions of single encoded columns:
                                   each term is [column position, xs, ys, value where missing];
                                   a category's xs are its codes
``["sum", [w, e], [w, e], ...]``   weighted sum
``["product", e, e, ...]``         product
``["sigmoid", e]``                 1 / (1 + exp(-e))
``["exp", e]``                     exp(e)
``["interp", xs, ys, e]``          piecewise linear, constant outside: calibration maps
``["clip", lo, hi, e]``            bounded to [lo, hi]
=================================  ================================================================
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

Expression = list[Any]
FORMULA_FILE = "formula.json"


@dataclass(frozen=True)
class Column:
    """One input column; `levels` lists the known values of a category and is None for a number."""

    name: str
    levels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Formula:
    """A fitted model.

    Attributes
    ----------
    columns
        Input columns in the order in which the boosters know them.
    expressions
        Named expressions; see the module docstring. `outputs` are the public ones.
    outputs
        Names in `expressions` that `evaluate` returns, in order.
    boosters
        LightGBM text models by file name.
    """

    columns: tuple[Column, ...]
    expressions: Mapping[str, Expression]
    outputs: tuple[str, ...]
    boosters: Mapping[str, str] = field(default_factory=dict)
    _parsed: dict[str, lgb.Booster] = field(default_factory=dict, repr=False, compare=False)

    def booster(self, file: str) -> lgb.Booster:
        """The booster of that name, parsed once."""
        if file not in self._parsed:
            self._parsed[file] = lgb.Booster(model_str=self.boosters[file])
        return self._parsed[file]


def learn_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Columns of a training frame: numbers and booleans as they are, text as sorted categories."""
    columns = []
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            columns.append(Column(str(name)))
        elif pd.api.types.is_datetime64_any_dtype(values):
            raise ValueError(
                f"features: column '{name}' must be a number or a category, found a timestamp; "
                "turn it into days before a moment"
            )
        else:
            levels = sorted({str(value) for value in values.dropna().unique()})
            columns.append(Column(str(name), tuple(levels)))
    return tuple(columns)


def encode(columns: Sequence[Column], frame: pd.DataFrame) -> np.ndarray:
    """Raw columns as a float64 matrix (rows, columns), by name; missing and unknown are NaN.

    Columns are picked by name whatever their order; extra ones are ignored.

    Raises
    ------
    ValueError
        If a column is missing, or text stands where a number belongs.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        known = {column.name for column in columns}
        extra = [str(name) for name in frame.columns if str(name) not in known]
        raise ValueError(
            f"features: {len(missing)} columns are missing: {', '.join(missing[:8])}; "
            f"columns not asked for: {', '.join(extra[:8]) or 'none'}; rename or rebuild them"
        )
    matrix = np.empty((len(frame), len(columns)), dtype=np.float64)
    for position, column in enumerate(columns):
        values = frame[column.name]
        if column.levels is not None:
            codes = pd.Index(list(column.levels)).get_indexer(pd.Index(values.astype("str")))
            matrix[:, position] = np.where((codes < 0) | values.isna().to_numpy(), np.nan, codes)
            continue
        try:
            matrix[:, position] = values.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"features: column '{column.name}' must be a number, found "
                f"{values.dtype}; cast it before scoring"
            ) from error
    return matrix


def evaluate(formula: Formula, frame: pd.DataFrame, *, threads: int = 1) -> pd.DataFrame:
    """Outputs of a formula, one float64 column each, in the row order of the frame."""
    matrix = encode(formula.columns, frame)
    known: dict[str, np.ndarray] = {}
    values = {
        name: _value(formula, ["ref", name], matrix, known, threads) for name in formula.outputs
    }
    return pd.DataFrame(values, index=frame.index)


def _value(
    formula: Formula,
    expression: Expression,
    matrix: np.ndarray,
    known: dict[str, np.ndarray],
    threads: int,
) -> np.ndarray:
    def value(part: Expression) -> np.ndarray:
        return _value(formula, part, matrix, known, threads)

    match expression:
        case ["const", number]:
            return np.full(len(matrix), float(number))
        case ["ref", name]:
            if name not in known:
                known[name] = value(formula.expressions[name])
            return known[name]
        case ["booster", file, extra]:
            rows = matrix
            if extra:
                constants = np.broadcast_to(np.asarray(extra, float), (len(matrix), len(extra)))
                rows = np.hstack([matrix, constants])
            if not len(rows):
                return np.empty(0)
            raw = formula.booster(file).predict(rows, raw_score=True, num_threads=threads)
            return np.asarray(raw, dtype=np.float64)
        case ["additive", intercept, terms]:
            total = np.full(len(matrix), float(intercept))
            for position, xs, ys, missing in terms:
                values = matrix[:, position]
                total += np.where(np.isnan(values), missing, np.interp(values, xs, ys))
            return total
        case ["sum", *terms]:
            total = np.zeros(len(matrix))
            for weight, part in terms:
                total += float(weight) * value(part)
            return total
        case ["product", *parts]:
            result = np.ones(len(matrix))
            for part in parts:
                result *= value(part)
            return result
        case ["sigmoid", part]:
            return 1.0 / (1.0 + np.exp(-np.clip(value(part), -500.0, 500.0)))
        case ["exp", part]:
            return np.exp(np.clip(value(part), -500.0, 500.0))
        case ["interp", xs, ys, part]:
            return np.interp(value(part), xs, ys)
        case ["clip", low, high, part]:
            return np.clip(value(part), low, high)
    raise ValueError(f"formula: unknown expression {str(expression)[:80]}")


def booster_text(booster: lgb.Booster, *, rounds: int | None = None) -> str:
    """LightGBM text of a booster, the same whatever number of threads grew it.

    `rounds` keeps the first ones only.
    """
    text: str = booster.model_to_string(num_iteration=rounds)
    return re.sub(r"\n\[num_threads: \d+\]", "", text)


def to_files(formula: Formula) -> dict[str, bytes]:
    """The formula as files by name: `formula.json` with the SHA-256 of each booster beside it."""
    boosters = {name: text.encode() for name, text in formula.boosters.items()}
    document = {
        "columns": [
            {"name": column.name, "levels": None if column.levels is None else list(column.levels)}
            for column in formula.columns
        ],
        "expressions": dict(formula.expressions),
        "outputs": list(formula.outputs),
        "sha256": {name: hashlib.sha256(body).hexdigest() for name, body in boosters.items()},
    }
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    return {FORMULA_FILE: text.encode(), **boosters}


def from_files(files: Mapping[str, bytes]) -> Formula:
    """A formula from its files; each booster's SHA-256 is checked before it is parsed.

    Raises
    ------
    ValueError
        If a booster is missing or is not the one that was saved.
    """
    document = json.loads(files[FORMULA_FILE])
    boosters = {}
    for name, expected in document["sha256"].items():
        found = hashlib.sha256(files.get(name, b"")).hexdigest()
        if found != expected:
            raise ValueError(
                f"model file '{name}' has SHA-256 {found[:12]}, expected {expected[:12]}; "
                "it is missing, truncated or changed: restore it or train again"
            )
        boosters[name] = files[name].decode()
    return Formula(
        columns=tuple(
            Column(column["name"], None if column["levels"] is None else tuple(column["levels"]))
            for column in document["columns"]
        ),
        expressions=document["expressions"],
        outputs=tuple(document["outputs"]),
        boosters=boosters,
    )

"""A fitted model as data: a formula over boosters, evaluated with NumPy alone.

Every estimator of this package ends as one `Formula`: how raw columns become numbers, a few
LightGBM text models, and a small expression per output. It is what predicts in the estimators, what
is saved (JSON and booster text, never a pickle), what batch scoring runs and what the registered
model carries. It therefore stands alone: with `tree_tables` and `curve_tables`, which evaluate the
costly operations as tables, it imports nothing of winback.

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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .curve_tables import Curves, add_up, gather
from .tree_tables import Forest, look_up, plant

Expression = list[Any]
FORMULA_FILE = "formula.json"
RETENTION = "retention/"  # folder of a model on active customers, among the files of one on lost
_BLOCK = 4096  # rows at once, so that what is made of them stays in the processor's cache
_FEWEST = 8  # fewer rows are filled up: NumPy sums a single row in another order


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
    _compiled: list[_Compiled] = field(default_factory=list, init=False, repr=False, compare=False)

    def compile(self) -> None:
        """Make the tables that `evaluate` looks up; otherwise its first call does.

        Raises
        ------
        ValueError
            If an expression is unknown or a booster is not one that winback trains.
        """
        if not self._compiled:
            self._compiled.append(_compile(self))


@dataclass(frozen=True)
class _Compiled:
    """A formula whose boosters and additive parts are rows of `look_up` and then `add_up`."""

    expressions: Mapping[str, Expression]
    forest: Forest
    curves: Curves


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


def encode(
    columns: Sequence[Column], frame: pd.DataFrame, *, mask: np.ndarray | None = None
) -> np.ndarray:
    """Raw columns as a float64 matrix (rows, columns), by name; missing and unknown are NaN.

    Columns are picked by name whatever their order; extra ones are ignored. `mask` (rows,) says
    which rows are wanted; all of them where it is None.

    Raises
    ------
    ValueError
        If a column is missing, or text stands where a number belongs.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        names = {column.name for column in columns}
        extra = [str(name) for name in frame.columns if str(name) not in names]
        raise ValueError(
            f"features: {len(missing)} columns are missing: {', '.join(missing[:8])}; "
            f"columns not asked for: {', '.join(extra[:8]) or 'none'}; rename or rebuild them"
        )
    picked = None if mask is None else np.flatnonzero(mask)
    rows = len(frame) if picked is None else len(picked)
    matrix = np.empty((len(columns), rows), dtype=np.float64)
    for position, column in enumerate(columns):
        values = frame[column.name]
        encoded = _numbers(column.name, values) if column.levels is None else _codes(column, values)
        matrix[position] = encoded if picked is None else encoded.take(picked)
    return matrix.T


def _numbers(name: str, values: pd.Series) -> np.ndarray:
    if values.dtype == np.float64:
        return np.asarray(values.to_numpy())
    try:
        if values.dtype.kind in "mM":
            raise TypeError("NumPy would take its nanoseconds for a number")
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"features: column '{name}' must be a number, found {values.dtype}; "
            "cast it before scoring"
        ) from error


def _codes(column: Column, values: pd.Series) -> np.ndarray:
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, levels = values.cat.codes.to_numpy(), values.cat.categories
    else:
        codes, levels = pd.factorize(values)
    code_of = {level: float(code) for code, level in enumerate(column.levels or ())}
    return np.array([*(code_of.get(str(value), np.nan) for value in levels), np.nan])[codes]


def evaluate(
    formula: Formula, frame: pd.DataFrame, *, threads: int = 1, mask: np.ndarray | None = None
) -> pd.DataFrame:
    """Outputs of a formula, one float64 column each, in the row order of the frame.

    A row's outputs depend on nothing but that row, bit by bit: neither on the rows beside it nor on
    `threads`. `mask` (rows,) says which rows are wanted; all of them where it is None.
    """
    formula.compile()
    columns = encode(formula.columns, frame, mask=mask).T
    rows = columns.shape[1]
    outputs = np.empty((len(formula.outputs), rows))

    def block(first: int) -> None:
        outputs[:, first : first + _BLOCK] = _block(formula, columns[:, first : first + _BLOCK])

    firsts = range(0, rows, _BLOCK)
    if threads > 1 and len(firsts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(block, firsts))
    else:
        for first in firsts:
            block(first)
    index = frame.index if mask is None else frame.index[mask]
    return pd.DataFrame(outputs.T, columns=list(formula.outputs), index=index)


def _block(formula: Formula, columns: np.ndarray) -> np.ndarray:
    """Outputs (outputs, rows) of encoded columns (columns, rows)."""
    rows = columns.shape[1]
    if rows < _FEWEST:
        columns = np.pad(columns, ((0, 0), (0, _FEWEST - rows)), mode="edge")
    compiled = formula._compiled[0]
    parts = np.vstack([look_up(compiled.forest, columns), add_up(compiled.curves, columns)])
    computed: dict[str, Any] = {}
    outputs = np.empty((len(formula.outputs), columns.shape[1]))
    for position, name in enumerate(formula.outputs):
        outputs[position] = _value(compiled, ["ref", name], parts, computed)
    return outputs[:, :rows]


def _value(
    compiled: _Compiled, expression: Expression, parts: np.ndarray, computed: dict[str, Any]
) -> Any:
    """One number per row, or one for all rows."""

    def value(part: Expression) -> Any:
        return _value(compiled, part, parts, computed)

    match expression:
        case ["const", number]:
            return float(number)
        case ["ref", name]:
            if name not in computed:
                computed[name] = value(compiled.expressions[name])
            return computed[name]
        case ["part", row]:
            return parts[row]
        case ["sum", *terms]:
            total: Any = 0.0
            for weight, part in terms:
                total += value(part) if weight == 1.0 else float(weight) * value(part)
            return total
        case ["product", *factors]:
            result: Any = 1.0
            for factor in factors:
                result *= value(factor)
            return result
        case [("sigmoid" | "exp" | "interp" | "clip"), *_, part]:
            return applied(expression[:-1], value(part))
    raise ValueError(f"formula: unknown expression {str(expression)[:80]}")


def applied(step: Expression, value: Any) -> Any:
    """What an operation on one value makes of it; `step` is its expression without that value."""
    match step:
        case ["sigmoid"]:
            return 1.0 / (1.0 + np.exp(-np.clip(value, -500.0, 500.0)))
        case ["exp"]:
            return np.exp(np.clip(value, -500.0, 500.0))
        case ["interp", xs, ys]:
            return np.interp(value, xs, ys)
        case ["clip", low, high]:
            return np.clip(value, low, high)
    raise ValueError(f"formula: unknown expression {str(step)[:80]}")


def _compile(formula: Formula) -> _Compiled:
    """Each different booster and additive part that the outputs need becomes ["part", row]."""
    boosters: dict[str, tuple[str, tuple[float, ...]]] = {}
    sums: dict[str, tuple[float, Sequence[Any]]] = {}
    needed: dict[str, Expression] = {}
    waiting = list(formula.outputs)

    def collect(expression: Expression) -> None:
        match expression:
            case ["booster", file, extra]:
                boosters.setdefault(repr(expression), (file, tuple(extra)))
            case ["additive", constant, terms]:
                sums.setdefault(repr(expression), (constant, terms))
            case ["ref", name]:
                waiting.append(name)
            case _:
                for part in expression:
                    if isinstance(part, list):
                        collect(part)

    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = formula.expressions[name]
            collect(needed[name])
    rows = {text: row for row, text in enumerate([*boosters, *sums])}

    def placed(expression: Expression) -> Expression:
        if expression and expression[0] in ("booster", "additive"):
            return ["part", rows[repr(expression)]]
        return [placed(part) if isinstance(part, list) else part for part in expression]

    given = [(file, formula.boosters[file], extra) for file, extra in boosters.values()]
    return _Compiled(
        expressions={name: placed(expression) for name, expression in needed.items()},
        forest=plant(given, len(formula.columns)),
        curves=gather(list(sums.values())),
    )


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
        digest = hashlib.sha256(files.get(name, b"")).hexdigest()
        if digest != expected:
            raise ValueError(
                f"model file '{name}' has SHA-256 {digest[:12]}, expected {expected[:12]}; "
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

"""Answers for a customer: forecasts and decision as one flat row, the same in batch and served.

The list and batch scoring call this module, and the registered model carries its text next to
those of the formula and of the decision; it imports nothing of winback but what is carried too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..decision.decision import DECISION_FILE, Decision, decision_columns, decision_from_json
from ..decision.facts import is_of
from ..decision.recommend import recommend
from .formula import RETENTION, Formula, evaluate, from_files


@dataclass(frozen=True)
class Answers:
    """The fitted models and the decision that answer together.

    Attributes
    ----------
    churn
        Formula of `churn_probability`, or None where there was nothing to learn it from.
    winback
        Formula of the outputs per offer, or None without an experiment.
    decision
        What decides on a customer; None to have the forecasts alone.
    retention
        Formula of the outputs per offer of active customers, or None without such an experiment.
    """

    churn: Formula | None
    winback: Formula | None
    decision: Decision | None = None
    retention: Formula | None = None

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """Those that there are, in the order of their outputs."""
        parts = (self.churn, self.winback, self.retention)
        return tuple(formula for formula in parts if formula is not None)


def load_answers(
    churn: Mapping[str, bytes],
    winback: Mapping[str, bytes],
    decision: Mapping[str, bytes] | None = None,
) -> Answers:
    """Models from their files by name; an empty mapping means that there is no such model.

    Files of the model of retention stand in `winback`, their names after `RETENTION`. Without
    `decision` the models give forecasts alone.

    Raises
    ------
    ValueError
        If a booster is missing or differs from the one saved, or the decision's file is missing.
    """
    if decision is not None and DECISION_FILE not in decision:
        raise ValueError(
            f"{DECISION_FILE} is missing; run winback recommend, and register the model again"
        )
    kept = {name for name in winback if name.startswith(RETENTION)}
    retention = {name.removeprefix(RETENTION): winback[name] for name in kept}
    winback = {name: body for name, body in winback.items() if name not in kept}
    return Answers(
        churn=from_files(churn) if churn else None,
        winback=from_files(winback) if winback else None,
        decision=decision_from_json(decision[DECISION_FILE]) if decision else None,
        retention=from_files(retention) if retention else None,
    )


def formula_of(answers: Answers, output: str) -> Formula | None:
    """The formula that answers an output, None if none does."""
    return next((one for one in answers.formulas if output in one.outputs), None)


def input_columns(answers: Answers) -> dict[str, bool]:
    """Columns that models and decision read: name -> whether it is a number (else a category).

    Beside them `population` and `customer_id` are read where they are there.
    """
    columns: dict[str, bool] = {}
    for formula in answers.formulas:
        for column in formula.columns:
            columns[column.name] = column.levels is None
    return (decision_columns(answers.decision) if answers.decision else {}) | columns


def answer(answers: Answers, frame: pd.DataFrame, *, threads: int = 1) -> pd.DataFrame:
    """One row of answers per customer: the forecasts and, where there is one, the decision.

    Parameters
    ----------
    answers
        The models.
    frame
        (n, ...) features by name in any order; extra columns are ignored. Where a column
        `population` stands, churn and what keeps a customer are answered for 'active' rows only
        and the offers that win back for the others only; without it everything is answered for
        every row. `customer_id` tells who is held out.
    threads
        At most; the answers do not depend on it.

    Returns
    -------
    pandas.DataFrame
        (n, outputs) float64 columns, NaN where a question does not apply, then the columns of
        `recommend.DECISION_COLUMNS`.

    Raises
    ------
    ValueError
        If a column is missing or text stands where a number belongs.
    """
    outputs = forecasts(answers, frame, threads=threads)
    if answers.decision is None:
        return outputs
    return pd.concat([outputs, recommend(answers.decision, frame, outputs)], axis=1)


def forecasts(answers: Answers, frame: pd.DataFrame, *, threads: int = 1) -> pd.DataFrame:
    """The outputs of the models without the decision; see `answer`."""
    active, lost = is_of("active", frame), is_of("lost", frame)
    formulas = [(answers.churn, active), (answers.winback, lost), (answers.retention, active)]
    parts = [_answer_rows(formula, frame, rows, threads) for formula, rows in formulas if formula]
    return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=frame.index)


def _answer_rows(
    formula: Formula, frame: pd.DataFrame, rows: np.ndarray, threads: int
) -> pd.DataFrame:
    values = np.full((len(frame), len(formula.outputs)), np.nan)
    values[rows] = evaluate(formula, frame, threads=threads, mask=rows).to_numpy()
    return pd.DataFrame(values, columns=list(formula.outputs), index=frame.index)

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
from ..decision.recommend import recommend
from .formula import Formula, evaluate, from_files


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
    """

    churn: Formula | None
    winback: Formula | None
    decision: Decision | None = None


def load_answers(
    churn: Mapping[str, bytes],
    winback: Mapping[str, bytes],
    decision: Mapping[str, bytes] | None = None,
) -> Answers:
    """Models from their files by name; an empty mapping means that there is no such model.

    Without `decision` the models give forecasts alone.

    Raises
    ------
    ValueError
        If a booster is missing or differs from the one saved, or the decision's file is missing.
    """
    if decision is not None and DECISION_FILE not in decision:
        raise ValueError(
            f"{DECISION_FILE} is missing; run winback recommend, and register the model again"
        )
    return Answers(
        churn=from_files(churn) if churn else None,
        winback=from_files(winback) if winback else None,
        decision=decision_from_json(decision[DECISION_FILE]) if decision else None,
    )


def input_columns(answers: Answers) -> dict[str, bool]:
    """Columns that models and decision read: name -> whether it is a number (else a category).

    Beside them `population` and `customer_id` are read where they are there.
    """
    columns: dict[str, bool] = {}
    for formula in (answers.churn, answers.winback):
        for column in formula.columns if formula else ():
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
        `population` stands, churn is answered for 'active' rows only and the offers for the
        others only; without it everything is answered for every row. `customer_id` tells who is
        held out.
    threads
        Of LightGBM; the answers do not depend on it.

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
    everybody = np.ones(len(frame), dtype=bool)
    has_population = "population" in frame.columns
    active = (frame["population"] == "active").to_numpy() if has_population else everybody
    lost = ~active if has_population else everybody
    formulas = [(answers.churn, active), (answers.winback, lost)]
    parts = [_answer_rows(formula, frame, rows, threads) for formula, rows in formulas if formula]
    return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=frame.index)


def _answer_rows(
    formula: Formula, frame: pd.DataFrame, rows: np.ndarray, threads: int
) -> pd.DataFrame:
    values = np.full((len(frame), len(formula.outputs)), np.nan)
    values[rows] = evaluate(formula, frame, threads=threads, mask=rows).to_numpy()
    return pd.DataFrame(values, columns=list(formula.outputs), index=frame.index)

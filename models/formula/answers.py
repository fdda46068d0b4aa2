"""What the models say of a customer: every answer as one flat row, the same in batch and served.

Batch scoring calls this module, and the registered model carries its text next to that of
`formula`; like `formula` it therefore imports nothing else of winback.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .formula import Formula, evaluate, from_files

DECISION_FILE = "decision.json"


@dataclass(frozen=True)
class Answers:
    """The fitted models that answer together.

    Attributes
    ----------
    churn
        Formula of `churn_probability`, or None where there was nothing to learn it from.
    winback
        Formula of the outputs per offer, or None without an experiment.
    decision
        What the held-out rows allowed: `control`, `offers`, `objective`, `personalize` and
        `best_single`; empty without an experiment.
    """

    churn: Formula | None
    winback: Formula | None
    decision: Mapping[str, Any]


def load_answers(churn: Mapping[str, bytes], winback: Mapping[str, bytes]) -> Answers:
    """Models from their files by name; an empty mapping means that there is no such model.

    Raises
    ------
    ValueError
        If a booster is missing or differs from the one saved.
    """
    return Answers(
        churn=from_files(churn) if churn else None,
        winback=from_files(winback) if winback else None,
        decision=json.loads(winback[DECISION_FILE]) if winback else {},
    )


def input_columns(answers: Answers) -> dict[str, bool]:
    """Columns that the models read: name -> whether it is a number (else a category)."""
    columns: dict[str, bool] = {}
    for formula in (answers.churn, answers.winback):
        for column in formula.columns if formula else ():
            columns[column.name] = column.levels is None
    return columns


def answer(answers: Answers, frame: pd.DataFrame, *, threads: int = 1) -> pd.DataFrame:
    """One row of answers per customer.

    Parameters
    ----------
    answers
        The models.
    frame
        (n, ...) features by name in any order; extra columns are ignored. Where a column
        `population` stands, churn is answered for 'active' rows only and the offers for the
        others only; without it everything is answered for every row.
    threads
        Of LightGBM; the answers do not depend on it.

    Returns
    -------
    pandas.DataFrame
        (n, outputs) float64 columns, NaN where a question does not apply, and
        `recommended_offer` (text) where there was an experiment.

    Raises
    ------
    ValueError
        If a column is missing or text stands where a number belongs.
    """
    everybody = np.ones(len(frame), dtype=bool)
    known = "population" in frame.columns
    active = (frame["population"] == "active").to_numpy() if known else everybody
    parts = []
    if answers.churn is not None:
        parts.append(_answer_rows(answers.churn, frame, active, threads))
    if answers.winback is not None:
        outputs = _answer_rows(answers.winback, frame, ~active if known else everybody, threads)
        outputs["recommended_offer"] = recommended_offer(answers.decision, outputs)
        parts.append(outputs)
    return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=frame.index)


def recommended_offer(decision: Mapping[str, Any], outputs: pd.DataFrame) -> pd.Series:
    """The offer that earns most per customer, or the best single one where that was not beaten.

    Parameters
    ----------
    decision
        See `Answers.decision`; the objective 'returns' picks by
        return probability, every other one by expected profit.
    outputs
        (n, ...) outputs of the win-back formula.

    Returns
    -------
    pandas.Series
        (n,) offer names, missing where the outputs are.
    """
    returns = decision["objective"] == "returns"
    column = "return_probability_" if returns else "expected_profit_"
    names = [str(decision["control"]), *(str(name) for name in decision["offers"])]
    gains = outputs[[column + name for name in names]].to_numpy()
    known = ~np.isnan(gains).any(axis=1)
    if decision["personalize"]:
        chosen = np.asarray(names, dtype=object)[np.argmax(np.where(known[:, None], gains, 0), 1)]
    else:
        chosen = np.full(len(outputs), str(decision["best_single"]), dtype=object)
    chosen[~known] = None
    return pd.Series(chosen, index=outputs.index, dtype="str")


def _answer_rows(
    formula: Formula, frame: pd.DataFrame, asked: np.ndarray, threads: int
) -> pd.DataFrame:
    values = np.full((len(frame), len(formula.outputs)), np.nan)
    values[asked] = evaluate(formula, frame, threads=threads, asked=asked).to_numpy()
    return pd.DataFrame(values, columns=list(formula.outputs), index=frame.index)

"""Why a customer probably left: the reason that the behaviour before it tells, where she did not.

A stated reason may be missing or not the real one. The model learns which behaviour goes with
which stated reason, so wrong statements that have nothing to do with behaviour average out, and
the answer can be combined with the statement itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd

from .calibrate import platt_map
from .formula import Column, Expression, Formula, booster_text, encode, evaluate, learn_columns
from .grade import grade_probabilities
from .split import held_out

STEM = "reason_"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class ReasonsModel:
    """Probabilities of the reasons for leaving.

    Attributes
    ----------
    formula
        One output per reason, `reason_<name>`, before they are scaled to sum to 1.
    reasons
        Names in the order of the outputs.
    grades
        On customers held out: reason, rows, share, auc (one against the rest), and for "all" the
        share of statements that the most probable reason meets.
    """

    formula: Formula
    reasons: tuple[str, ...]
    grades: pd.DataFrame

    def predict(
        self,
        frame: pd.DataFrame,
        *,
        stated: pd.Series | None = None,
        honesty: float = 0.94,
        threads: int = 1,
    ) -> pd.DataFrame:
        """Probability of each reason (rows, reasons), rows sum to 1.

        Parameters
        ----------
        stated
            What the customers said, if it is to count: a statement is taken to be true with
            probability `honesty` and else to be any of the other reasons alike. Where 85% of all
            leavers state the true reason and 10% none, 94% of the statements are true.
        """
        found = evaluate(self.formula, frame, threads=threads)
        found.columns = pd.Index(self.reasons)
        if stated is not None:
            said = stated.to_numpy(dtype=object)
            wrong = (1 - honesty) / max(len(self.reasons) - 1, 1)
            heard = np.isin(said, self.reasons)
            for name in self.reasons:
                likely = np.where(said == name, honesty, wrong)
                found[name] *= np.where(heard, likely, 1.0)
        return found.div(found.sum(axis=1), axis=0)


def fit_reasons(
    frame: pd.DataFrame,
    *,
    stated: str,
    customer_id: str = "customer_id",
    features: Sequence[str],
    least_rows: int = 50,
    rounds: int = 120,
    learning_rate: float = 0.05,
    num_leaves: int = 8,
    test_share: float = 0.25,
    seed: int,
    threads: int = 1,
) -> ReasonsModel:
    """Learn reasons from behaviour, one against the rest, among customers who stated one.

    Parameters
    ----------
    frame
        One row per departure: the customer, the stated reason (missing or "unknown" rows are
        not learned from) and features as of the departure.
    least_rows
        Rarer reasons are left out.
    test_share
        Customers held out for the grades and for calibration, half each.

    Raises
    ------
    ValueError
        If fewer than two reasons have `least_rows` statements, or columns are missing.
    """
    missing = [name for name in (stated, customer_id, *features) if name not in frame.columns]
    if missing:
        raise ValueError(f"reasons: columns {', '.join(missing)} are missing; correct the names")
    if stated in features:
        raise ValueError(f"reasons: '{stated}' is what is to be learned; leave it out of features")
    said = frame[frame[stated].notna() & (frame[stated] != UNKNOWN)]
    said = said.sort_values([customer_id, stated], kind="stable", ignore_index=True)
    counts = said[stated].value_counts()
    reasons = tuple(sorted(str(name) for name in counts.index[counts >= least_rows]))
    if len(reasons) < 2:
        raise ValueError(
            f"reasons: {len(reasons)} reasons were stated {least_rows} times or more, and two are "
            "needed; lower least_rows or collect more statements"
        )
    said = said[said[stated].isin(reasons)].reset_index(drop=True)
    columns = learn_columns(said[list(features)])
    matrix = encode(columns, said)
    apart = held_out(said[customer_id], share=test_share, seed=seed)
    graded = apart & held_out(said[customer_id], share=0.5, seed=seed + 1)
    expressions: dict[str, Expression] = {}
    boosters = {}
    for name in reasons:
        outcome = (said[stated] == name).to_numpy(dtype=np.float64)
        booster = _booster(
            matrix[~apart],
            outcome[~apart],
            columns,
            rounds=rounds,
            learning_rate=learning_rate,
            num_leaves=num_leaves,
            seed=seed,
            threads=threads,
        )
        asked = apart & ~graded
        raw = np.asarray(booster.predict(matrix[asked], raw_score=True, num_threads=threads))
        slope, intercept = platt_map(raw, outcome[asked])
        file = f"reason_{name}.txt"
        boosters[file] = booster_text(booster)
        line = ["sum", [slope, ["booster", file, []]], [intercept, ["const", 1.0]]]
        expressions[STEM + name] = ["sigmoid", line]
    outputs = tuple(STEM + name for name in reasons)
    model = ReasonsModel(Formula(columns, expressions, outputs, boosters), reasons, pd.DataFrame())
    grades = grade_reasons(model.predict(said[graded], threads=threads), said.loc[graded, stated])
    return ReasonsModel(model.formula, reasons, grades)


def grade_reasons(probabilities: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """How well probabilities (rows, reasons) meet known reasons (rows,).

    Returns
    -------
    DataFrame
        reason, rows, share, auc (one against the rest, NaN where it has one class), accuracy
        (share of those rows whose most probable reason it is); "all" holds the mean AUC weighted
        by share and the overall accuracy.
    """
    known = truth.to_numpy(dtype=object)
    best = np.asarray(probabilities.columns, dtype=object)[
        np.argmax(probabilities.to_numpy(), axis=1)
    ]
    records = []
    for name in probabilities.columns:
        mine = known == name
        auc = grade_probabilities(
            mine.astype(float), probabilities[name].clip(0, 1), metrics=("auc",)
        )["auc"]
        accuracy = float((best[mine] == name).mean()) if mine.any() else float("nan")
        records.append((name, int(mine.sum()), float(mine.mean()), auc, accuracy))
    met = [record for record in records if record[1]]
    mean_auc = float(
        np.average([record[3] for record in met], weights=[record[1] for record in met])
    )
    records.append(("all", len(known), 1.0, mean_auc, float((best == known).mean())))
    return pd.DataFrame(records, columns=["reason", "rows", "share", "auc", "accuracy"])


def _booster(
    matrix: np.ndarray,
    outcome: np.ndarray,
    columns: Sequence[Column],
    *,
    rounds: int,
    learning_rate: float,
    num_leaves: int,
    seed: int,
    threads: int,
) -> lgb.Booster:
    settings = {
        "objective": "binary",
        "learning_rate": learning_rate,
        "num_leaves": num_leaves,
        "min_data_in_leaf": max(20, len(matrix) // 200),
        "lambda_l2": 10.0,
        "max_bin": 63,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    categories = [place for place, column in enumerate(columns) if column.levels is not None]
    data = lgb.Dataset(matrix, outcome, categorical_feature=categories, params=settings)
    return lgb.train(settings, data, num_boost_round=rounds)

"""The gates of a challenger: it and the champion answer for rows that neither has learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..models.churn.churn import OUTPUT
from ..models.evaluation.gates import (
    Gate,
    baseline_gate,
    earned,
    log_loss,
    moment_gates,
    policy_gates,
    probability_gates,
    slice_gate,
)
from ..models.evaluation.slices import SLICE_COLUMNS, levels
from ..models.evaluation.unseen import unseen
from ..models.formula.answers import Answers, answer
from .job.exit_codes import Refusal
from .job.progress import say
from .registry.opened_model import Opened
from .scoring.drift import distance_from_registration
from .settings.objectives import graded
from .settings.params import Promote
from .settings.sources import Experiment
from .storage.atomic import verify

UNOPPOSED = "to judge the challenger without it: winback promote --unopposed"


@dataclass(frozen=True)
class Match:
    """A challenger, the champion that it would replace (None where there is none), and the rules.

    `features` is the folder of today's features.
    """

    challenger: Opened
    champion: Opened | None
    features: Path
    params: Promote


def gates_of_today(match: Match) -> list[Gate]:
    """Age, and how far today's customers lie from those of the registration."""
    today = match.features / "current.parquet"
    champion = match.champion
    distance = distance_from_registration(
        match.challenger, [today], rows=pq.read_metadata(today).num_rows, limit=float("inf")
    )
    limit = match.params.drift_limit
    where = f" of {distance['feature']}" if "feature" in distance else ""
    return [
        *moment_gates(
            as_of=pd.Timestamp(match.challenger.as_of),
            champion=pd.Timestamp(champion.as_of) if champion else None,
            today=pd.Timestamp(verify(match.features)["as_of"]),
            oldest_days=match.params.oldest_days,
        ),
        Gate(
            "drift",
            distance["distance"] <= limit,
            f"{distance['distance']:.3f}{where}, at most {limit:g}",
        ),
    ]


def churn_gates(match: Match) -> list[Gate]:
    """Ranking, calibration, baselines, and against the champion ranking and every slice."""
    rows = _unseen_by_both(match, "churn")
    ours = answer(Answers(match.challenger.answers.churn, None, {}), rows)[OUTPUT]
    rival = _rival(match, "churn", rows)
    theirs = None if rival is None else rival[OUTPUT]
    grades = pd.DataFrame(match.challenger.evidence["churn"]["grades"])
    gates = probability_gates(
        "churn",
        rows["churned"],
        ours,
        theirs,
        cluster=rows["customer_id"],
        seed=match.params.seed,
    )
    gates.append(baseline_gate(grades, model="churn"))
    if theirs is not None:
        gain = log_loss(rows["churned"], theirs) - log_loss(rows["churned"], ours)
        gates.append(slice_gate("churn_slices", gain, _slices(rows), cluster=rows["customer_id"]))
    return gates


def winback_gates(match: Match, experiment: Experiment) -> list[Gate]:
    """Ranking and calibration of the return, and what the offers bring; each slice of both."""
    rows = _unseen_by_both(match, "winback").drop(columns="population", errors="ignore")
    if rows["value"].notna().any():
        rows = rows[rows["value"].notna()].reset_index(drop=True)  # others are too recent
    decision = match.challenger.answers.decision
    ours = answer(Answers(None, match.challenger.answers.winback, decision), rows)
    theirs = _rival(match, "winback", rows)
    if theirs is not None and not _knows(experiment, theirs):
        raise Refusal(f"the champion was trained with other offers; {UNOPPOSED}")
    objective = "returns" if decision["objective"] == "returns" else "profit"
    judged = graded(rows, ours, experiment, objective)
    chance = _of_offer_sent(ours, rows["offer"])
    rival_chance = None if theirs is None else _of_offer_sent(theirs, rows["offer"])
    gates = [
        *probability_gates(
            "return", rows["returned"], chance, rival_chance, seed=match.params.seed
        ),
        *policy_gates(
            judged.scores,
            judged.names,
            ours["recommended_offer"],
            None if theirs is None else theirs["recommended_offer"],
        ),
    ]
    if theirs is None:
        return gates
    honest = log_loss(rows["returned"], _of_offer_sent(theirs, rows["offer"])) - log_loss(
        rows["returned"], chance
    )
    brings, brought = (
        earned(judged.scores, judged.names, outputs["recommended_offer"])
        for outputs in (ours, theirs)
    )
    return [
        *gates,
        slice_gate("return_slices", honest, _slices(rows)),
        slice_gate("policy_slices", brings - brought, _slices(rows)),
    ]


def _unseen_by_both(match: Match, part: str) -> pd.DataFrame:
    """Rows of a training table from which neither model can have learned."""
    file = match.features / f"{part}.parquet"
    if not file.exists():
        raise Refusal(f"{file}: not found, so the {part} model cannot be graded; run the stages")
    rows = pd.read_parquet(file)
    kept = _unseen(match.challenger, part, rows, "build the features of its source again")
    words = f"{kept.sum():,} rows of {file.name} that the challenger has not learned from"
    if match.champion is not None and part in match.champion.evidence:
        kept = kept & _unseen(match.champion, part, rows, UNOPPOSED)
        words = f"{kept.sum():,} rows of {file.name} that neither has learned from"
    if kept.sum() < match.params.least_rows:
        raise Refusal(
            f"only {words}, and promote.least_rows is {match.params.least_rows}: fewer could veto "
            "nothing. Keep the seed and the share of the training from one model to the next, or "
            + UNOPPOSED
        )
    say(f"graded on {words}")
    return rows[kept].reset_index(drop=True)


def _unseen(model: Opened, part: str, rows: pd.DataFrame, cure: str) -> np.ndarray:
    memory: Mapping[str, Any] = model.evidence[part]["unseen"]
    try:
        return unseen(memory, rows)
    except ValueError as error:
        raise Refusal(f"version {model.version}: {error}; {cure}") from error


def _rival(match: Match, part: str, rows: pd.DataFrame) -> pd.DataFrame | None:
    """The champion's answers; None if there is none that answers this."""
    if match.champion is None or getattr(match.champion.answers, part) is None:
        return None
    of = match.champion.answers
    asked = (
        Answers(of.churn, None, {}) if part == "churn" else Answers(None, of.winback, of.decision)
    )
    try:
        return answer(asked, rows)
    except ValueError as error:
        raise Refusal(f"the champion cannot answer: {error}; {UNOPPOSED}") from error


def _slices(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {
        name: levels(rows[name], rows[name])
        for name in SLICE_COLUMNS
        if name in rows.columns and rows[name].notna().any()
    }


def _knows(experiment: Experiment, outputs: pd.DataFrame) -> bool:
    answered = {f"return_probability_{name}" for name in experiment.offer_names}
    recommended = set(outputs["recommended_offer"].unique())
    return answered <= set(outputs.columns) and recommended <= set(experiment.offer_names)


def _of_offer_sent(outputs: pd.DataFrame, sent: pd.Series) -> pd.Series:
    chance = pd.Series(float("nan"), index=outputs.index)
    for name in sent.unique():
        chance[sent == name] = outputs.loc[sent == name, f"return_probability_{name}"]
    return chance

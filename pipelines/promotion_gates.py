"""The gates between a challenger and the alias @champion.

Both are graded on the customers who are kept apart from every training of a model that ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    moment_gates,
    policy_gates,
    probability_gates,
    slice_gate,
)
from ..models.evaluation.held_out import value_is_known
from ..models.evaluation.probability import log_loss
from ..models.evaluation.slices import SLICE_COLUMNS, levels
from ..models.evaluation.unseen import unseen
from ..models.formula.answers import Answers, answer
from ..models.groups import group_labels
from ..models.offers import of_own_offer
from .job.exit_codes import Refusal
from .job.progress import say
from .registry.opened_model import Opened
from .scoring.drift import distance_from_registration
from .settings.experiments import Experiment
from .settings.objectives import graded
from .settings.params import Promote
from .settings.sources import PARTS, Source
from .storage.atomic import verify
from .tables.comparable_rows import comparable
from .tables.even_rows import even_rows

CHURN_ROWS = 1_000_000  # of the churn training set, those kept apart among which are graded on
PREFIXES = {"winback": "", "retention": "retention_"}  # what gates of policies begin with
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


def gates_of(match: Match, source: Source) -> list[Gate]:
    """Every gate that applies to the challenger, passed or not.

    Raises
    ------
    Refusal
        If too few rows are left that neither model has learned from, or the two cannot be compared.
    """
    gates = [*_gates_of_today(match), *_parts_gate(match)]
    answers = match.challenger.answers
    if answers.churn is not None:
        gates += _churn_gates(match)
    for population, part in PARTS.items():
        if getattr(answers, part) is None:
            continue
        experiment = source.experiment_among(population)
        if experiment is None:
            raise Refusal(f"{source.path}: names no experiment to grade the offers of {part} on")
        gates += _offer_gates(match, part, experiment)
    return gates


def _parts_gate(match: Match) -> list[Gate]:
    """The challenger answers whatever the champion does; no champion, no gate."""
    if match.champion is None:
        return []
    missing = [
        part
        for part in ("churn", *PARTS.values())
        if getattr(match.champion.answers, part) is not None
        and getattr(match.challenger.answers, part) is None
    ]
    figure = "whatever the champion answers"
    if missing:
        figure = f"without {' and '.join(missing)}, which the champion has; {UNOPPOSED}"
    return [Gate("parts", not missing, figure)]


def _gates_of_today(match: Match) -> list[Gate]:
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


def _churn_gates(match: Match) -> list[Gate]:
    """Ranking, calibration, baselines, and against the champion ranking and every slice."""
    rows = _unseen_by_both(match, "churn")
    ours = answer(Answers(match.challenger.answers.churn, None), rows)[OUTPUT]
    rival = _rival(match, "churn", rows)
    rival_chance = None if rival is None else rival[OUTPUT]
    aucs = pd.DataFrame(match.challenger.evidence["churn"]["aucs"])
    gates = probability_gates(
        "churn",
        rows["churned"],
        ours,
        rival_chance,
        margin=match.params.auc_margin,
        cluster=group_labels(rows),
    )
    gates.append(baseline_gate(aucs, model="churn"))
    if rival_chance is not None:
        gain = log_loss(rows["churned"], rival_chance) - log_loss(rows["churned"], ours)
        gates.append(slice_gate("churn_slices", gain, _slices(rows), cluster=group_labels(rows)))
    return gates


def _offer_gates(match: Match, part: str, experiment: Experiment) -> list[Gate]:
    """Ranking and calibration of the return, and what the offers bring; each slice of both.

    Of active customers it is of their staying.
    """
    rows = comparable(_unseen_by_both(match, part), experiment.control)
    rows = rows.drop(columns="population", errors="ignore")
    rows = rows[value_is_known(rows["value"], rows["returned"])].reset_index(drop=True)
    only = _only(match.challenger.answers, part)
    decision = only.decision
    if decision is None:
        raise Refusal(f"version {match.challenger.version}: it has no decision; register it again")
    ours = answer(only, rows)
    rival = _rival(match, part, rows)
    if rival is not None and not _knows(experiment, rival, decision.chances):
        raise Refusal(f"the champion was trained with other offers of {part}; {UNOPPOSED}")
    objective = "returns" if decision.objective == "returns" else "profit"
    judged = graded(rows, ours, experiment, objective)
    chance = of_own_offer(ours, rows["offer"], decision.chances)
    rival_chance = None if rival is None else of_own_offer(rival, rows["offer"], decision.chances)
    said = decision.chances.removesuffix("_probability_")
    prefix = PREFIXES[part]
    gates = [
        *probability_gates(
            said,
            rows["returned"],
            chance,
            rival_chance,
            margin=match.params.auc_margin,
            cluster=group_labels(rows),
        ),
        *(
            replace(gate, name=prefix + gate.name)
            for gate in policy_gates(
                judged.scores,
                judged.names,
                ours["recommended_offer"],
                None if rival is None else rival["recommended_offer"],
                margin=match.params.value_margin,
                cluster=judged.groups,
            )
        ),
    ]
    if rival is None or rival_chance is None:
        return gates
    honest = log_loss(rows["returned"], rival_chance) - log_loss(rows["returned"], chance)
    brings, brought = (
        earned(judged.scores, judged.names, outputs["recommended_offer"])
        for outputs in (ours, rival)
    )
    return [
        *gates,
        slice_gate(f"{said}_slices", honest, _slices(rows), cluster=judged.groups),
        slice_gate(
            f"{prefix}policy_slices", brings - brought, _slices(rows), cluster=judged.groups
        ),
    ]


def _unseen_by_both(match: Match, part: str) -> pd.DataFrame:
    """Rows of a training table from which neither model can have learned."""
    file = match.features / f"{part}.parquet"
    if not file.exists():
        raise Refusal(f"{file}: not found, so the {part} model cannot be graded; run the stages")
    # An experiment is read whole: whether its rows are still there tells who was not learned from.
    rows = pd.read_parquet(file) if part != "churn" else even_rows(file, most=CHURN_ROWS)
    kept = _unseen(match.challenger, part, rows, "build the features of its source again")
    words = f"{kept.sum():,} rows of {file.name} that the challenger has not learned from"
    if match.champion is not None and getattr(match.champion.answers, part) is not None:
        kept = kept & _unseen(match.champion, part, rows, UNOPPOSED)
        words = f"{kept.sum():,} rows of {file.name} that neither has learned from"
    if kept.sum() < match.params.least_rows:
        # Without the champion's there are more, but only if it has learned from other rows.
        alone = f", or {UNOPPOSED}" if match.champion is not None else ""
        raise Refusal(
            f"only {words}, and promote.least_rows is {match.params.least_rows}: fewer could veto "
            "nothing. Keep more customers apart (promote.kept_apart) and train anew, or let fewer "
            f"do (promote.least_rows){alone}"
        )
    say(f"graded on {words}")
    return rows[kept].reset_index(drop=True)


def _unseen(model: Opened, part: str, rows: pd.DataFrame, cure: str) -> np.ndarray:
    if part not in model.evidence:
        again = cure if cure == UNOPPOSED else "run the stages and register it again"
        raise Refusal(
            f"version {model.version}: does not say which rows of {part} it has not learned from; "
            f"{again}"
        )
    memory: Mapping[str, Any] = model.evidence[part]["unseen"]
    try:
        return unseen(memory, rows)
    except ValueError as error:
        raise Refusal(f"version {model.version}: {error}; {cure}") from error


def _rival(match: Match, part: str, rows: pd.DataFrame) -> pd.DataFrame | None:
    """The champion's answers; None if there is none that answers this."""
    if match.champion is None or getattr(match.champion.answers, part) is None:
        return None
    try:
        return answer(_only(match.champion.answers, part), rows)
    except ValueError as error:
        raise Refusal(f"the champion cannot answer: {error}; {UNOPPOSED}") from error


def _only(answers: Answers, part: str) -> Answers:
    """One part of a model, with the decision on its population, whatever limits there were."""
    if part == "churn":
        return Answers(answers.churn, None)
    lost = answers.decision and answers.decision.unlimited()
    if part == "winback":
        return Answers(None, answers.winback, lost)
    active = lost and lost.retention and lost.retention.unlimited()
    return Answers(None, None, active, retention=answers.retention)


def _slices(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {
        name: levels(rows[name], rows[name])
        for name in SLICE_COLUMNS
        if name in rows.columns and rows[name].notna().any()
    }


def _knows(experiment: Experiment, outputs: pd.DataFrame, chances: str) -> bool:
    answered = {f"{chances}{name}" for name in experiment.offer_names}
    recommended = set(outputs["recommended_offer"].unique())
    return answered <= set(outputs.columns) and recommended <= set(experiment.offer_names)

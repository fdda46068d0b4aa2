"""Stage recommend: for every customer of today, whether to act, how, and what that is worth.

Writes the list, and the decision file that gives the same answers elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..features.phrases import category, high_and_low, unknown
from ..models.decision.decision import DECISION_FILE, Decision, decision_to_json
from ..models.decision.draws import Draws
from ..models.decision.eligibility import Rules
from ..models.decision.evidence import beyond_usual, count_tested
from ..models.decision.learn import (
    FIRST_OF,
    NO_EXPERIMENT,
    Limits,
    OfferEvidence,
    learn_decision,
)
from ..models.decision.reasons import sentences
from ..models.decision.recommend import facts_of, weigh
from ..models.decision.recommend import recommend as decide
from ..models.decision.strategy import lapse_discount
from ..models.formula.answers import Answers, forecasts
from ..models.formula.explain import drivers
from ..models.formula.formula import Formula
from .job.progress import say, step
from .scoring.suppressions import objectors
from .settings.objectives import chosen_objective
from .settings.params import Machine, Recommend
from .settings.sources import Source
from .storage.atomic import replace_file, replace_folder, verify
from .storage.stage_outputs import OFFERS_FILE, read_dictionary
from .storage.trained_models import models_version, read_answers
from .tables.comparable_rows import comparable

KEYS = ["customer_id", "as_of"]


def recommend(
    source: Source,
    params: Recommend,
    machine: Machine,
    *,
    features: Path,
    tables: Path,
    churn: Path,
    winback: Path,
    decision: Path,
    out: Path,
) -> None:
    """Decide on all customers but the objectors: the decision file, and one row for each.

    Raises
    ------
    SuppressionsUnusable
        If there is no table of suppressions and the source does not say that there is none, or
        it names everybody.
    """
    verify(features)
    current = pd.read_parquet(features / "current.parquet")
    objected = objectors(source, tables, current)
    customers = current[~objected].sort_values("customer_id", kind="stable", ignore_index=True)
    models = read_answers(churn, winback)
    with step(f"forecasts for {len(customers):,} customers"):
        outputs = forecasts(models, customers, threads=machine.threads)
    evidence = json.loads((winback / OFFERS_FILE).read_text()) if models.winback else {}
    objective = chosen_objective(source, params.objective, evidence)
    with step(f"decisions, objective {objective}"):
        learned = learn_decision(
            customers,
            outputs,
            experiment=_experiment(source, evidence, features),
            objective=objective,
            rules=Rules(
                lost_limit=params.lost_limit,
                cooldown_days=params.cooldown_days,
                hopeless_reasons=params.hopeless_reasons,
                least_experiment_rows=params.least_experiment_rows,
                smallest_profit=params.smallest_profit,
            ),
            limits=Limits(params.budget, params.capacity),
            draws=Draws(
                params.holdout_share,
                params.exploration_share,
                key=f"{customers['as_of'].max():%Y-%m-%d} {params.seed}",
            ),
            new_days=params.new_days,
            high_risk=params.high_risk,
        )
        table = pd.concat([customers[KEYS], outputs, decide(learned, customers, outputs)], axis=1)
        table["holdout"] = table["holdout"].astype(bool)
        if learned.tested is not None:
            table["beyond_experiment"] = beyond_usual(learned.tested, customers)
        table["reasons"] = _reasons(
            learned, customers, outputs, params, strategy=table["strategy"].to_numpy()
        )
    unknown = [fact for fact in FIRST_OF if fact not in learned.facts]
    if unknown:
        say(f"rules that need {', '.join(unknown)} do not apply: the source has no column for them")
    with step(f"reasons of the first {params.explained:,}"):
        meanings = {entry["name"]: entry["meaning"] for entry in read_dictionary(features)}
        table["reasons"] = _with_drivers(table, customers, models, params.explained, meanings)
    table["model_version"] = models_version(churn, winback)
    with replace_folder(decision) as new:
        (new.path / DECISION_FILE).write_bytes(decision_to_json(learned))
    replace_file(out, lambda handle: table.to_parquet(handle, index=False))
    say(f"{int(objected.sum()):,} customers left out because they objected")


def _experiment(source: Source, evidence: Mapping[str, Any], features: Path) -> OfferEvidence:
    if source.experiment is None or not evidence:
        return NO_EXPERIMENT
    tested = comparable(pd.read_parquet(features / "winback.parquet"), source.experiment.control)
    return OfferEvidence(
        control=source.experiment.control,
        offers=source.experiment.offers,
        by_objective=evidence["by_objective"],
        tested=count_tested(tested, reason="departure_reason", lapse="days_since_departure"),
    )


def _reasons(
    decision: Decision,
    customers: pd.DataFrame,
    outputs: pd.DataFrame,
    params: Recommend,
    *,
    strategy: np.ndarray,
) -> list[str]:
    facts = facts_of(decision, customers)
    unknown = pd.Series(np.nan, index=customers.index)
    return sentences(
        decision,
        weigh(decision, customers, outputs),
        risk=outputs.get("churn_probability", unknown).to_numpy(),
        percent=lapse_discount(
            facts["lapse_days"], days=params.lapse_days, percent=params.lapse_discount_percent
        ),
        strategy=strategy,
    )


def _with_drivers(
    table: pd.DataFrame,
    customers: pd.DataFrame,
    answers: Answers,
    count: int,
    meanings: Mapping[str, str],
) -> pd.Series:
    """Reasons, with what moves the forecast most for those who come first.

    These are the customers with the largest expected gains, by what moves the effect of their
    offer, and the active ones most likely to leave.
    """
    reasons = table.set_index("customer_id")["reasons"]
    rows = customers.set_index("customer_id", drop=False)
    words = _words(customers, meanings)
    for formula, output, ids in _first(table, answers, count):
        lines = drivers(formula, rows.loc[ids], output, words=words)
        reasons.loc[ids] = [f"{reasons[i]}; {line}" for i, line in zip(ids, lines, strict=True)]
    return pd.Series(reasons.to_numpy(), index=table.index)


def _words(customers: pd.DataFrame, meanings: Mapping[str, str]) -> Callable[[str, object], str]:
    """Words for a feature and its value: high or low against the median of today's customers."""
    numbers = customers[[name for name in meanings if name in customers]].select_dtypes("number")
    typical = numbers.median()

    def words(name: str, value: Any) -> str:
        meaning = meanings.get(name, "")
        if pd.isna(value):
            return unknown(name, meaning)
        if name not in typical:
            return category(name, value, meaning)
        high, low = high_and_low(name, meaning)
        return high if value > typical[name] else low

    return words


def _first(
    table: pd.DataFrame, answers: Answers, count: int
) -> Iterator[tuple[Formula, str, list[Any]]]:
    by_gain = table.dropna(subset=["recommended_offer", "expected_incremental_profit"])
    by_gain = by_gain[by_gain["expected_incremental_profit"] > 0]
    order = ["expected_incremental_profit", "customer_id"]
    first = by_gain.sort_values(order, ascending=[False, True]).head(count)
    if answers.winback is not None:
        for offer, rows in first.groupby("recommended_offer"):
            yield answers.winback, f"uplift_{offer}", list(rows["customer_id"])
    if answers.churn is not None and count:
        risky = table.dropna(subset=["churn_probability"])
        risky = risky.sort_values(["churn_probability", "customer_id"], ascending=[False, True])
        yield answers.churn, "churn_probability", list(risky["customer_id"].head(count))

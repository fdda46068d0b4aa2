"""Stage recommend: for every customer of today, whether to act, how, and what that is worth."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..models.decision.evidence import rows_alike
from ..models.decision.recommend import recommend as choose
from ..models.formula.answers import Answers, answer
from ..models.formula.explain import drivers
from ..models.formula.formula import Formula
from .job.progress import say, step
from .settings.objectives import chosen_objective
from .settings.params import Machine, Recommend
from .settings.sources import Source
from .storage.atomic import MANIFEST, replace_file
from .storage.stage_outputs import read_answers, read_dictionary, why_skipped

FACTS = {  # what the rules ask for, and the features that can tell it, the best first
    "population": ("population",),
    "times_lost": ("departures_so_far",),
    "reason": ("departure_reason",),
    "value": (r"margin_\d+d", r"spend_\d+d"),
    "growth": (r"spend_trend_\d+d",),
    "tenure_days": ("days_in_lifetime",),
    "margin": ("margin_total", "spend_total"),
    "turnover": ("spend_total",),
    "lapse_days": ("days_since_last_order",),
}
MESSAGES = ["days_since_last_contact", "days_since_last_offer"]
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
    out: Path,
) -> None:
    """Decide for all customers but the suppressed, and write one row for each."""
    current = pd.read_parquet(features / "current.parquet")
    suppressed = _suppressed(tables, current)
    asked = current[~suppressed].reset_index(drop=True)
    answers = read_answers(churn, winback)
    with step(f"answers for {len(asked):,} customers"):
        predictions = answer(answers, asked, threads=machine.threads)
        predictions = pd.concat([asked[KEYS], predictions], axis=1)
    experiment = source.experiment if answers.winback is not None else None
    objective = chosen_objective(source, params.objective, answers.decision)
    decided = answers.decision["by_objective"][objective] if experiment else {}
    facts = _facts(asked, features)
    with step(f"decisions, objective {objective}"):
        table = choose(
            predictions.drop(columns="recommended_offer", errors="ignore"),
            facts,
            offers=experiment.offers if experiment else {},
            control=experiment.control if experiment else "none",
            objective=objective,
            personalize=decided.get("personalize", False),
            best_single=decided.get("best_single", ""),
            budget=params.budget,
            capacity=params.capacity,
            holdout_share=params.holdout_share,
            cooldown_days=params.cooldown_days,
            lost_limit=params.lost_limit,
            hopeless_reasons=params.hopeless_reasons,
            least_experiment_rows=params.least_experiment_rows,
            smallest_profit=params.smallest_profit,
            new_days=params.new_days,
            high_risk=params.high_risk,
            lapse_days=params.lapse_days,
            lapse_discount_percent=params.lapse_discount_percent,
            seed=params.seed,
        )
    with step(f"reasons of the first {params.explained:,}"):
        meanings = {entry["name"]: entry["meaning"] for entry in read_dictionary(features)}
        table["reasons"] = _with_drivers(table, asked, answers, params.explained, meanings)
    table["model_version"] = _version(churn, winback)
    replace_file(out, lambda handle: table.to_parquet(handle, index=False))
    say(f"{int(suppressed.sum()):,} customers left out because they objected")


def _suppressed(tables: Path, current: pd.DataFrame) -> pd.Series:
    """Who objected before the moment of scoring: neither scored nor exported."""
    path = tables / "suppressions.parquet"
    if not path.exists():
        say("this source has no table of suppressions: nobody is left out")
        return pd.Series(False, index=current.index)
    listed = pd.read_parquet(path)
    return current["customer_id"].isin(listed["customer_id"])


def _facts(asked: pd.DataFrame, features: Path) -> pd.DataFrame:
    facts = asked[["customer_id"]].copy()
    for fact, patterns in FACTS.items():
        if named := _longest(asked, patterns):
            facts[fact] = asked[named]
    messages = [name for name in MESSAGES if name in asked.columns]
    if messages:
        # A flat table is asked about the moment of its experiment: its offers are not a past.
        past = asked["population"] != "experiment"
        facts["days_since_last_contact"] = asked[messages].min(axis=1).where(past)
    unknown = [fact for fact in FACTS if fact not in facts.columns]
    if unknown:
        say(f"rules that need {', '.join(unknown)} do not apply: this source does not tell it")
    if "cost_to_serve_monthly" in asked.columns:
        facts["cost_to_serve_monthly"] = asked["cost_to_serve_monthly"]
    if not why_skipped(features, "winback"):
        tested = pd.read_parquet(features / "winback.parquet")
        facts["experiment_rows"] = rows_alike(
            tested, asked, reason="departure_reason", lapse="days_since_departure"
        )
    return facts


def _longest(asked: pd.DataFrame, patterns: Sequence[str]) -> str:
    """The column of the first pattern that has any, over the longest window; empty if none."""
    for pattern in patterns:
        found = [name for name in asked.columns if re.fullmatch(pattern, name)]
        if found:
            return max(found, key=lambda name: int("".join(re.findall(r"\d", name)) or 0))
    return ""


def _with_drivers(
    table: pd.DataFrame,
    asked: pd.DataFrame,
    answers: Answers,
    count: int,
    meanings: Mapping[str, str],
) -> pd.Series:
    """Reasons, with what moves the forecast most for those who come first.

    These are the customers with the largest expected gains, by what moves the effect of their
    offer, and the active ones most likely to leave.
    """
    reasons = table.set_index("customer_id")["reasons"]
    rows = asked.set_index("customer_id", drop=False)
    for formula, output, ids in _first(table, answers, count):
        lines = drivers(formula, rows.loc[ids], output, meanings=meanings)
        reasons.loc[ids] = [f"{reasons[i]}; {line}" for i, line in zip(ids, lines, strict=True)]
    return pd.Series(reasons.to_numpy(), index=table.index)


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
    if answers.churn is not None:
        risky = table.dropna(subset=["churn_probability"])
        risky = risky.sort_values(["churn_probability", "customer_id"], ascending=[False, True])
        yield answers.churn, "churn_probability", list(risky["customer_id"].head(count))


def _version(*models: Path) -> str:
    """A short hash of the models that decided, as their manifests name them."""
    digest = hashlib.sha256()
    for folder in models:
        digest.update((folder / MANIFEST).read_bytes())
    return digest.hexdigest()[:12]

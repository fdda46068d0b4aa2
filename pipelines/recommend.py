"""Stage recommend: for every customer of today, whether to act, how, and what that is worth.

Writes the list, and the decision file that gives the same answers elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..models.decision.decision import DECISION_FILE, Decision, decision_to_json
from ..models.decision.draws import Draws
from ..models.decision.eligibility import Rules
from ..models.decision.evidence import beyond_usual, count_tested
from ..models.decision.facts import facts_of
from ..models.decision.learn import (
    FIRST_OF,
    NO_EXPERIMENT,
    Limits,
    OfferEvidence,
    learn_decision,
)
from ..models.decision.reasons import sentences
from ..models.decision.recommend import recommend as decide
from ..models.decision.recommend import weigh
from ..models.decision.strategy import lapse_discount
from ..models.formula.formula import RETENTION
from .job.progress import say, step
from .scoring.first_reasons import First, why_first
from .scoring.forecast_parts import forecast_parts
from .scoring.input_rows import regrouped
from .scoring.suppressions import suppressions_of
from .settings.objectives import chosen_objective
from .settings.params import Machine, Recommend
from .settings.source_files import made_from
from .settings.sources import Source
from .storage.atomic import replace_file, replace_folder, scratch_beside, verify
from .storage.stage_outputs import OFFERS_FILE, read_json, read_meanings
from .storage.trained_models import models_version, read_answers
from .tables.comparable_rows import COMPARED, comparable
from .tables.sorted_customers import sorted_customers

KEYS = ["customer_id", "as_of"]
KINDS = ("departure_reason", "days_since_departure")  # what tells customers alike, text and days
ROWS_PER_GROUP = 1_048_576  # of the list: rows are few bytes


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
    as_of = pd.Timestamp(verify(features)["as_of"])
    listed = suppressions_of(source, tables, as_of)
    models = read_answers(churn, winback)
    evidence = read_json(winback / OFFERS_FILE, dict) if models.winback else {}
    kept = read_json(winback / RETENTION / OFFERS_FILE, dict) if models.retention else {}
    objective = chosen_objective(source, params.objective, evidence or kept)
    if kept and objective not in kept["by_objective"]:
        raise ValueError(
            f"recommend: objective '{objective}' needs more than is known of the offers of "
            f"retention; they support {', '.join(kept['by_objective'])}. Set recommend.objective"
        )
    with scratch_beside(out, "parts") as scratch:
        current = sorted_customers(features / "current.parquet", machine, scratch)
        with step(f"forecasts for {pq.read_metadata(current).num_rows:,} customers"):
            customers = forecast_parts(
                models, current, listed, kinds=KINDS, threads=machine.threads, out=scratch
            )
        with step(f"decisions, objective {objective}"):
            learned = learn_decision(
                customers,
                experiment=_experiment(source, evidence, features),
                retention=_retention(source, kept),
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
                    key=f"{as_of:%Y-%m-%d} {params.seed}",
                ),
                new_days=params.new_days,
                high_risk=params.high_risk,
            )
            version = models_version(churn, winback)
            parts, first = [], First(params.explained)
            for number, (rows, outputs) in enumerate(customers):
                table = _listed(learned, rows, outputs, params).assign(model_version=version)
                first = first.with_part(table)
                parts.append(scratch / f"list-{number:05d}.parquet")
                table.to_parquet(parts[-1], index=False, use_dictionary=False)
        unknown = [fact for fact in FIRST_OF if fact not in learned.facts]
        if unknown:
            say(
                f"rules that need {', '.join(unknown)} do not apply: the source has no column for "
                "them"
            )
        with step(f"reasons of the first {params.explained:,}"):
            meanings = read_meanings(features)
            because = why_first(first, models, current, customers.objected, meanings)
        with replace_folder(decision) as new:
            (new.path / DECISION_FILE).write_bytes(decision_to_json(learned))
            new.extra["made_from"] = made_from(source, params)
        replace_file(out, lambda handle: _write(parts, because, handle))
    objected = int(customers.objected.sum())
    say(f"{objected:,} customers left out because they objected")
    if listed is not None and len(listed.ids) and not objected:
        say(
            f"none of the {len(listed.ids):,} ids in suppressions is a customer of today: are they "
            "written like customers.customer_id?"
        )


def _listed(
    learned: Decision, rows: pd.DataFrame, outputs: pd.DataFrame, params: Recommend
) -> pd.DataFrame:
    """The list for a part of the customers, the reasons without drivers."""
    table = pd.concat([rows[KEYS], outputs, decide(learned, rows, outputs)], axis=1)
    table["holdout"] = table["holdout"].astype(bool)
    if learned.tested is not None:
        table["beyond_experiment"] = beyond_usual(learned.tested, rows)
    table["reasons"] = _reasons(
        learned, rows, outputs, params, strategy=table["strategy"].to_numpy()
    )
    return table


def _write(parts: Sequence[Path], because: Mapping[Any, str], handle: BinaryIO) -> None:
    """The parts as one file, with what moves the forecasts of those who come first."""
    groups = regrouped((_explained(file, because) for file in parts), ROWS_PER_GROUP)
    schema = _explained(parts[0], because).schema
    with pq.ParquetWriter(handle, schema) as writer:
        for group in groups:
            writer.write_table(group)
            del group  # not kept while the next one is gathered


def _explained(file: Path, because: Mapping[Any, str]) -> pa.Table:
    table = pd.read_parquet(file)
    said = table["customer_id"].map(because).astype("str")
    table["reasons"] = table["reasons"].where(said.isna(), table["reasons"] + said)
    return pa.Table.from_pandas(table, preserve_index=False)


def _experiment(source: Source, evidence: Mapping[str, Any], features: Path) -> OfferEvidence:
    if source.experiment is None or not evidence:
        return NO_EXPERIMENT
    file = features / "winback.parquet"
    known = [name for name in KINDS if name in pq.read_schema(file).names]
    rows = pd.read_parquet(file, columns=[*COMPARED, *known])
    tested = comparable(rows, source.experiment.control)
    return OfferEvidence(
        control=source.experiment.control,
        offers=source.experiment.offers,
        by_objective=evidence["by_objective"],
        tested=count_tested(tested, reason=KINDS[0], lapse=KINDS[1]),
    )


def _retention(source: Source, evidence: Mapping[str, Any]) -> OfferEvidence | None:
    experiment = source.retention_experiment
    if experiment is None or not evidence:
        return None
    return OfferEvidence(
        experiment.control, experiment.offers, evidence["by_objective"], tested=None
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
    said = partial(
        sentences,
        risk=outputs.get("churn_probability", unknown).to_numpy(),
        percent=lapse_discount(
            facts["lapse_days"], days=params.lapse_days, percent=params.lapse_discount_percent
        ),
        strategy=strategy,
    )
    lines = said(decision, weigh(decision, customers, outputs))
    if decision.retention is None or "population" not in customers.columns:
        return lines
    weighed = weigh(decision.retention, customers, outputs)
    kept = said(decision.retention, weighed)
    return [
        "; ".join(filter(None, [risk, line])) if of_active else risk
        for risk, line, of_active in zip(lines, kept, weighed.candidate, strict=True)
    ]

"""The tables of a readout: what each arm brought, against the control and against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ..intervals import detectable_effect, ratio_scores
from .covariates import Design, leading_components
from .effects import arm_scores, estimate_row, with_holm

NUMBERS = ["estimate", "lo", "hi", "se", "p_value"]
ROWS_PER_COVARIATE = 20
KEYS = ("arm", "chosen", "against", "outcome", "adjusted")  # of a row of a table


@dataclass(frozen=True)
class ArmScores:
    """Scores of every arm and outcome, and how their means are judged.

    Attributes
    ----------
    arms
        Names of the arms, the control first.
    outcomes
        Names of the outcomes.
    scores
        Shape (arms, rows, outcomes); see `effects.arm_scores`.
    clusters
        As in `intervals.mean_estimate`.
    """

    arms: tuple[str, ...]
    outcomes: tuple[str, ...]
    scores: np.ndarray
    clusters: Any

    def estimates(self, arm: str, against: str | None = None) -> pd.DataFrame:
        """Outcome, and estimate, lo, hi, se, p_value of an arm or of its lead over another."""
        scores = self.scores[self.arms.index(arm)]
        if against is not None:
            scores = scores - self.scores[self.arms.index(against)]
        columns = dict(zip(self.outcomes, scores.T, strict=True))
        if "profit" in columns:
            columns["roi"] = ratio_scores(columns["profit"], columns["cost"])
        rows = [
            {"outcome": outcome, **estimate_row(column, self.clusters)}
            for outcome, column in columns.items()
        ]
        return pd.DataFrame(rows)


def outcome_columns(
    frame: pd.DataFrame,
    labels: np.ndarray,
    *,
    contact_cost: Mapping[str, float] | None,
) -> pd.DataFrame:
    """Outcomes per customer: returned, cost (with contact), value and profit.

    Cost is there where offers or contacts cost anything, value where it is known of everybody who
    returned (without a return a missing value is 0), profit where both are.

    Raises
    ------
    ValueError
        If a cost is given for an unknown arm, or an outcome is no finite number.
    """
    contact = dict(contact_cost or {})
    names = set(frame["arm"]) | set(frame["offer"])
    if set(contact) - names:
        raise ValueError(
            f"contact_cost: {sorted(set(contact) - names)} are no arms or offers, found "
            f"{sorted(names)}; correct the names"
        )
    outcomes = pd.DataFrame({"returned": frame["returned"]})
    unknown = frame["value"].isna() & (frame["returned"] > 0) if "value" in frame.columns else None
    has_value = unknown is not None and not bool(unknown.any())
    paid = frame["cost"].fillna(0.0) if "cost" in frame.columns else 0.0
    cost = paid + pd.Series(labels).map(contact).astype(np.float64).fillna(0.0)
    if (cost != 0).any():
        outcomes["cost"] = cost
    if has_value:
        outcomes["value"] = frame["value"].fillna(0.0)
    if {"cost", "value"} <= set(outcomes):
        outcomes["profit"] = outcomes["value"] - outcomes["cost"]
    outcomes = outcomes.astype(np.float64)
    bad = [name for name in outcomes if not np.isfinite(outcomes[name]).all()]
    if bad:
        raise ValueError(f"outcomes: {bad} must be finite numbers in every row; fill or drop them")
    return outcomes


def value_parts(
    frame: pd.DataFrame, labels: np.ndarray, arms: Sequence[str], *, least_rows: int
) -> list[tuple[np.ndarray, list[str], pd.DataFrame]]:
    """All rows and, where the value of some is not known yet, the others once more.

    Parameters
    ----------
    frame
        (n, ...) see `outcome_columns`, and where known `value_known` (bool).
    labels
        (n,) arm of each row.
    arms
        Their names, the control first.
    least_rows
        An arm with fewer rows whose value is known is not among those of the second part.

    Returns
    -------
    list of (rows, arms, frame)
        (n,) bool, names, and these rows. Where there are two parts the first has no value;
        `first_of_each` puts their tables together.
    """
    everybody = np.ones(len(frame), dtype=bool)
    known = frame["value_known"].to_numpy(dtype=bool) if "value_known" in frame else everybody
    if known.all() or "value" not in frame:
        return [(everybody, [*arms], frame)]
    parts = [(everybody, [*arms], frame.drop(columns="value"))]
    read = [arm for arm in arms if (labels[known] == arm).sum() >= least_rows]
    if arms[0] in read and len(read) > 1:
        parts.append((known, read, frame[known].reset_index(drop=True)))
    return parts


def first_of_each(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of several parts as one; what is in two of them is taken from the first."""
    table = pd.concat(tables, ignore_index=True)
    keys = [name for name in table if name in KEYS]
    return table.drop_duplicates(keys, ignore_index=True)


def of_money(frame: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """In words of how many rows value is read, where that is not all; `table` has outcomes."""
    if "value" not in frame:
        return []
    if "value" not in set(table["outcome"]):
        return ["value is missing of some who returned: value, profit and roi are not read"]
    known = int(frame["value_known"].sum()) if "value_known" in frame else len(frame)
    if known == len(frame):
        return []
    return [
        f"value, profit and roi are read on {known:,} of {len(frame):,} customers; of the others "
        "the value is not known yet"
    ]


def readout_tables(
    frame: pd.DataFrame,
    labels: np.ndarray,
    arms: Sequence[str],
    *,
    contact_cost: Mapping[str, float] | None,
    least_rows: int,
    facts: Design | None,
    clusters: np.ndarray | None,
    propensity: np.ndarray | None,
) -> dict[str, pd.DataFrame]:
    """Tables levels, effects, pairs and power of a readout; money on rows whose value is known.

    Parameters
    ----------
    frame, labels, arms, least_rows
        See `value_parts`.
    contact_cost
        See `outcome_columns`.
    facts
        (n, p) known before the offer; effects are told plain and adjusted for them.
    clusters, propensity
        (n,) see `ArmScores` and `effects.arm_scores`.
    """
    found: list[dict[str, pd.DataFrame]] = []
    for rows, read, part in value_parts(frame, labels, arms, least_rows=least_rows):
        names = set(part["arm"]) | set(part["offer"])
        costs = {
            name: cost for name, cost in (contact_cost or {}).items() if rows.all() or name in names
        }
        outcomes = outcome_columns(part, labels[rows], contact_cost=costs)
        own = {
            "clusters": None if clusters is None else clusters[rows],
            "propensity": None if propensity is None else propensity[rows],
        }
        design = _adjustment(facts, frame["arm"].to_numpy(dtype=object), rows)
        best = plain = score_arms(outcomes, labels[rows], read, **own)
        effects = [effect_table(plain, adjusted=False)]
        if design is not None:
            best = score_arms(outcomes, labels[rows], read, design=design, **own)
            effects.append(effect_table(best, adjusted=True))
        table = pd.concat(effects, ignore_index=True)
        found.append(
            {
                "levels": level_table(plain, labels[rows]),
                "effects": table,
                "pairs": pair_table(best, adjusted=design is not None),
                "power": power_table(table, int(rows.sum())),
            }
        )
    return {name: first_of_each([tables[name] for tables in found]) for name in found[0]}


def _adjustment(facts: Design | None, arms: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """What effects on these rows are adjusted for: few columns where an arm is small."""
    if facts is None or not facts.names:
        return None
    if not rows.all():
        facts, arms = facts._replace(matrix=facts.matrix[rows]), arms[rows]
    smallest = int(pd.Series(arms).value_counts().min())
    return leading_components(facts, max(1, smallest // ROWS_PER_COVARIATE)).matrix


def score_arms(
    outcomes: pd.DataFrame,
    labels: np.ndarray,
    arms: Sequence[str],
    *,
    clusters: Any,
    design: np.ndarray | None = None,
    propensity: np.ndarray | None = None,
) -> ArmScores:
    """Scores of all arms on all outcomes."""
    scores = arm_scores(outcomes.to_numpy(), labels, arms, design=design, propensity=propensity)
    return ArmScores(tuple(arms), tuple(outcomes.columns), scores, clusters)


def level_table(scored: ArmScores, labels: np.ndarray) -> pd.DataFrame:
    """What each arm brought per customer: arm, rows, outcome, estimate, lo, hi, se."""
    rows = pd.Series(labels).value_counts()
    tables = [scored.estimates(arm).assign(arm=arm, rows=int(rows[arm])) for arm in scored.arms]
    table = pd.concat(tables, ignore_index=True)
    estimated = table[table["estimate"].notna()].reset_index(drop=True)  # nothing spent, no roi
    return estimated[["arm", "rows", "outcome", *NUMBERS[:4]]]


def effect_table(scored: ArmScores, *, adjusted: bool) -> pd.DataFrame:
    """Each arm against the control, Holm over the arms on one outcome."""
    control = scored.arms[0]
    base = scored.estimates(control).set_index("outcome")["estimate"]
    tables = [scored.estimates(arm, control).assign(arm=arm) for arm in scored.arms[1:]]
    table = with_holm(pd.concat(tables, ignore_index=True))
    below = table["outcome"].map(base).where(table["outcome"] != "roi")
    relative = table["estimate"] / below.where(below != 0)
    table = table.assign(adjusted=adjusted, relative=relative)
    return table[["arm", "outcome", "adjusted", *NUMBERS, "p_holm", "relative"]]


def pair_table(scored: ArmScores, *, adjusted: bool) -> pd.DataFrame:
    """Arms that are not the control against each other, Holm over the pairs on one outcome."""
    columns = ["arm", "against", "outcome", "adjusted", *NUMBERS, "p_holm"]
    tables = [
        scored.estimates(arm, other).assign(arm=arm, against=other)
        for arm, other in combinations(scored.arms[1:], 2)
    ]
    if not tables:
        return pd.DataFrame(columns=columns)
    table = pd.concat(tables, ignore_index=True)
    table = table[table["outcome"] != "roi"].reset_index(drop=True)
    return with_holm(table).assign(adjusted=adjusted)[columns]


def power_table(effects: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Per arm and outcome, what this experiment can see and what its estimate would take.

    `smallest_detectable` is the true effect found at 5% with a chance of 80%; `rows_for_estimate`
    the rows of the whole experiment that would find an effect as large as the one estimated.
    """
    table = effects[effects["outcome"] != "roi"]
    smallest = detectable_effect(table["se"])
    size = table["estimate"].abs()
    needed = np.ceil(rows * (smallest / size.where(size > 0)) ** 2)
    return table[["arm", "outcome", "adjusted"]].assign(
        smallest_detectable=smallest, rows_for_estimate=needed
    )

"""The customers of the list, counted: all that the report says of them, read part by part.

Memory does not depend on the number of customers. Counts and sums are of all of them. Only what the
tenth at highest risk holds is taken from risks in steps of 1/65,536, finer than it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ...models.decision.carry_over import gain_in_log_odds
from ...models.evaluation.top_share import STEPS, stepwise, sum_of_highest
from ...models.offers import STAYS, Offer
from ..settings.experiments import Experiment
from ..tables.list_parts import list_parts, listed_columns
from ..tables.list_rows import GAIN, RISK, is_sent, leading
from ..tables.parts import beside, parts_of
from . import words
from .kept import columns_of, without_kept

REASON = "departure_reason"
PAST = ("margin_total", "spend_total")  # what customers were worth, the first that is known
KEYS = ("recommended_offer", "holdout", "priority", "strategy", "population", REASON)
TOLD = ("rule", "discount")  # keys made of the reasons
FORECASTS = ("return_probability_", "uplift_", "months_", "value_")
DISCOUNT = r"rule of thumb by lapse: (\d+)% off"
BINS = 30  # of the effects


@dataclass(frozen=True)
class Terms:
    """What offers cost, how no offer is named, and the experiment's share of returns without."""

    offers: Mapping[str, Offer]
    control: str
    alone: float


@dataclass(frozen=True)
class Listed:
    """What is known of all customers of the list.

    Attributes
    ----------
    cells
        A row for all customers who are alike in `KEYS`, in rule (which stopped those who get no
        offer, else empty) and discount (the rule of thumb in percent, as text). Numbers of
        customers: customers; at_risk, answered, gain_known and <past>_known, of whom a risk, a
        chance to return, a gain and a past is known; unlike, asked and of a kind that the
        experiment hardly has; beyond, asked, with a gain, and gone for longer than most in it.
        Sums of what is known: the forecasts, the gain and the past by their names; risk_variance,
        of p (1 - p); gain_positive; gain_beyond, and carried, the same with effects carried in log
        odds. What the list does not tell has no column.
    gaining, risky
        The first of those who are sent an offer, by gain, and of the active, by risk.
    top_tenth
        Sum of the risks of the tenth at highest risk.
    effects
        (bins, offers) how many of those who are sent an offer have such a predicted effect.
    edges
        (bins + 1,) of the effects.
    """

    cells: pd.DataFrame
    gaining: pd.DataFrame
    risky: pd.DataFrame
    top_tenth: float
    effects: pd.DataFrame
    edges: np.ndarray


def read_listed(
    file: Path, current: Path, terms: Terms | None, *, first: int, kept: Experiment | None = None
) -> Listed:
    """Count the customers of a list.

    Parameters
    ----------
    current
        Features of the same customers, in the order of their ids.
    terms
        None where no offer is recommended.
    first
        How many of the first are kept.
    kept
        An experiment among active customers, whose offers are left out.

    Raises
    ------
    StoreError
        As `list_parts`.
    """
    others = columns_of(kept) if kept else set[str]()
    there = [name for name in listed_columns(file) if name not in others]
    known = pq.read_schema(current).names
    asked = [name for name in there if name.startswith(FORECASTS) or name in (*KEYS, GAIN, RISK)]
    asked += [name for name in ("reasons", "excluded_by", "beyond_experiment") if name in there]
    more = [name for name in ("population", REASON, *PAST) if name in known]
    cells: list[pd.DataFrame] = []
    gaining: list[pd.DataFrame] = []
    risky: list[pd.DataFrame] = []
    risks = np.zeros((2, STEPS))
    effects = [name for name in there if name.startswith("uplift_")]
    lowest, highest = np.inf, -np.inf
    today = parts_of(current, ["customer_id", *more])
    for part, facts in beside(_rows(file, asked, kept), today):
        rows = part.join(facts[more])
        cells = [_added([*cells, _cells(rows, terms)])]
        if RISK in rows:
            risky = [leading(risky, rows, RISK, first)]
            risks += stepwise(rows[RISK].dropna().to_numpy())
        if terms is not None:
            sent = rows[is_sent(rows, terms.control)]
            gaining = [leading(gaining, sent, GAIN, first)]
            values = sent[effects].to_numpy().ravel()
            lowest = np.fmin.reduce(values, initial=lowest)
            highest = np.fmax.reduce(values, initial=highest)
    counts, edges = pd.DataFrame(), np.zeros(0)
    if terms is not None and effects:
        ends = (lowest, highest) if lowest <= highest else (0.0, 1.0)  # nobody is sent an offer
        counts, edges = _effects(file, effects, terms, kept, ends)
    return Listed(
        cells=cells[0],
        gaining=gaining[0] if gaining else pd.DataFrame(),
        risky=risky[0] if risky else pd.DataFrame(),
        top_tenth=sum_of_highest(risks, max(1, int(cells[0]["at_risk"].sum()) // 10)),
        effects=counts,
        edges=edges,
    )


def past_of(cells: pd.DataFrame) -> str | None:
    """The column of `cells` that tells what customers were worth; None where none does."""
    return next((name for name in PAST if name in cells and cells[f"{name}_known"].any()), None)


def _rows(file: Path, columns: Sequence[str], kept: Experiment | None) -> Iterator[pd.DataFrame]:
    """Rows of the list, without what it says of offers to active customers."""
    if kept is None:
        yield from list_parts(file, columns)
        return
    for rows in list_parts(file, [*columns, f"{STAYS}{kept.control}"]):
        yield without_kept(rows, kept)


def _cells(rows: pd.DataFrame, terms: Terms | None) -> pd.DataFrame:
    """The cells of a part of the customers."""
    facts: dict[str, Any] = {name: rows[name] for name in KEYS if name in rows}
    facts |= dict.fromkeys(TOLD, "") | {"customers": 1}
    facts |= {"at_risk": 0, "gain_known": rows[GAIN].notna(), GAIN: rows[GAIN]}
    if RISK in rows:
        risk = rows[RISK]
        facts |= {"at_risk": risk.notna(), RISK: risk, "risk_variance": risk * (1 - risk)}
    facts |= {str(name): rows[name] for name in rows if str(name).startswith(FORECASTS)}
    for name in PAST:
        if name in rows:
            facts |= {name: rows[name], f"{name}_known": rows[name].notna()}
    if terms is None:
        facts["discount"] = rows["reasons"].str.extract(DISCOUNT)[0]
    else:
        facts |= _decided(rows, terms)
    return _added([pd.DataFrame(facts, index=rows.index)])


def _decided(rows: pd.DataFrame, terms: Terms) -> dict[str, Any]:
    """What is counted of customers for whom there are offers."""
    asked = rows["recommended_offer"].notna()
    stopped = (rows["recommended_offer"] == terms.control) & ~rows["holdout"]
    reasons = rows["reasons"].where(stopped, "")
    alone = f"return_probability_{terms.control}"
    facts: dict[str, Any] = {
        "rule": reasons.map({reason: words.rule(reason) for reason in reasons.unique()}),
        "answered": rows[alone].notna() if alone in rows else 0,
        "unlike": asked & (rows["excluded_by"] == "least_experiment_rows"),
    }
    if "beyond_experiment" in rows:
        gain = rows[GAIN].where(asked).fillna(0.0).clip(lower=0.0)
        beyond = asked & rows["beyond_experiment"] & (gain > 0)
        facts |= {"gain_positive": gain, "beyond": beyond, "gain_beyond": gain.where(beyond)}
        if f"value_{terms.control}" in rows:
            carried = pd.Series(np.nan, rows.index)
            carried[beyond] = gain_in_log_odds(
                rows[beyond], offers=terms.offers, control=terms.control, base=terms.alone
            )
            facts["carried"] = carried
    return facts


def _added(cells: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The cells of all parts, from those of each."""
    keys = [name for name in (*KEYS, *TOLD) if name in cells[0]]
    return pd.concat(cells).groupby(keys, dropna=False, observed=True).sum().reset_index()


def _effects(
    file: Path,
    columns: Sequence[str],
    terms: Terms,
    kept: Experiment | None,
    ends: tuple[float, float],
) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers who are sent an offer by predicted effect, and the edges of its bins."""
    edges = np.histogram_bin_edges(ends, bins=BINS)
    counts = np.zeros((BINS, len(columns)), dtype=int)
    for rows in _rows(file, ("recommended_offer", "holdout", *columns), kept):
        sent = rows.loc[is_sent(rows, terms.control), list(columns)].to_numpy()
        counts += np.column_stack([np.histogram(one, bins=edges)[0] for one in sent.T])
    return pd.DataFrame(counts, columns=list(columns)), edges

"""Checks of the rows of an experiment: arms, propensities, contamination, sizes.

Contamination is what makes arms incomparable whatever their sizes: a customer in two arms, an
outcome dated before the offer, a control that was paid. Cells are refused when they are too small
to say anything or when an offer was hardly ever possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..groups import drawn_together, drawn_units
from ..propensity import propensity_fault
from .randomization import (
    SHARE_TOLERANCE,
    ExperimentError,
    SampleRatio,
    SampleRatioMismatch,
    propensity_ratio,
    sample_ratio,
)

NEEDED = ("customer_id", "offer", "returned")


def checked_rows(
    offers: pd.DataFrame,
    *,
    control: str,
    needed: Sequence[str],
    planned: Mapping[str, float] | None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows with complete columns offer, arm, propensity, returned and cost, and what was assumed.

    Parameters
    ----------
    offers
        One row per offer sent; see `experiment.readout`.
    control
        Name of the arm without an offer.
    needed
        Arms that must have rows.
    planned
        Planned share of each arm, which stands in for a missing propensity.

    Raises
    ------
    ExperimentError
        If a column or an arm is missing, or the rows are contaminated.
    """
    missing = [name for name in NEEDED if name not in offers.columns]
    if missing:
        raise ExperimentError(
            "columns", f"{missing} are missing, found {list(offers.columns)}; add them to the query"
        )
    names = [name for name in ("customer_id", "offer", "arm", "returned") if name in offers.columns]
    absent = offers[names].isna().sum()
    if absent.any():
        raise ExperimentError(
            "missing values",
            f"{absent[absent > 0].to_dict()} rows are empty; a row without an arm or an outcome "
            "cannot be read: restore it or exclude it before the offer is drawn",
        )
    frame = offers.reset_index(drop=True)
    frame["offer"] = _names(frame["offer"])
    frame["arm"] = _names(frame["arm"]) if "arm" in frame.columns else frame["offer"]
    frame["returned"] = frame["returned"].astype(np.float64)
    if not frame["returned"].isin([0.0, 1.0]).all():
        raise ExperimentError("columns", "'returned' must be 0 or 1; map the outcome to it")
    if len(frame) and not frame["returned"].any():
        raise ExperimentError(
            "no outcome",
            f"none of {len(frame):,} customers returned, in no arm; see that outcomes are joined "
            "to the rows that were sent, or wait for them",
        )
    lost = sorted(set(needed) - set(frame["arm"]))
    if lost:
        raise ExperimentError(
            "lost arm",
            f"no row is left of {lost}, found {sorted(set(frame['arm']))}; find where its rows "
            "were dropped, or correct the names",
        )
    notes = _check_contamination(frame, control)
    if "propensity" not in frame.columns:
        if planned is None or not (frame["arm"] == frame["offer"]).all():
            planned = dict.fromkeys(sorted(set(frame["offer"])), 1 / frame["offer"].nunique())
            notes = (*notes, "no propensity was logged: equal chances of all offers are assumed")
        frame["propensity"] = frame["offer"].map(dict(planned)).astype(np.float64)
    return frame, notes


def check_cells(frame: pd.DataFrame, *, minimum_rows: int, lowest_propensity: float) -> None:
    """Refuse arms too small and offers too improbable to be compared.

    Raises
    ------
    ExperimentError
        If a propensity is not in (0, 1], an arm is too small, or an offer hardly possible.
    """
    propensity = frame["propensity"].to_numpy(dtype=np.float64, na_value=np.nan)
    if fault := propensity_fault(propensity):
        raise ExperimentError("propensities", fault)
    counts = frame["arm"].value_counts()
    small = counts[counts < minimum_rows]
    if len(small):
        raise ExperimentError(
            "small arm",
            f"{ {str(arm): int(rows) for arm, rows in small.items()} } rows, at least "
            f"{minimum_rows} are needed; leave the arm out or wait for more customers",
        )
    if propensity.min() < lowest_propensity:
        raise ExperimentError(
            "overlap",
            f"the lowest propensity is {propensity.min():.3g}, at least {lowest_propensity:g} is "
            "needed; leave out customers who could hardly be sent an offer",
        )


def overlap(frame: pd.DataFrame) -> pd.DataFrame:
    """Per offer: rows, returned, lowest and highest propensity, and effective rows (Kish)."""
    weight = 1.0 / frame["propensity"]
    grouped = frame.assign(weight=weight, squared=weight**2).groupby("offer", sort=True)
    table = grouped.agg(
        rows=("offer", "size"),
        returned=("returned", "sum"),
        lowest_propensity=("propensity", "min"),
        highest_propensity=("propensity", "max"),
        weight=("weight", "sum"),
        squared=("squared", "sum"),
    ).reset_index()
    table["effective_rows"] = table["weight"] ** 2 / table["squared"]
    return table.drop(columns=["weight", "squared"]).astype({"returned": np.int64})


def constant_propensity(frame: pd.DataFrame) -> dict[str, float] | None:
    """Propensity of each arm, if every arm is one offer with one chance for all; else None."""
    if not (frame["arm"] == frame["offer"]).all():
        return None
    spread = frame.groupby("arm", sort=True)["propensity"].agg(["min", "max"])
    if (spread["max"] - spread["min"] > 1e-6).any():
        return None
    return {str(arm): float(share) for arm, share in spread["max"].items()}


def compare_sizes(
    frame: pd.DataFrame,
    *,
    planned: Mapping[str, float] | None,
    alpha: float,
) -> tuple[SampleRatio, tuple[str, ...]]:
    """Sizes of the arms against the plan, counted in what was drawn, and what was assumed for it.

    Customers were drawn, or whole groups where each of these has one arm (`drawn_units`). Without
    a plan the propensities are it; where arms are policies, equal shares; where chances
    differ among customers, the sums of 1 / propensity are judged.

    Raises
    ------
    ExperimentError
        If an arm is lost or unknown, or propensities contradict the plan or each other.
    """
    chances = constant_propensity(frame)
    policies = bool((frame["arm"] != frame["offer"]).any())
    keys = [name for name in ("customer_id", "campaign") if name in frame.columns]
    frame = frame.drop_duplicates(keys)  # customers were randomized, not rows
    frame = frame.iloc[drawn_units(frame["arm"].to_numpy(), drawn_together(frame))]
    if planned is not None:
        ratio = sample_ratio(frame["arm"], planned, alpha=alpha)
        if chances is not None:
            _check_plan(chances, planned)
        return ratio, ()
    if chances is not None:
        return sample_ratio(frame["arm"], chances, alpha=alpha), ()
    if policies:
        names = sorted(set(frame["arm"]))
        equal = dict.fromkeys(names, 1 / len(names))
        note = "planned shares were not given: arms of equal size are assumed"
        return sample_ratio(frame["arm"], equal, alpha=alpha), (note,)
    names = sorted(set(frame["offer"]))
    sent, propensity = frame["offer"].to_numpy(dtype=object), frame["propensity"].to_numpy()
    _check_sum_of_chances(propensity, len(names))
    note = "chances differ among customers: the sample ratio is that of 1 / propensity"
    return propensity_ratio(sent, propensity, names, alpha=alpha), (note,)


def refuse_mismatch(ratio: SampleRatio, *, allow: bool) -> tuple[str, ...]:
    """Refuse a sample ratio mismatch, or say in a note that it was overridden.

    Raises
    ------
    SampleRatioMismatch
        If the alarm went off and is not allowed to be ignored.
    """
    if not ratio.mismatch:
        return ()
    rows = ", ".join(f"{row.arm} {row.rows}/{row.expected:.0f}" for row in ratio.arms.itertuples())
    message = (
        f"p = {ratio.p_value:.2g} is below {ratio.alpha:g}; rows found/expected: {rows}; find the "
        "rows that were lost or added, or correct the planned shares, before reading any effect"
    )
    if not allow:
        raise SampleRatioMismatch("sample ratio", message)
    return (f"overridden: sample ratio: {message}",)


def _check_plan(chances: Mapping[str, float], planned: Mapping[str, float]) -> None:
    """Refuse logged chances of the arms that are not the planned ones."""
    wrong = {
        arm: (round(chance, 4), planned[arm])
        for arm, chance in chances.items()
        if abs(chance - planned[arm]) > SHARE_TOLERANCE
    }
    if wrong:
        raise ExperimentError(
            "propensities",
            f"logged and planned chances differ (logged, planned): {wrong}; correct the one that "
            "was not used to draw the offers",
        )


def _check_sum_of_chances(propensity: np.ndarray, offers: int) -> None:
    """Refuse chances that do not sum to 1: the mean of 1 / propensity is then not their number."""
    inverse = 1.0 / propensity
    distance = abs(inverse.mean() - offers)
    if distance > max(0.02 * offers, 6 * inverse.std() / np.sqrt(len(inverse))):
        raise ExperimentError(
            "propensities",
            f"the mean of 1 / propensity is {inverse.mean():.4g} for {offers} offers, so the "
            "chances of a customer do not sum to 1; log the probability of the offer that was sent",
        )


def _names(values: pd.Series) -> pd.Series:
    """Values as Python strings, one object per distinct value, which are fast to compare."""
    codes, levels = pd.factorize(values)
    names = np.array([str(level) for level in levels], dtype=object)
    return pd.Series(names[codes], dtype=object)


def _check_contamination(frame: pd.DataFrame, control: str) -> tuple[str, ...]:
    keys = ["customer_id", "campaign"] if "campaign" in frame.columns else ["customer_id"]
    arms_of = frame.drop_duplicates([*keys, "arm"]).groupby(keys, dropna=False).size()
    several = int((arms_of > 1).sum())
    if several:
        raise ExperimentError(
            "contamination",
            f"{several} customers stand in more than one arm; keep the first assignment of each, "
            "or leave them out of all arms",
        )
    if "cost" in frame.columns:
        paid = int(((frame["arm"] == control) & (frame["cost"].fillna(0) > 0)).sum())
        if paid:
            raise ExperimentError(
                "contamination",
                f"{paid} rows of the control '{control}' have an offer cost; the control must get "
                "no offer",
            )
    if "returned_at" not in frame.columns:
        return ("returned_at is not given: outcomes before the offer cannot be seen",)
    sent_at = next((name for name in ("as_of", "offered_at") if name in frame.columns), None)
    if sent_at is None:
        raise ExperimentError(
            "columns",
            "returned_at is given, and as_of, when the offer was sent, is missing; add it to the "
            "query",
        )
    early = int((frame["returned_at"] < frame[sent_at]).sum())
    if early:
        raise ExperimentError(
            "timing",
            f"{early} customers returned before their offer was sent; count outcomes from the "
            "offer on, and leave out customers who had returned already",
        )
    return ()

"""Readout of a randomized experiment: checks of its validity, and the effect of each offer.

`readout` first refuses broken experiments (see `randomization`), then estimates what each arm
brought and by how much it beat the control, on return, cost, value, profit and return on
investment, plain and adjusted for what was known before the offer. It computes; printing and
drawing are done by who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ..groups import drawn_together, drawn_units, has_groups, shared_labels
from .assignment import (
    check_cells,
    checked_rows,
    compare_sizes,
    constant_propensity,
    overlap,
    refuse_mismatch,
)
from .covariates import Design, covariate_design
from .effect_tables import of_money, readout_tables
from .randomization import (
    ExperimentError,
    SampleRatio,
    SampleRatioMismatch,
    arm_prediction_test,
    check_logged,
    standardized_differences,
    weighted_balance,
)

__all__ = ["ExperimentError", "Readout", "SampleRatioMismatch", "readout"]

LEAST_ROWS = 100  # of an arm; smaller ones are refused
UNBALANCED = 0.01  # balance below this p-value is mentioned in the notes


@dataclass(frozen=True)
class Readout:
    """Everything that an experiment says, as small tables.

    Attributes
    ----------
    control
        The arm that all others are compared with.
    rows
        Rows read.
    sample_ratio
        Test and reconciliation of the sizes of the arms.
    balance
        covariate, arm, smd; empty without covariates.
    balance_p_value
        P-value of the arms being alike before the offer: by permutation, or, where chances differ
        among customers, after weighting by 1 / propensity; NaN without covariates.
    overlap
        offer, rows, returned, lowest and highest propensity, effective_rows.
    levels
        arm, outcome, rows, estimate, lo, hi, se: what each arm brought per customer.
    effects
        arm, outcome, adjusted, estimate, lo, hi, se, p_value, p_holm, relative: against the
        control. Holm's family is all arms on one outcome.
    offers
        As `effects`, by the offer that was sent, pooled over arms with weights 1 / propensity;
        column `offer`. Empty where arm and offer are the same thing.
    pairs
        arm, against, outcome, adjusted, estimate, lo, hi, se, p_value, p_holm: arms that are not
        the control against each other.
    power
        arm, outcome, smallest_detectable (with a chance of 80% at 5%), rows_for_estimate: rows
        of the whole experiment that would show an effect as large as the one estimated.
    notes
        What was assumed, or could not be checked.
    """

    control: str
    rows: int
    sample_ratio: SampleRatio
    balance: pd.DataFrame
    balance_p_value: float
    overlap: pd.DataFrame
    levels: pd.DataFrame
    effects: pd.DataFrame
    offers: pd.DataFrame
    pairs: pd.DataFrame
    power: pd.DataFrame
    notes: tuple[str, ...]


def readout(
    offers: pd.DataFrame,
    *,
    control: str,
    rng: np.random.Generator,
    planned: Mapping[str, float] | None = None,
    expected: Sequence[str] = (),
    contact_cost: Mapping[str, float] | None = None,
    covariates: pd.DataFrame | None = None,
    alpha: float = 0.001,
    lowest_propensity: float = 0.01,
    allow_mismatch: bool = False,
) -> Readout:
    """Check an experiment and estimate the average effects of its offers.

    Parameters
    ----------
    offers
        One row per offer sent: customer_id, offer, propensity and returned (0 or 1), and where
        known arm (the randomized cell, when it is not the offer), value, value_known (whether
        value is, see `maturity`: money is read on those rows), cost, as_of and returned_at,
        campaign, group_id. Rows with the same group_id or customer share their fate: intervals
        are by group, and where every group has one arm, groups were drawn and are counted in the
        checks.
    control
        Name of the arm without an offer.
    rng
        Source of the permutations of the balance test.
    planned
        Planned share of each arm. By default the propensity, where it is the same for all rows of
        an arm; where arms are policies, equal shares, with a note.
    expected
        Names of the arms that must have rows, where no shares were planned.
    contact_cost
        Cost of contacting one customer, by arm; added to what was paid on acceptance.
    covariates
        Facts known before the offer, in the row order of `offers`; None: no balance and no
        adjusted effects.
    alpha
        Level of the alarms for a sample ratio mismatch and for arms that differed before the
        offer.
    lowest_propensity
        Smaller chances are refused.
    allow_mismatch
        Go on although such an alarm went off; a note says so.

    Raises
    ------
    ExperimentError
        If the experiment is broken; its `check` says how.
    SampleRatioMismatch
        If the sizes of the arms cannot be explained by randomization.
    ValueError
        If an argument does not fit the rows.
    """
    frame, noted = checked_rows(
        offers, needed=(control, *expected), control=control, planned=planned
    )
    if (frame["arm"] == control).all() or (frame["offer"] == control).all():
        raise ExperimentError(
            "lost arm",
            f"all rows are of the control '{control}', which leaves nothing to compare it with; "
            "find where the rows of the other arms were dropped",
        )
    check_cells(frame, minimum_rows=LEAST_ROWS, lowest_propensity=lowest_propensity)
    ratio, assumed = compare_sizes(frame, planned=planned, alpha=alpha)
    notes = [*noted, *assumed, *refuse_mismatch(ratio, allow=allow_mismatch)]
    if covariates is not None and len(covariates) != len(frame):
        raise ValueError(f"covariates: must have {len(frame)} rows, found {len(covariates)}")
    frame, covariates = _sorted(frame, covariates)
    labels = frame["arm"].to_numpy(dtype=object)
    clusters = shared_labels(frame)
    notes += _shared(frame, clusters)
    policies = bool((frame["arm"] != frame["offer"]).any())
    differ = not policies and constant_propensity(frame) is None
    by_arm = frame["propensity"].to_numpy() if differ else None
    with threadpool_limits(1):  # sums differ in their last bits from one count to another
        facts = None if covariates is None else covariate_design(covariates)
        units = drawn_units(labels, drawn_together(frame))
        balance, balance_p_value, where = _balance(facts, labels, control, by_arm, units, rng)
        notes += _refuse_unbalanced(balance_p_value, where, alpha=alpha, allow=allow_mismatch)
        arms = [control, *sorted(set(labels) - {control})]
        tables = readout_tables(
            frame,
            labels,
            arms,
            contact_cost=contact_cost,
            least_rows=LEAST_ROWS,
            facts=facts,
            clusters=clusters,
            propensity=by_arm,
        )
        notes += of_money(frame, tables["levels"])
        return Readout(
            control=control,
            rows=len(frame),
            sample_ratio=ratio,
            balance=balance,
            balance_p_value=balance_p_value,
            overlap=overlap(frame),
            offers=_pooled(frame, control, contact_cost, facts, clusters, ratio, notes)
            if policies
            else tables["effects"].iloc[:0].rename(columns={"arm": "offer"}),
            notes=tuple(notes),
            **tables,
        )


def _shared(frame: pd.DataFrame, clusters: np.ndarray | None) -> list[str]:
    """In words what intervals are by, where rows share their fate."""
    if clusters is None:
        return []
    if has_groups(frame):
        return ["some customers share a group_id: intervals are by group"]
    return ["some customers have several rows: intervals are by customer"]


def _sorted(
    frame: pd.DataFrame, covariates: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Everything in the order of the customers, so that sums do not depend on that of the rows."""
    keys = [name for name in ("customer_id", "campaign") if name in frame.columns]
    order = frame[keys].sort_values(keys, kind="stable").index.to_numpy()
    if covariates is not None:
        covariates = covariates.iloc[order]
    return frame.iloc[order].reset_index(drop=True), covariates


def _balance(
    facts: Design | None,
    labels: np.ndarray,
    control: str,
    propensity: np.ndarray | None,
    units: np.ndarray,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, float, str]:
    """Standardized differences, p-value (of the units drawn), and where the arms differ most."""
    if facts is None or not facts.names:
        return pd.DataFrame({"covariate": [], "arm": [], "smd": []}), np.nan, ""
    table = standardized_differences(facts, labels, control)
    drawn = facts._replace(matrix=facts.matrix[units])
    if propensity is not None:
        names = sorted(set(labels))
        p_value, covariate, offer = weighted_balance(drawn, labels[units], propensity[units], names)
        return table, p_value, f"{covariate} in {offer}, after weighting by 1 / propensity"
    worst = table.iloc[int(table["smd"].abs().to_numpy().argmax())]
    where = f"{worst['covariate']} in {worst['arm']}, {worst['smd']:+.3f} standard deviations"
    return table, arm_prediction_test(drawn, labels[units], rng=rng), where


def _refuse_unbalanced(p_value: float, where: str, *, alpha: float, allow: bool) -> list[str]:
    """Refuse arms that differed before the offer, or say in a note that they do.

    Raises
    ------
    ExperimentError
        If they differ by more than chance explains and that is not allowed.
    """
    if not p_value < UNBALANCED:
        return []
    message = f"arms differ in what was known before the offer (p = {p_value:.3g}; most: {where})"
    if p_value >= alpha:
        return [message]
    if allow:
        return [f"overridden: balance: {message}"]
    raise ExperimentError(
        "balance",
        f"{message}: offers were not drawn at random with the logged chances, so this is "
        "observational data and no experiment; log the chances with which the offers were drawn, "
        "run an experiment, or write observational: true for adjusted estimates with bounds",
    )


def _pooled(
    frame: pd.DataFrame,
    control: str,
    contact_cost: Mapping[str, float] | None,
    facts: Design | None,
    clusters: np.ndarray | None,
    ratio: SampleRatio,
    notes: list[str],
) -> pd.DataFrame:
    """Effects by offer sent, over all arms, with the marginal propensities."""
    sent = frame["offer"].to_numpy(dtype=object)
    chances = frame["propensity"].to_numpy()
    offers = [control, *sorted(set(sent) - {control})]
    if ratio.mismatch:
        notes.append("pooled effects rest on propensities that the sizes of the arms contradict")
    else:
        units = drawn_units(sent, drawn_together(frame))
        check_logged(sent[units], chances[units], offers)
    tables = readout_tables(
        frame,
        sent,
        offers,
        contact_cost=contact_cost,
        least_rows=LEAST_ROWS,
        facts=facts,
        clusters=clusters,
        propensity=chances,
    )
    return tables["effects"].rename(columns={"arm": "offer"})

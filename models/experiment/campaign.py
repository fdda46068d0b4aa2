"""What a campaign added for the customers it chose, against those it chose and held out.

A campaign sends each customer the offer that a policy chose, and withholds it from a random few.
Its offers went to different customers, so they cannot be compared with each other; but each can be
compared with nothing among the customers for whom it was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..groups import drawn_together, drawn_units, shared_labels
from .assignment import check_cells, checked_rows
from .covariates import covariate_design
from .effect_tables import (
    effect_table,
    first_of_each,
    of_money,
    outcome_columns,
    score_arms,
    value_parts,
)
from .effects import with_holm
from .randomization import ExperimentError, check_logged, weighted_balance

ALL = "all chosen"
LEAST_CHANCE = 0.01  # of being held out, or of being sent what was chosen
LEAST_ROWS = 100  # sent, and held out, of an offer that is read


@dataclass(frozen=True)
class CampaignReadout:
    """What a campaign says.

    Attributes
    ----------
    rows
        Customers for whom an offer was chosen.
    effects
        chosen, sent, held_out (rows), outcome, adjusted, estimate, lo, hi, se, p_value, p_holm,
        relative: of the chosen offer against nothing, on average over those for whom it was
        chosen; `all chosen` is the whole campaign. Money is read on rows whose value is known.
        Holm's family is the offers on one outcome.
    notes
        What was left out or could not be checked.
    """

    rows: int
    effects: pd.DataFrame
    notes: tuple[str, ...]

    def whole(self, outcome: str) -> pd.Series | None:
        """The row of `effects` on an outcome of the whole campaign; None if it is not read."""
        found = self.effects[self.effects["outcome"] == outcome]
        return None if found.empty else found.iloc[-1]


def campaign_readout(
    offers: pd.DataFrame,
    *,
    control: str,
    contact_cost: Mapping[str, float] | None = None,
    covariates: pd.DataFrame | None = None,
    alpha: float = 0.001,
) -> CampaignReadout:
    """Effects of the chosen offers on those for whom they were chosen.

    Parameters
    ----------
    offers
        As in `readout.readout`, with `chosen`, the offer that the policy chose (the control where
        it chose none), and `propensity`, the probability of the offer that was sent. Rows that
        were sent another offer than the chosen one, to explore, may be among them. With group_id,
        intervals are by group.
    control
        Name of no offer.
    contact_cost
        Cost of contacting one customer, by offer.
    covariates
        Facts known before the offer, in the row order of `offers`, for the check of balance.
    alpha
        Level of the alarms: propensities that the offers sent contradict, and customers held out
        who differ from the others.

    Raises
    ------
    ExperimentError
        If rows are contaminated, nobody was held out, logged chances are wrong, or those held out
        differed before the offer.
    """
    if "propensity" not in offers.columns:
        raise ExperimentError(
            "propensities", "column 'propensity' is missing; log the chance of the offer sent"
        )
    offers = offers.reset_index(drop=True)
    chosen = offers["chosen"].fillna(control).astype(str).to_numpy(dtype=object)
    frame, notes = checked_rows(
        offers.drop(columns=["chosen", "arm"], errors="ignore"),
        needed=(control,),
        control=control,
        planned=None,
    )
    selected = chosen != control
    frame, chosen = frame[selected].reset_index(drop=True), chosen[selected]
    if covariates is not None:
        covariates = covariates.reset_index(drop=True)[selected].reset_index(drop=True)
    parts, left_out = _readable(frame["offer"].to_numpy(dtype=object), chosen, control)
    if not parts:
        raise ExperimentError(
            "small arm",
            f"at least {LEAST_ROWS} customers sent and {LEAST_ROWS} held out are needed of an "
            f"offer, found {'; '.join(left_out) or 'nobody chosen'}; wait for more customers",
        )
    tables = []
    for name, rows in parts.items():
        part_covariates = None if covariates is None else covariates[rows].reset_index(drop=True)
        tables.append(
            _effects(
                frame[rows].reset_index(drop=True),
                chosen[rows],
                name,
                control=control,
                contact_cost=contact_cost,
                covariates=part_covariates,
                alpha=alpha / len(parts),
            )
        )
    effects = _over_offers(tables)
    notes = (*notes, *(f"not read: {why}" for why in left_out), *of_money(frame, effects))
    return CampaignReadout(len(frame), effects, notes)


def _readable(
    sent: np.ndarray, chosen: np.ndarray, control: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Rows of each offer, and of all, where they are enough; and in words which have too few."""
    parts, left_out = {}, []
    for name in sorted(set(chosen)):
        rows = chosen == name
        got, held = int((sent[rows] == name).sum()), int((sent[rows] == control).sum())
        if min(got, held) >= LEAST_ROWS:
            parts[name] = rows
        else:
            left_out.append(f"{name}: {got} sent, {held} held out")
    got, held = int((sent == chosen).sum()), int((sent == control).sum())
    if len(parts) + len(left_out) > 1 and min(got, held) >= LEAST_ROWS:
        parts[ALL] = np.ones(len(chosen), dtype=bool)
    return parts, left_out


def _effects(
    frame: pd.DataFrame,
    chosen: np.ndarray,
    name: str,
    *,
    control: str,
    contact_cost: Mapping[str, float] | None,
    covariates: pd.DataFrame | None,
    alpha: float,
) -> pd.DataFrame:
    """The effect table of one offer, or of all, on those for whom it was chosen."""
    sent, chance = frame["offer"].to_numpy(dtype=object), frame["propensity"].to_numpy(dtype=float)
    labels = np.where(sent == control, control, np.where(sent == chosen, name, "another offer"))
    compared = (labels == control) | (labels == name)
    check_cells(frame[compared], minimum_rows=1, lowest_propensity=LEAST_CHANCE)
    clusters = shared_labels(frame)
    units = drawn_units(sent, drawn_together(frame))
    check_logged(labels[units], chance[units], [control, name], alpha=alpha)
    facts = None if covariates is None else covariates.iloc[units]
    _refuse_unbalanced(facts, labels[units], chance[units], [control, name], alpha)
    tables = []
    for rows, _, part in value_parts(frame, labels, [control, name], least_rows=LEAST_ROWS):
        offers = set(part["offer"])
        costs = {offer: cost for offer, cost in (contact_cost or {}).items() if offer in offers}
        scored = score_arms(
            outcome_columns(part, sent[rows], contact_cost=costs),
            labels[rows],
            [control, name],
            clusters=None if clusters is None else clusters[rows],
            propensity=chance[rows],
        )
        table = effect_table(scored, adjusted=False).rename(columns={"arm": "chosen"})
        table.insert(1, "sent", int((labels[rows] == name).sum()))
        table.insert(2, "held_out", int((labels[rows] == control).sum()))
        tables.append(table)
    return first_of_each(tables)


def _over_offers(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables of the offers as one, their p-values corrected for there being several."""
    table = pd.concat(tables, ignore_index=True)
    whole = table["chosen"] == ALL
    table.loc[~whole, "p_holm"] = with_holm(table[~whole])["p_holm"]
    return table


def _refuse_unbalanced(
    covariates: pd.DataFrame | None,
    labels: np.ndarray,
    chance: np.ndarray,
    names: list[str],
    alpha: float,
) -> None:
    facts = None if covariates is None else covariate_design(covariates)
    if facts is None or not facts.names:
        return
    p_value, covariate, _ = weighted_balance(facts, labels, chance, names)
    if p_value < alpha:
        raise ExperimentError(
            "balance",
            f"customers chosen for '{names[1]}' and held out differ from the others in what was "
            f"known before the offer (p = {p_value:.3g}; most: {covariate}); hold out at random, "
            "with the logged chance",
        )

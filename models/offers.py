"""What an offer costs, and the arithmetic that follows: expected cost and expected profit."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Offer:
    """What an offer costs: once when it is accepted, and once for each customer contacted.

    Attributes
    ----------
    cost_on_acceptance
        Money for each customer who returns with the offer.
    contact_cost
        Money for each customer who is sent the offer.
    """

    cost_on_acceptance: float = 0.0
    contact_cost: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cost_on_acceptance", "contact_cost"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, found {getattr(self, name):g}")

    def expected_cost(self, return_probability: Any) -> Any:
        """Money per customer contacted: the cost on acceptance is paid by those who return."""
        return return_probability * self.cost_on_acceptance + self.contact_cost

    def expected_profit(self, return_probability: Any, value: Any) -> Any:
        """Money per customer contacted, where a return is worth `value` before the offer's cost."""
        return return_probability * (value - self.cost_on_acceptance) - self.contact_cost

    @property
    def cents_on_acceptance(self) -> int:
        """Cost on acceptance in whole cents, the unit of money in the tables of features."""
        return round(100 * self.cost_on_acceptance)


NO_OFFER = Offer()  # what the control costs
RETURNS, STAYS = "return_probability_", "stay_probability_"  # of the lost, of the active


def chances_of(columns: Any, control: str) -> str:
    """What the probabilities per offer begin with in these forecasts: `STAYS` or `RETURNS`."""
    return STAYS if f"{STAYS}{control}" in columns else RETURNS


def with_control(offers: Mapping[str, Offer], control: str) -> dict[str, Offer]:
    """All that a customer can be sent, the control first, which costs nothing."""
    return {control: NO_OFFER, **offers}


def check_doses(doses: Mapping[str, Mapping[str, float]], offers: Collection[str]) -> None:
    """Raise ValueError unless `doses` are families of the `offers`, each of several real doses.

    Parameters
    ----------
    doses
        Dose by offer, by name of the family; the control is the dose 0 of every family.
    offers
        All offers but the control.
    """
    seen: dict[str, str] = {}
    for family, members in doses.items():
        where = f"doses.{family}"
        if len(members) < 2:
            raise ValueError(
                f"{where}: must have at least two offers, found {len(members)}; a dose alone has "
                "nothing to be ordered with, leave the family out"
            )
        by_dose: dict[float, str] = {}
        for offer, dose in members.items():
            if offer not in offers:
                raise ValueError(
                    f"{where}: '{offer}' is not among the offers {', '.join(sorted(offers))}; "
                    "list it there, or correct its name (the control is dose 0 by itself)"
                )
            if not 0 < dose < math.inf:
                raise ValueError(
                    f"{where}.{offer}: must be a number above 0, found {dose:g}; the control is "
                    "dose 0"
                )
            if dose in by_dose:
                raise ValueError(
                    f"{where}: '{by_dose[dose]}' and '{offer}' have the same dose {dose:g}; two "
                    "offers of one depth are no family, leave one out"
                )
            if offer in seen:
                raise ValueError(
                    f"{where}: '{offer}' stands in family '{seen[offer]}' as well; keep it in one"
                )
            by_dose[dose] = offer
            seen[offer] = family


def expected_costs(offers: Mapping[str, Offer], return_probability: np.ndarray) -> np.ndarray:
    """Expected money (rows, offers) from the return probabilities (rows, offers)."""
    columns = zip(offers.values(), np.asarray(return_probability).T, strict=True)
    return np.column_stack([offer.expected_cost(chance) for offer, chance in columns])


def of_own_offer(table: Any, offer: Any, stem: str) -> np.ndarray:
    """Column `<stem><offer>` of each row's own offer, (rows,), of a frame of forecasts."""
    names = np.asarray(offer, dtype=object)
    values = np.full(len(names), np.nan)
    for name in set(names.tolist()):
        mine = names == name
        values[mine] = table[f"{stem}{name}"].to_numpy(dtype=np.float64)[mine]
    return values

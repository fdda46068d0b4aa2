"""What an offer costs, and the arithmetic that follows: expected cost and expected profit."""

from __future__ import annotations

from collections.abc import Mapping
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

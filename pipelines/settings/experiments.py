"""The randomized experiments of a source: among customers who left, and among active ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...features.contract.contract import REASONS
from ...models.offers import Offer, check_doses
from .yaml_dataclasses import suggest


@dataclass(frozen=True)
class Experiment:
    """The randomized experiment of a source.

    Attributes
    ----------
    offers
        Costs by name of offer, the control not among them.
    control
        The name under which customers stand who were offered nothing.
    return_window_days
        A return counts when it comes within so many days of the offer.
    value_horizon_days
        What a return earns is summed over so many days from the offer.
    objective
        What a campaign shall maximize where `recommend.objective` of params.yaml is empty; profit
        if this is left out too.
    doses
        Offers that are doses of one thing, such as discounts of 10, 20 and 30 percent: dose by
        offer, by a name for each such family. A response is taken to rise with the dose, the
        control is dose 0.
    shares
        Planned share of each arm, where the logged propensities do not tell it.
    tailored
        The policy sent in the arm 'tailored': offer by stated reason.
    tailoring_cost
        Cost of tailoring, for each customer contacted in that arm.
    outcome
        What a return is called in reports.
    observational
        Offers were targeted, not drawn at random: `winback readout` adjusts and bounds the
        effects, and no list is made from them.
    """

    offers: Mapping[str, Offer]
    control: str = "none"
    return_window_days: int = 90
    value_horizon_days: int = 365
    objective: Literal["profit", "roi", "returns"] | None = None
    doses: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    tailored: Mapping[str, str] = field(default_factory=dict)
    tailoring_cost: float = 0.0
    outcome: str = "returned"
    observational: bool = False

    def __post_init__(self) -> None:
        if not self.offers:
            raise ValueError("offers must name at least one offer beside the control, found none")
        if self.control in self.offers:
            raise ValueError(f"offers must not list the control '{self.control}'; it costs nothing")
        for name in ("return_window_days", "value_horizon_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.tailoring_cost < 0:
            raise ValueError(f"tailoring_cost must be at least 0, found {self.tailoring_cost:g}")
        check_doses(self.doses, self.offers)
        for reason, offer in self.tailored.items():
            if reason not in REASONS:
                raise ValueError(f"tailored: unknown reason '{reason}'; {suggest(reason, REASONS)}")
            if offer not in self.offers:
                raise ValueError(
                    f"tailored: unknown offer '{offer}'; {suggest(offer, [*self.offers])}"
                )

    @property
    def offer_names(self) -> tuple[str, ...]:
        """All names that may stand in `offers.offer`, the control first."""
        return (self.control, *self.offers)


@dataclass(frozen=True)
class Retention:
    """A randomized experiment among active customers: an offer before they leave.

    Its rows stand in the table `offers` under names of their own, the control's too. Whoever is
    still a customer `churn.horizon_days` later has stayed; what counts is what comes after.

    Attributes
    ----------
    offers
        Costs by name of offer, the control not among them.
    control
        The name under which customers stand who were offered nothing.
    value_horizon_days
        What a customer kept earns is summed from the end of the churn horizon up to so many days
        after the offer.
    shares
        Planned share of each arm, where the logged propensities do not tell it.
    """

    offers: Mapping[str, Offer]
    control: str
    value_horizon_days: int = 365
    shares: Mapping[str, float] = field(default_factory=dict)

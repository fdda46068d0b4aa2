"""The simulated world as numbers: what is published, what is our choice, and its scenarios.

The published figures are those of V. Kumar, Y. Bhagwat & X. Zhang, "Regaining 'Lost' Customers",
Journal of Marketing 79(4), 2015, and the Harvard Business Review piece of March 2016 on it. The
magnitudes behind them are ours: no table of coefficients is public.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

OFFERS = ("none", "discount", "upgrade", "bundle")
ARMS = (*OFFERS, "tailored")
REASONS = ("price", "service", "both", "competitor", "moved", "need_gone")
PRICE, SERVICE, BOTH, COMPETITOR, MOVED, NEED_GONE = range(len(REASONS))

ACCEPTANCE: Mapping[str, float] = MappingProxyType(
    {"discount": 0.45, "upgrade": 0.41, "bundle": 0.47, "tailored": 0.45}
)
OFFER_COST: Mapping[str, float] = MappingProxyType(
    {"none": 0.0, "discount": 120.0, "upgrade": 105.0, "bundle": 225.0}
)
PUBLISHED_ROI: Mapping[str, float] = MappingProxyType(
    {"discount": 6.68, "upgrade": 7.93, "bundle": 3.02, "tailored": 5.96}
)
VALUE_OF_RETURN: Mapping[str, float] = MappingProxyType(
    {offer: OFFER_COST[offer] * (1 + PUBLISHED_ROI[offer]) for offer in OFFERS[1:]}
)

RETENTION_OFFERS = ("nothing", "rebate", "call")
RETENTION_COST = (0.0, 8.0, 0.0)  # for each customer who stays
SLEEPS_BELOW = -0.7  # of the trait usage: a quarter of the customers
# What each offer makes of the hazard of each reason, for customers who use the service, and for
# those who hardly do; nothing leaves all as they are.
RETENTION_FACTORS = np.array(
    [
        [[1.0] * 6, [0.1, 1.0, 1.0, 0.1, 1.0, 1.0], [1.0, 0.5, 0.5, 1.0, 1.0, 1.0]],
        [[1.0] * 6, [2.5, 2.5, 2.5, 2.5, 1.0, 1.0], [1.5, 1.5, 1.5, 1.5, 1.0, 1.0]],
    ]
)

TAILORING_COST = 8.0  # of choosing the tailored offer, for each customer contacted with it

LEAVERS = 53_000  # within the study window, at scale 1
LOST_TWICE_SHARE = 0.03  # of the experiment
WINDOW_MONTHS = 84
MONTHLY_GROWTH = 0.0152  # of the number of sign-ups

DAY = 86_400
MONTH = 2_629_800
STUDY_STARTS = np.datetime64("2006-01", "M")

Heterogeneity = Literal["default", "reason_only"]


@dataclass(frozen=True)
class World:
    """One simulated business; the defaults reproduce the published study.

    Attributes
    ----------
    scale
        Size: 1.0 is 53,000 leavers in the study window, 40,000 of them in the experiment.
    organic_return
        Mean probability that a leaver of the experiment comes back unasked within the return
        window; met up to what chance does to the choice of the customers.
    heterogeneity
        "default": effects also differ by what events show (share bought at a discount, use of
        premium features, lapse, contacts); "reason_only": by the reason for leaving alone.
    effect_strength
        1.0 as published; 0.0 makes every offer act exactly like none (an A/A world).
    eligible
        Customers of the experiment at scale 1, of the `LEAVERS` within the window.
    value_horizon_days
        The value of a return is the margin within so many days of the offer; also the length of
        the tail after the window, so that every outcome is complete.
    return_window_days
        A return counts when it happens within so many days of the offer.
    churn_horizon_days
        The true probability of leaving looks so many days ahead of the end of the data.
    contact_cost
        Cost of contacting a customer with an offer.
    do_not_disturb
        Share of the experiment on whom any offer backfires.
    stated_reason_right, stated_reason_missing
        Shares of departures with the true reason stated, and with none stated.
    retention
        Whether the active customers of a first relation are in an experiment of their own at the
        end of the window.
    first_customer_id
        Smallest customer id, so that shards of one population do not collide.
    """

    scale: float = 1.0
    organic_return: float = 0.15
    heterogeneity: Heterogeneity = "default"
    effect_strength: float = 1.0
    eligible: int = 40_000
    value_horizon_days: int = 730
    return_window_days: int = 90
    churn_horizon_days: int = 90
    contact_cost: float = 2.0
    do_not_disturb: float = 0.04
    stated_reason_right: float = 0.85
    stated_reason_missing: float = 0.10
    retention: bool = False
    first_customer_id: int = 1

    def __post_init__(self) -> None:
        """Refuse a world that cannot be simulated, naming the parameter."""
        bounds = {
            "scale": (0.002, 200.0),
            "organic_return": (0.01, 0.30),
            "effect_strength": (0.0, 1.0),
            "do_not_disturb": (0.0, 0.2),
            "stated_reason_right": (0.0, 1.0),
            "stated_reason_missing": (0.0, 1.0 - self.stated_reason_right),
            "eligible": (1, 0.78 * LEAVERS),
            "return_window_days": (30, 365),
            "value_horizon_days": (2 * self.return_window_days, 1_825),
            "churn_horizon_days": (1, 365),
            "first_customer_id": (1, 2_000_000_000),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(
                    f"simulate: '{name}' must lie in [{low:g}, {high:g}], found {value:g}"
                )
        if self.retention and self.churn_horizon_days > self.value_horizon_days:
            raise ValueError(
                "simulate: 'churn_horizon_days' must be at most value_horizon_days "
                f"({self.value_horizon_days}) where active customers are tested, found "
                f"{self.churn_horizon_days}; the data end with those days"
            )
        if self.heterogeneity not in get_args(Heterogeneity):
            raise ValueError(
                f"simulate: 'heterogeneity' must be one of "
                f"{', '.join(get_args(Heterogeneity))}, found '{self.heterogeneity}'"
            )

    @property
    def window_starts_at(self) -> int:
        """First second of the study window."""
        return _second(STUDY_STARTS)

    @property
    def window_ends_at(self) -> int:
        """End of the study window; the tail begins."""
        return _second(STUDY_STARTS + WINDOW_MONTHS)

    @property
    def retention_at(self) -> int:
        """Second of the experiment among active customers."""
        return self.window_ends_at

    @property
    def as_of(self) -> int:
        """End of the tail and of all data, in seconds."""
        return self.window_ends_at + self.value_horizon_days * DAY

    @property
    def n_leavers(self) -> int:
        """Customers who leave within the window."""
        return round(LEAVERS * self.scale)

    @property
    def n_eligible(self) -> int:
        """Customers of the experiment."""
        return round(self.eligible * self.scale)

    @property
    def n_lost_twice(self) -> int:
        """Customers of the experiment lost for the second time."""
        return round(LOST_TWICE_SHARE * self.n_eligible)


def _second(month: np.datetime64) -> int:
    """First second of a month, since 1970."""
    return int(month.astype("datetime64[s]").astype(np.int64))

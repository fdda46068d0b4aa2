"""Numbers and names in the words of the report: money, shares, intervals, policies."""

from __future__ import annotations

import math
import re

from ...models.evaluation.policies import TREAT_NONE, WITHIN_LIMITS
from ..settings.experiments import Experiment
from ..settings.sources import Source

POLICIES = {
    TREAT_NONE: "no offer to anybody",
    "random": "an offer at random",
    "response_model": "response model: each gets the offer they are likeliest to accept",
    "policy_tree": "three questions: a rule that fits on a card",
    "tailored": "the offer that the stated reason suggests",
    "by_risk": "by risk: the likeliest to leave",
    "by_uplift": "by uplift: whom an offer keeps",
    "ours": "our policy",
    "before_rules": "our policy before rules and limits",
}


def policy_name(policy: str) -> str:
    """A policy in words: 'discount_for_all' is 'discount for all'."""
    if policy.endswith(WITHIN_LIMITS):
        return f"{plain(policy.removesuffix(WITHIN_LIMITS))} at random within the limits"
    return POLICIES.get(policy, plain(policy))


def plain(name: object) -> str:
    """A column or an offer without underscores."""
    return str(name).replace("_", " ")


def amount(value: float, source: Source) -> str:
    """Money in the currency of the source: cents below 100, millions in words."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    if size >= 9_999_500:
        shown = f"{size / 1e6:,.1f} million"
    elif size >= 99.995:
        shown = f"{size:,.0f}"
    else:
        shown = f"{size:,.2f}"
    return f"{sign}{source.currency}{shown}"


def customers(count: float) -> str:
    """The noun after a count of them."""
    return "customer" if count == 1 else "customers"


def share(value: float) -> str:
    """A share in percent, one decimal."""
    return f"{value:.1%}"


def interval(lo: str, hi: str) -> str:
    """An interval in words."""
    return f"{lo} to {hi}"


def p_value(value: float | None) -> str:
    """A p-value: below .001 as such."""
    if value is None or math.isnan(value):
        return ""
    return "below .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def measured(value: float, objective: str, source: Source) -> str:
    """The value of a policy in the unit of its objective."""
    if objective == "returns":
        return share(value)
    return f"{value:.2f}" if objective == "roi" else amount(value, source)


def more_or_less(gain: float, lo: float, hi: float) -> tuple[float, float, float, str]:
    """A gain and its interval in words that fit its sign: 5.2 less, not -5.2 more."""
    return (gain, lo, hi, "more") if gain >= 0 else (-gain, -hi, -lo, "less")


def unit(objective: str, source: Source, experiment: Experiment | None = None) -> str:
    """The unit of a policy's value in an experiment, by default that among lost customers."""
    experiment = experiment or source.experiment
    outcome = experiment.outcome if experiment else "returned"
    money = f", {source.currency.strip()}" if source.currency else ""
    return {
        "profit": f"profit per customer{money}",
        "roi": "gain per unit of money spent",
        "returns": f"share with outcome {outcome}",
    }[objective]


def rule(reason: str) -> str:
    """The rule behind a sentence of reasons, without its numbers, to count customers by."""
    first = reason.split(";", maxsplit=1)[0]
    return re.sub(r"^not worth it: .*", "no offer would earn its cost", first)

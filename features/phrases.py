"""Plain words for a feature that is high, low or unknown: what a marketer would say of a customer.

A feature without a phrase of its own falls back on its meaning in the data dictionary.
"""

from __future__ import annotations

import re

_DAYS = r"_(\d+)d"
# Pattern of a name, high, low; {0} is what the pattern caught.
PHRASES: tuple[tuple[str, str, str], ...] = (
    (r"days_since_last_order", "has not ordered for long", "ordered lately"),
    (r"days_since_last_activity", "silent for long", "active lately"),
    (r"days_since_last_complaint", "last complaint long ago", "complained lately"),
    (r"days_since_last_referral", "last referral long ago", "referred somebody lately"),
    (r"days_since_last_contact", "not contacted for long", "contacted lately"),
    (r"days_since_last_offer", "last offer long ago", "had an offer lately"),
    (r"days_since_last_(\w+)", "no '{0}' for long", "'{0}' lately"),
    (rf"orders{_DAYS}", "many orders in {0} days", "few orders in {0} days"),
    (r"orders_total", "many orders so far", "few orders so far"),
    (r"orders_trend.*", "orders more often than before", "orders less often than before"),
    (r"mean_days_between_orders", "orders seldom", "orders often"),
    (r"order_gap_ratio", "silent for longer than usual", "as regular as usual"),
    (rf"activity{_DAYS}", "very active in {0} days", "hardly active in {0} days"),
    (r"activity_total", "very active so far", "hardly active so far"),
    (r"activity_trend.*", "more active than before", "less active than before"),
    (rf"activity_quantity{_DAYS}", "uses a lot in {0} days", "uses little in {0} days"),
    (r"activity_quantity_trend.*", "use is rising", "use is falling"),
    (r"activity_quantity_ratio.*", "uses more than usual", "uses less than usual"),
    (rf"activity_(\w+?){_DAYS}", "much '{0}' in {1} days", "little '{0}' in {1} days"),
    (rf"spend{_DAYS}", "spent much in {0} days", "spent little in {0} days"),
    (r"spend_total", "spent much so far", "spent little so far"),
    (r"spend_trend.*", "spends more than before", "spends less than before"),
    (r"mean_order_amount", "large orders", "small orders"),
    (rf"margin{_DAYS}", "profitable in {0} days", "little profit in {0} days"),
    (r"margin_total", "profitable so far", "little profit so far"),
    (rf"discounted_share{_DAYS}", "lately buys at a discount", "lately buys at full price"),
    (r"discounted_share_total", "often buys at a discount", "rarely buys at a discount"),
    (r"discount_total", "was given much in discounts", "was given little in discounts"),
    (r"discount_depth_total", "buys at deep discounts", "buys near full price"),
    (r"days_since_signup", "customer for long", "customer since lately"),
    (r"days_in_lifetime", "stayed long without a break", "stayed only briefly"),
    (r"lifetimes_so_far", "came back before", "first time here"),
    (r"departures_so_far", "left several times", "seldom left"),
    (r"is_lost_twice", "left twice or more", "left at most once"),
    (r"is_lost", "lost today", "not lost today"),
    (r"days_since_departure", "left long ago", "left lately"),
    (r"days_away_before_return", "was away for long", "was away briefly"),
    (rf"complaints{_DAYS}", "complained in {0} days", "no complaint in {0} days"),
    (r"complaints_total", "complained a lot", "hardly complained"),
    (r"complaints_open", "has an open complaint", "no open complaint"),
    (r"complaints_resolved_share", "complaints were resolved", "complaints stayed unresolved"),
    (r"mean_days_to_resolve", "complaints took long to resolve", "complaints resolved fast"),
    (r"complaints_severe", "had a severe complaint", "no severe complaint"),
    (r"complaint_worst_severity", "worst complaint was severe", "worst complaint was slight"),
    (r"complaints_by_(\w+)", "complained of {0} faults", "no complaint of {0} faults"),
    (r"referrals_made", "referred others", "referred nobody"),
    (r"was_referred", "came by a referral", "came without a referral"),
    (r"referrals_converted", "referrals became customers", "no referral became a customer"),
    (r"referrals_converted_share", "most referrals worked", "few referrals worked"),
    (rf"contacts{_DAYS}", "contacted often in {0} days", "hardly contacted in {0} days"),
    (r"contacts_total", "contacted often", "hardly contacted"),
    (r"past_offers", "had win-back offers before", "had no win-back offer before"),
    (r"past_offers_accepted", "accepted an offer before", "accepted no offer before"),
)
_FLAG = "1 if "  # how the meaning of a feature that is true or false begins
_COMPILED = tuple((re.compile(pattern), high, low) for pattern, high, low in PHRASES)
_UNKNOWN = {  # what never happened has no day
    "days_since_last_order": "never ordered",
    "days_since_last_activity": "never active",
    "days_since_last_complaint": "never complained",
    "days_since_last_referral": "never referred anybody",
    "days_since_last_contact": "never contacted",
    "days_since_last_offer": "never had an offer",
    "days_since_departure": "never left",
    "days_away_before_return": "never came back before",
    "complaints_resolved_share": "no complaint so far",
    "mean_days_to_resolve": "no complaint so far",
    "complaint_worst_severity": "no complaint so far",
    "departure_reason": "gave no reason for leaving",
}


def high_and_low(name: str, meaning: str = "") -> tuple[str, str]:
    """Words for a high and for a low value of a feature.

    Parameters
    ----------
    name
        Name of the feature.
    meaning
        Its meaning in the data dictionary, for a feature without words of its own.
    """
    for pattern, high, low in _COMPILED:
        if found := pattern.fullmatch(name):
            caught = [part.replace("_", " ") for part in found.groups()]
            return high.format(*caught), low.format(*caught)
    thing = _thing(name, meaning)
    return (thing, f"not {thing}") if is_flag(meaning) else (f"high {thing}", f"low {thing}")


def is_flag(meaning: str) -> bool:
    """Whether a feature is 1 or 0 for true or false, by its meaning in the data dictionary."""
    return meaning.startswith(_FLAG)


def unknown(name: str, meaning: str = "") -> str:
    """Words for a feature of which nothing is known."""
    return _UNKNOWN.get(name, f"{_thing(name, meaning)} unknown")


def category(name: str, value: object, meaning: str = "") -> str:
    """Words for the value of a category."""
    said = str(value).replace("_", " ")
    if name == "departure_reason":
        return f"gave '{said}' as the reason for leaving"
    return f"{_thing(name, meaning)} {said}"


def _thing(name: str, meaning: str) -> str:
    told = meaning.rsplit("as known from the source: ", 1)[-1]
    return told.removeprefix(f"{_FLAG}true: ") or name.replace("_", " ")

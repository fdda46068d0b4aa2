"""A campaign from the list of decisions: the log to learn from, and the sheet to send from.

The log keeps, for everybody for whom an offer was recommended, what was assigned and with which
probability each offer could have been: what comes back is then comparable. The sheet has one row
per customer to contact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from ..offers import of_own_offer
from .decision import Decision
from .draws import offer_probabilities
from .evidence import beyond_usual, rows_alike

REMINDERS_DAYS = {  # after the first contact; the first try rarely succeeds
    "remind_on": 1,
    "remind_again_from": 5,
    "remind_again_until": 7,
}
HUMAN_FAULT = "complaints_by_human"  # feature: somebody was at fault
VALUE = {"lost": "value_of_return", "active": "value_of_staying"}  # by population
SENT, HELD_OUT = "sent", "held out at random"
OTHER_CAMPAIGN, NO_FORECAST, OBJECTED = "in another campaign", "no forecast", "objected"


def campaign_log(decision: Decision, table: pd.DataFrame, campaign: str) -> pd.DataFrame:
    """Everybody for whom an offer was recommended, and what chance made of it.

    Parameters
    ----------
    decision
        The file that made the list.
    table
        (n, ...) the list of `recommend`: customer_id, as_of and `DECISION_COLUMNS`.
    campaign
        Its name.

    Returns
    -------
    DataFrame
        customer_id, campaign, offered_at, chosen (the recommended offer), offer (the assigned
        one, the control if held out), propensity (of the assigned one), every_offer_open (whether
        each option had a chance) and probability_<option>, which add to 1.
    """
    names = [decision.control, *decision.offers]
    offered = table["recommended_offer"].notna() & (table["recommended_offer"] != decision.control)
    rows = table[offered].reset_index(drop=True)
    chosen = pd.Index(names).get_indexer(pd.Index(rows["recommended_offer"]))
    chances = offer_probabilities(decision.draws, chosen, names)
    log = pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "campaign": campaign,
            "offered_at": rows["as_of"],
            "chosen": rows["recommended_offer"],
            "offer": rows["assigned_offer"],
            "propensity": rows["propensity"],
            "every_offer_open": (chances > 0).all(axis=1),
        }
    )
    for column, name in enumerate(names):
        log[f"probability_{name}"] = chances[:, column]
    return log


def send_sheet(
    decision: Decision, table: pd.DataFrame, features: pd.DataFrame, campaign: str
) -> pd.DataFrame:
    """One row per customer to contact, in the order of the list.

    Parameters
    ----------
    decision, table, campaign
        See `campaign_log`.
    features
        (n, ...) features of the same customers, with customer_id.

    Returns
    -------
    DataFrame
        customer_id, campaign, offer; priority, strategy; return_probability with the offer and
        return_probability_without; where there is money, value_of_return (before the cost of the
        offer), expected_cost, and expected_gain over no offer; cost_on_acceptance; experiment_rows
        (customers of this kind in the experiment, on which the forecast rests; missing where
        unknown) and beyond_experiment (left longer ago than nine in ten of them), if the decision
        knows them; of active customers stay_probability and value_of_staying in their place;
        explores (whether chance drew the offer); contact_on and the reminders (dates);
        another_agent (a person's fault came before: somebody else should call); reasons.

    Notes
    -----
    Contacts at once, on the next day and after 5 to 7 days; another agent than the one who lost
    the customer: Mann & Turusina, "Vozvrashchentsy".
    """
    offered = table["assigned_offer"].notna() & (table["assigned_offer"] != decision.control)
    rows = table[offered].reset_index(drop=True)
    facts = features.set_index("customer_id").reindex(rows["customer_id"]).reset_index()
    offer = rows["assigned_offer"]
    chance = of_own_offer(rows, offer, decision.chances)
    said = decision.chances.removesuffix("_")
    sheet = pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "campaign": campaign,
            "offer": offer,
            "priority": rows["priority"],
            "strategy": rows["strategy"],
            said: chance,
            f"{said}_without": rows[f"{decision.chances}{decision.control}"],
        }
    )
    if f"expected_profit_{decision.control}" in rows:
        profit = of_own_offer(rows, offer, "expected_profit_")
        sheet[VALUE[decision.population]] = of_own_offer(rows, offer, "value_")
        sheet["expected_cost"] = [
            decision.offers[name].expected_cost(p) for name, p in zip(offer, chance, strict=True)
        ]
        sheet["expected_gain"] = profit - rows[f"expected_profit_{decision.control}"]
    sheet["cost_on_acceptance"] = offer.map(
        {name: terms.cost_on_acceptance for name, terms in decision.offers.items()}
    )
    if decision.tested is not None:
        sheet["experiment_rows"] = pd.array(rows_alike(decision.tested, facts), dtype="Int64")
        sheet["beyond_experiment"] = beyond_usual(decision.tested, facts)
    sheet["explores"] = (offer != rows["recommended_offer"]).astype(bool)
    day = rows["as_of"].dt.normalize()
    sheet["contact_on"] = day.dt.date
    for name, days in REMINDERS_DAYS.items():
        sheet[name] = (day + pd.Timedelta(days=days)).dt.date
    if HUMAN_FAULT in facts:
        sheet["another_agent"] = (facts[HUMAN_FAULT].fillna(0) > 0).to_numpy()
    sheet["reasons"] = rows["reasons"].where(
        ~sheet["explores"], "drawn at random, to learn what this offer does; " + rows["reasons"]
    )
    return sheet.reset_index(drop=True)


def stops(table: pd.DataFrame, control: str) -> Counter[str]:
    """Where those who were asked end up; the counts of parts of a list add up.

    Parameters
    ----------
    table
        (n, ...) the list of `recommend`.
    control
        Name of no offer.

    Returns
    -------
    Counter
        Customers by the rule that stopped them, "held out at random", and "sent".
    """
    asked = table[table["recommended_offer"].notna()]
    why = asked.loc[asked["recommended_offer"] == control, "excluded_by"].value_counts()
    ended = Counter({str(rule): int(rows) for rule, rows in why.items()})
    ended[HELD_OUT] = int(asked["holdout"].sum())
    ended[SENT] = int((asked["assigned_offer"] != control).sum())
    return ended


def funnel(
    population: str, customers: int, *, objected: int, elsewhere: int, ended: Counter[str]
) -> Mapping[str, int]:
    """From all customers of a population to those who are sent an offer: who is left out, and why.

    Parameters
    ----------
    population, customers, objected
        "lost" or "active"; such customers of today, and how many of them objected.
    elsewhere
        Customers left out since another campaign contacted them.
    ended
        `stops` of the list without these two.

    Returns
    -------
    Mapping
        The population first; then what was left out, by rule in the order of size; "held out at
        random"; "sent". All but the first add up to it.
    """
    rules = {rule: rows for rule, rows in ended.items() if rule not in (HELD_OUT, SENT)}
    left_out = {
        OBJECTED: objected,
        OTHER_CAMPAIGN: elsewhere,
        NO_FORECAST: customers - objected - elsewhere - ended.total(),
        **rules,
    }
    ordered = sorted(left_out.items(), key=lambda entry: -entry[1])
    steps = {population: customers, **{rule: rows for rule, rows in ordered if rows}}
    return steps | {HELD_OUT: ended[HELD_OUT], SENT: ended[SENT]}

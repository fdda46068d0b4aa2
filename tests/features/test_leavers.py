"""Leavers in no experiment: who counts as one, from which moment on, and who came back."""

import pytest
from feature_tables import DAY, START, frames_on

from winback.features.churn_definition import ChurnDefinition
from winback.features.leavers import leaver_snapshots

ENGINES = ("duckdb", "pandas", "polars")


def day(number):
    return START + number * DAY


ASKED = {
    "definition": ChurnDefinition(),
    "last_offered_at": day(30),
    "lapse_days": 10,
    "return_window_days": 20,
}


def departures(*rows):
    return [{"customer_id": one, "departed_at": day(at), "reason": None} for one, at in rows]


@pytest.mark.parametrize("engine", ENGINES)
def test_leavers_after_the_last_offer_who_were_still_away(engine):
    """Offers end on day 30; the moment is day 10 after leaving, the answer is known 20 later."""
    left = [(1, 40), (2, 40), (3, 40), (4, 40), (5, 15), (6, 90), (7, 40)]
    orders = [
        {"customer_id": one, "ordered_at": day(at), "amount": 900}
        for one, at in [(2, 60), (3, 45), (7, 70)]
    ]
    offers = [{"customer_id": 4, "offered_at": day(30), "offer": "none", "returned_at": None}]
    tables = frames_on(
        engine, {"departures": departures(*left), "orders": orders, "offers": offers}
    )
    found = leaver_snapshots(tables, now=day(100), **ASKED)
    rows = found.sort("customer_id").collect(backend="pyarrow").to_native().to_pylist()
    # 3 was back by then, 4 was in the experiment, 5 left before its end, 6 is not known yet, and
    # the window is half open: 7 came back just after it
    assert [(row["customer_id"], row["as_of"], row["returned"]) for row in rows] == [
        (1, day(50), 0),
        (2, day(50), 1),
        (7, day(50), 0),
    ]


@pytest.mark.parametrize("names", [(), ("departures",), ("offers",)])
def test_without_departures_or_offers_nobody_can_be_told(names):
    tables = frames_on("polars", {name: [] for name in names})
    with pytest.raises(ValueError, match="leavers: tables of departures and offers are needed"):
        leaver_snapshots(tables, now=day(9), **ASKED)

"""What came of offers to lost and to active customers: tiny worlds with exact answers."""

from typing import Any

import narwhals as nw
import pytest
from feature_tables import frames_on
from tiny_worlds import ENGINES, customers, day, departures, orders, rows_of

from winback.features.churn_definition import ChurnDefinition
from winback.features.offer_snapshots import offer_snapshots, retention_snapshots

OUTCOMES = ("customer_id", "as_of", "returned", "value", "cost", "second_days", "second_ended")


def told(
    tables: Any, *, now: float = 100, window: int = 30, horizon: int = 60, **costs: Any
) -> nw.LazyFrame:
    """Offers to lost customers, with what is certain of them on a day."""
    return offer_snapshots(
        tables,
        now=day(now),
        definition=ChurnDefinition(),
        return_window_days=window,
        value_horizon_days=horizon,
        **costs,
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_what_came_of_an_offer_by_hand(engine: str) -> None:
    """Offered on day 20, 30 days to return, 60 days of value; now is day 100."""
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0, c2=0, c3=0, c4=0, c5=0),
            "departures": departures((1, 10), (1, 70), (2, 10), (3, 10), (4, 10), (5, 10)),
            # 2 orders exactly when the offer goes out, 3 just after the window, 4 never.
            "orders": orders(
                (1, 5, 900), (1, 25, 1_000), (1, 60, 600), (1, 80, 5_000),
                (2, 20, 200), (3, 50, 300), (5, 95, 400),
            ),
            "offers": [
                {"customer_id": one, "offered_at": day(at), "offer": offer}
                for one, at, offer in (
                    (1, 20, "discount"), (2, 20, "none"), (3, 20, "discount"), (4, 20, "discount"),
                    (5, 90, "discount"),
                )
            ],
        },
    )  # fmt: skip
    found = told(tables, costs={"none": 0, "discount": 12_000})
    assert rows_of(found, *OUTCOMES) == [
        (1, day(20), 1, 8.0, 120.0, 45.0, 1),
        (2, day(20), 1, 1.0, 0.0, 80.0, 0),
        (3, day(20), 0, 0.0, 0.0, None, None),
        (4, day(20), 0, 0.0, 0.0, None, None),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_source_states_of_an_offer_is_taken(engine: str) -> None:
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=None, c2=None),
            "offers": [
                {"customer_id": 1, "offered_at": day(99), "offer": "mens", "returned": True,
                 "value": 2_999, "offer_cost": 150, "propensity": 0.5, "arm": "email"},
                {"customer_id": 2, "offered_at": day(99), "offer": "none", "returned": False,
                 "value": 0, "offer_cost": 0, "propensity": 0.5, "arm": None},
            ],
        },
    )  # fmt: skip
    found = told(tables, window=14, horizon=14)
    assert rows_of(found, *OUTCOMES) == [
        (1, day(99), 1, 29.99, 1.5, None, None),
        (2, day(99), 0, 0.0, 0.0, None, None),
    ]
    assert rows_of(found, "customer_id", "arm", "propensity", "offer") == [
        (1, "email", 0.5, "mens"),
        (2, "none", 0.5, "none"),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_return_at_an_unknown_time_is_worth_the_orders_after_the_offer(engine: str) -> None:
    """The window ends at 50, the horizon at 80; margins are half of the amounts."""
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0, c2=0, c3=0, c4=0),
            "orders": orders(*[(one, at, 2_000) for one in (1, 2, 3) for at in (19, 60, 70, 80)]),
            "offers": [
                {"customer_id": one, "offered_at": day(20), "offer": "gift", "returned": returned,
                 "returned_at": returned_at}
                for one, returned, returned_at in (
                    (1, 1, None), (2, 1, day(65)), (3, 0, None), (4, 1, None),
                )
            ],
        },
    )  # fmt: skip
    found = told(tables)
    assert rows_of(found, "customer_id", "returned", "returned_at", "value") == [
        (1, 1, None, 20.0),
        (2, 1, None, 20.0),
        (3, 0, None, 0.0),
        (4, 1, None, 0.0),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_answers_to_a_campaign_count_once_its_window_is_over(engine: str) -> None:
    """Until then only those who came back have answered; a source's own table states the rest."""
    offer = {"offered_at": day(20), "offer": "gift", "returned": 1}
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0, c2=0),
            "offers": [
                {**offer, "customer_id": 1, "chosen": None},
                {**offer, "customer_id": 2, "chosen": "gift"},
            ],
        },
    )
    for now, expected in ((49, [(1, 1)]), (50, [(1, 1), (2, 1)])):
        found = told(tables, now=now)
        assert rows_of(found, "customer_id", "returned") == expected


def offered(*rows: tuple[int, float, str]) -> list[dict[str, Any]]:
    return [
        {"customer_id": one, "offered_at": day(at), "offer": offer, "returned_at": None}
        for one, at, offer in rows
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_active_stay_unless_they_leave_within_the_horizon(engine: str) -> None:
    """Offered at 50, horizon 10, lead 5: whoever leaves in [50, 60) has not stayed."""
    people = {f"c{one}": 0.0 for one in range(1, 9)} | {"c9": 50.0}
    tables = frames_on(
        engine,
        {
            "customers": customers(**people),
            "departures": departures((2, 49), (3, 50), (4, 52), (5, 59.9), (6, 60), (8, 20)),
            "orders": orders((8, 40, 100), (5, 61, 100)),
            "offers": offered(*[(one, 50, "rebate") for one in range(1, 10)], (7, 70, "nothing")),
        },
    )
    definition = ChurnDefinition(lead_days=5, horizon_days=10)
    found = retention_snapshots(tables, now=day(60), definition=definition, value_horizon_days=30)
    # 2 is lost already, 8 came back before and is active, 9 is not a customer yet; 5 leaves and
    # comes back. The offer of day 70 is not over at 60.
    expected = [(1, 1), (3, 0), (4, 0), (5, 0), (6, 1), (7, 1), (8, 1)]
    assert rows_of(found, "customer_id", "returned") == expected
    ends = dict(rows_of(found, "customer_id", "returned_at"))
    assert ends[1] == day(60)
    assert ends[4] is None
    early = retention_snapshots(
        tables, now=day(60) - 1, definition=definition, value_horizon_days=30
    )
    assert rows_of(early, "customer_id", "returned") == []


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_kept_is_what_comes_after_the_horizon(engine: str) -> None:
    """Margins (half of the amounts) of [60, 80) for whoever stayed; nothing for who left."""
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0.0, c2=0.0),
            "departures": departures((2, 55)),
            "orders": orders((1, 51, 1000), (1, 60, 2000), (1, 79.9, 4000), (1, 80, 8000))
            + orders((2, 52, 1000), (2, 70, 2000)),
            "offers": offered((1, 50, "rebate"), (2, 50, "nothing")),
        },
    )
    definition = ChurnDefinition(horizon_days=10)
    found = retention_snapshots(
        tables,
        now=day(80),
        definition=definition,
        value_horizon_days=30,
        costs={"rebate": 800, "nothing": 0},
    )
    assert rows_of(found, "customer_id", "value") == [(1, 30.0), (2, 0.0)]
    assert rows_of(found, "customer_id", "cost") == [(1, 8.0), (2, 0.0)]
    recent = retention_snapshots(
        tables, now=day(80) - 1, definition=definition, value_horizon_days=30
    )
    assert rows_of(recent, "customer_id", "value") == [(1, None), (2, None)]


def test_who_was_active_is_as_known_then() -> None:
    """A departure recorded after the offer does not undo that the customer was asked."""
    rows = departures((1, 49), (2, 49))
    rows = [row | {"recorded_at": day(at)} for row, at in zip(rows, (51, 49.5), strict=True)]
    tables = frames_on(
        "duckdb",
        {
            "customers": customers(c1=0.0, c2=0.0),
            "departures": rows,
            "offers": offered((1, 50, "rebate"), (2, 50, "rebate")),
        },
    )
    definition = ChurnDefinition(horizon_days=10)
    found = retention_snapshots(tables, now=day(99), definition=definition, value_horizon_days=30)
    assert rows_of(found, "customer_id", "returned") == [(1, 0)]  # asked, and gone


@pytest.mark.parametrize("engine", ENGINES)
def test_under_inactivity_silence_is_what_loses_a_customer(engine: str) -> None:
    """Lost after 10 silent days; offered at 50, horizon 20."""
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=None, c2=None, c3=None, c4=None),
            "orders": orders(
                (1, 45, 1), (1, 54, 1), (1, 63, 1), (2, 45, 1), (3, 30, 1), (4, 51, 1)
            ),
            "offers": offered(*[(one, 50, "rebate") for one in (1, 2, 3, 4)]),
        },
    )
    definition = ChurnDefinition(kind="inactivity", inactive_days=10, horizon_days=20)
    found = retention_snapshots(tables, now=day(99), definition=definition, value_horizon_days=40)
    # 3 was lost at 40, 4 has not bought before the offer; 2 is lost at 55, 1 at 73
    assert rows_of(found, "customer_id", "returned") == [(1, 1), (2, 0)]


def test_without_departures_nobody_can_tell() -> None:
    tables = frames_on("duckdb", {"customers": customers(c1=0.0), "offers": offered((1, 50, "x"))})
    with pytest.raises(ValueError, match="retention: no table says who left"):
        retention_snapshots(
            tables, now=day(99), definition=ChurnDefinition(), value_horizon_days=200
        )


@pytest.mark.parametrize("with_orders", [True, False])
def test_who_left_kept_nothing_whatever_the_source_states(with_orders: bool) -> None:
    sent = offered((1, 50, "rebate"), (2, 50, "nothing"))
    tables = {
        "customers": customers(c1=0.0, c2=0.0),
        "departures": departures((2, 55)),
        "offers": [row | {"value": 9_000} for row in sent],
    }
    if with_orders:
        tables["orders"] = orders((1, 60, 2_000))
    found = retention_snapshots(
        frames_on("duckdb", tables),
        now=day(90),
        definition=ChurnDefinition(horizon_days=10),
        value_horizon_days=30,
    )
    assert rows_of(found, "customer_id", "value") == [(1, 90.0), (2, 0.0)]

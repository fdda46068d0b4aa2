"""Who is in a training set, with which label: tiny worlds with exact answers."""

from typing import Any

import narwhals as nw
import pytest
from feature_tables import DAY, START, frames_on

from winback.features.churn_definition import ChurnDefinition
from winback.features.lifetimes import departures_under, status_at
from winback.features.offer_snapshots import offer_snapshots, retention_snapshots
from winback.features.snapshots import (
    churn_snapshots,
    current_snapshot,
    snapshot_dates,
    with_groups,
)

ENGINES = ("duckdb", "pandas", "polars")


def day(number: float) -> int:
    return START + round(number * DAY)


def rows_of(frame: nw.LazyFrame, *names: str) -> list[tuple[Any, ...]]:
    rows = frame.sort("customer_id", *names[1:2]).collect(backend="pyarrow").to_native()
    return [tuple(row[name] for name in names) for row in rows.to_pylist()]


def customers(**since: float | None) -> list[dict[str, Any]]:
    return [
        {"customer_id": int(name[1:]), "signed_up_at": None if at is None else day(at)}
        for name, at in since.items()
    ]


def departures(*rows: tuple[int, float]) -> list[dict[str, Any]]:
    return [{"customer_id": one, "departed_at": day(at), "reason": None} for one, at in rows]


def orders(*rows: tuple[int, float, int]) -> list[dict[str, Any]]:
    return [
        {"customer_id": one, "ordered_at": day(at), "amount": amount, "margin": amount // 2}
        for one, at, amount in rows
    ]


def test_dates_are_the_latest_with_certain_labels() -> None:
    definition = ChurnDefinition(lead_days=2, horizon_days=10)
    dates = snapshot_dates(now=day(100), count=3, every_days=30, definition=definition)
    assert dates == (day(28), day(58), day(88))
    with pytest.raises(ValueError, match="at least 1, found 0 and 30"):
        snapshot_dates(now=day(100), count=0, every_days=30, definition=definition)


@pytest.mark.parametrize("engine", ENGINES)
def test_churn_labels_are_half_open_after_the_lead_time(engine: str) -> None:
    """as_of 50, lead 5, horizon 10: the label looks at [55, 65)."""
    people = {f"c{one}": 0.0 for one in range(1, 9)} | {"c9": 50.0}
    tables = frames_on(
        engine,
        {
            "customers": customers(**people),
            "departures": departures(
                (2, 49), (3, 50), (4, 54.9), (5, 55), (6, 64.9), (7, 65), (8, 20)
            ),
            "orders": orders((8, 40, 100)),
        },
    )
    definition = ChurnDefinition(lead_days=5, horizon_days=10)
    found = churn_snapshots(tables, dates=(day(50),), definition=definition, now=day(65))
    # 1 stays, 2 is lost already, 3 and 4 go before a campaign could reach them, 8 came back,
    # 9 is not a customer yet.
    assert rows_of(found, "customer_id", "churned") == [(1, 0), (5, 1), (6, 1), (7, 0), (8, 0)]
    early = churn_snapshots(tables, dates=(day(50),), definition=definition, now=day(65) - 1)
    assert rows_of(early, "customer_id", "churned") == []


@pytest.mark.parametrize("engine", ENGINES)
def test_inactivity_waits_for_the_longer_of_the_limit_and_own_gaps(engine: str) -> None:
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0, c2=0),
            # 1 buys every 10 days and is lost after 30; 2 buys every 40, and only after 80.
            "orders": orders((1, 0, 1), (1, 10, 1), (1, 20, 1), (2, 0, 1), (2, 40, 1)),
        },
    )
    definition = ChurnDefinition(kind="inactivity", inactive_days=30, gap_multiple=2.0)
    left = departures_under(tables, definition)
    assert left is not None
    assert rows_of(left, "customer_id", "departed_at", "returned_at") == [
        (1, day(50), None),
        (2, day(30), day(40)),
        (2, day(120), None),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_lifetimes_are_numbered_and_undone_departures_do_not_count(engine: str) -> None:
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0, c2=0, c3=0, c4=0),
            "departures": departures((1, 10), (1, 50), (2, 10), (3, 10), (4, 10)),
            "orders": orders((1, 30, 1), (1, 70, 1), (2, 14, 1), (3, 10, 1), (4, 15, 1)),
            "snapshots": [
                {"customer_id": one, "as_of": day(at)} for one in (1, 2, 3) for at in (12, 60, 90)
            ]
            + [{"customer_id": 4, "as_of": day(60)}],
        },
    )
    found = status_at(tables, tables["snapshots"], ChurnDefinition(resign_gap_days=5))
    assert found is not None
    names = ("customer_id", "as_of", "departures_so_far", "departed_at", "returned_at")
    assert rows_of(found, *names, "earlier_returned_at") == [
        (1, day(12), 1, day(10), None, None),
        (1, day(60), 2, day(50), None, day(30)),
        (1, day(90), 2, day(50), day(70), day(30)),
        # 2 signed again within five days: at day 12 she seemed lost, later she never left.
        (2, day(12), 1, day(10), None, None),
        # 3's last bill came with the departure and does not undo it.
        (3, day(12), 1, day(10), None, None),
        (3, day(60), 1, day(10), None, None),
        (3, day(90), 1, day(10), None, None),
        # 4 ordered when the five days were just over: a return, not an undone departure.
        (4, day(60), 1, day(10), day(15), None),
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("recorded", [False, True])
def test_an_order_at_the_moment_itself_is_not_a_return_yet(engine: str, recorded: bool) -> None:
    bought = orders((1, 0, 1), (1, 50, 1))
    if recorded:
        bought = [{**row, "recorded_at": None} for row in bought]
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0),
            "orders": bought,
            "snapshots": [
                {"customer_id": 1, "as_of": as_of} for as_of in (day(30), day(50), day(50) + 1)
            ],
        },
    )
    silence = ChurnDefinition(kind="inactivity", inactive_days=30)
    found = status_at(tables, tables["snapshots"], silence)
    assert found is not None
    # Lost from day 30 on, which day 30 itself does not know yet.
    assert rows_of(found, "customer_id", "as_of", "departed_at", "returned_at") == [
        (1, day(50), day(30), None),
        (1, day(50) + 1, day(30), day(50)),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_today_is_active_or_lost_or_an_experiment(engine: str) -> None:
    tables = frames_on(
        engine,
        {
            "customers": customers(c1=0, c2=0, c3=100, c4=None),
            "departures": departures((2, 10)),
            "orders": orders((4, 5, 1)),
        },
    )
    now = current_snapshot(tables, now=day(100), definition=ChurnDefinition())
    assert rows_of(now, "customer_id", "population") == [
        (1, "active"),
        (2, "lost"),
        (4, "active"),
    ]
    flat = {"customers": tables["customers"]}
    now = current_snapshot(flat, now=day(100), definition=ChurnDefinition())
    assert {population for _, population in rows_of(now, "customer_id", "population")} == {
        "experiment"
    }


OUTCOMES = ("customer_id", "as_of", "returned", "value", "cost", "second_days", "second_ended")


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
    found = offer_snapshots(
        tables,
        now=day(100),
        definition=ChurnDefinition(),
        return_window_days=30,
        value_horizon_days=60,
        costs={"none": 0, "discount": 12_000},
    )
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
    found = offer_snapshots(
        tables,
        now=day(100),
        definition=ChurnDefinition(),
        return_window_days=14,
        value_horizon_days=14,
    )
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
    found = offer_snapshots(
        tables,
        now=day(100),
        definition=ChurnDefinition(),
        return_window_days=30,
        value_horizon_days=60,
    )
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
        found = offer_snapshots(
            tables,
            now=day(now),
            definition=ChurnDefinition(),
            return_window_days=30,
            value_horizon_days=60,
        )
        assert rows_of(found, "customer_id", "returned") == expected


def test_churn_without_departures_is_refused() -> None:
    tables = frames_on("polars", {"customers": customers(c1=0)})
    with pytest.raises(ValueError, match="kind 'contract' needs the table departures, found none"):
        churn_snapshots(tables, dates=(1,), definition=ChurnDefinition(), now=2)
    silence = ChurnDefinition(kind="inactivity")
    with pytest.raises(ValueError, match="needs the table orders or activity, found none"):
        churn_snapshots(tables, dates=(1,), definition=silence, now=2)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_group_stands_beside_its_customers_as_text(engine: str) -> None:
    rows = [{"customer_id": one, "group_id": group} for one, group in ((1, 7), (2, None), (3, 7))]
    tables = frames_on(engine, {"customers": rows})
    today = tables["customers"].select("customer_id", as_of=nw.lit(START, dtype=nw.Int64))
    found = rows_of(with_groups(tables, today), "customer_id", "as_of", "group_id")
    assert found == [(1, START, "7"), (2, START, None), (3, START, "7")]
    without = {"customers": tables["customers"].select("customer_id")}
    assert "group_id" not in with_groups(without, today).collect_schema().names()


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

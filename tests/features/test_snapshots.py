"""Who is in a training set, with which label: tiny worlds with exact answers."""

import narwhals as nw
import pytest
from feature_tables import START, frames_on
from tiny_worlds import ENGINES, customers, day, departures, orders, rows_of

from winback.features.churn_definition import ChurnDefinition
from winback.features.lifetimes import departures_under, status_at
from winback.features.snapshots import (
    churn_snapshots,
    current_snapshot,
    snapshot_dates,
    with_groups,
)


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

"""Purchases that end long before `as_of` are told, and refused where nobody would be active."""

from datetime import datetime, timedelta

import pandas as pd
import pytest
from contract_tables import clean, engines

from winback.features.churn_definition import ChurnDefinition
from winback.features.silence import silence_before

START = datetime(2024, 1, 1)
SILENT = ChurnDefinition(kind="inactivity", inactive_days=90, horizon_days=90)


def orders(every_days: float, until: int = 360) -> dict[str, pd.DataFrame]:
    """A table of orders at noon, the last on day `until` after the start."""
    days = [until - every_days * number for number in range(int(until / every_days))]
    times = [START + timedelta(days=day, hours=12) for day in days]
    return {"orders": pd.DataFrame({"ordered_at": pd.Series(times).astype("datetime64[us]")})}


def after(days: float) -> datetime:
    """A moment so many days after the last order."""
    return START + timedelta(days=360 + days, hours=12)


@pytest.mark.parametrize(
    ("every", "horizon", "days", "is_told"),
    [
        (1, 90, 0.5, False),
        (1, 90, 9, False),
        (1, 90, 9.1, True),
        (1, 365, 30, False),  # a month of a year's horizon moves little
        (1, 365, 40, True),
        (30, 90, 60, False),  # bills of once a month
        (30, 90, 61, True),
        (0.25, 30, 4, True),
    ],
)
def test_a_silence_is_long_beside_the_horizon_and_the_usual_gap(every, horizon, days, is_told):
    definition = ChurnDefinition(kind="inactivity", inactive_days=90, horizon_days=horizon)
    found = silence_before(orders(every), as_of=after(days), definition=definition)
    assert (found is not None) == is_told


def test_days_off_are_no_usual_gap_and_no_reason_to_be_silent():
    """A shop that is shut at weekends, and for a month once."""
    days = [day for day in range(360) if day % 7 < 5 and not 100 <= day < 130]
    times = pd.Series([START + timedelta(days=day) for day in days]).astype("datetime64[us]")
    tables = {"orders": pd.DataFrame({"ordered_at": times})}
    last = times.max().to_pydatetime()
    for gap, is_told in ((3, False), (20, True)):
        as_of = last + timedelta(days=gap)
        assert bool(silence_before(tables, as_of=as_of, definition=SILENT)) == is_told


def test_it_says_since_when_and_what_to_set():
    found = silence_before(orders(1), as_of=datetime(2025, 3, 25), definition=SILENT)
    assert str(found) == (
        "the newest order is of 2024-12-26, 88 days before as_of 2025-03-25: customers look as if "
        "they had fallen silent; set as_of to 2024-12-27 in the source, or deliver the table "
        "orders up to as_of"
    )
    assert found.violations == []


def test_where_other_tables_go_on_an_earlier_moment_is_no_cure():
    tables = orders(1) | {"contacts": pd.DataFrame({"contacted_at": [pd.Timestamp("2025-03-20")]})}
    (told,) = {
        str(silence_before(tables, as_of=as_of, definition=SILENT)).partition(";")[2]
        for as_of in (datetime(2025, 3, 20), None)
    }
    assert told == (" deliver the table orders up to as_of; other tables go on up to 2025-03-20")


@pytest.mark.parametrize(
    ("definition", "days", "is_refused"),
    [
        (SILENT, 90, False),
        (SILENT, 90.1, True),
        (ChurnDefinition(kind="inactivity", inactive_days=90, gap_multiple=3), 120, False),
        (ChurnDefinition(kind="contract"), 400, False),
    ],
)
def test_beyond_the_whole_window_it_is_refused(definition, days, is_refused):
    found = silence_before(orders(1), as_of=after(days), definition=definition)
    assert len(found.violations) == is_refused
    for violation in found.violations:
        assert violation.code == "WB112"
        assert str(violation).startswith(
            "orders: column 'ordered_at' must reach to within 90 days (inactive_days) of as_of, "
            "found none after 2024-12-26, 90 days before as_of 2025-03-26, so that every customer "
            "would count as lost; set as_of to 2024-12-27 in the source"
        )


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_every_engine_answers_alike_and_activity_stands_in_for_orders(engine):
    tables = engines(clean())[engine]
    found = silence_before(tables, as_of=datetime(2020, 4, 1), definition=SILENT)
    assert (found.noun, found.as_of - found.newest > timedelta(days=100)) == ("order", True)
    tables.pop("orders")
    found = silence_before(tables, as_of=datetime(2020, 4, 1), definition=SILENT)
    assert found.noun == "activity"
    tables.pop("activity")
    assert silence_before(tables, as_of=datetime(2020, 4, 1), definition=SILENT) is None


def test_tables_without_rows_are_silent_about_it():
    empty = {"orders": orders(1)["orders"].head(0)}
    assert silence_before(empty, as_of=datetime(2025, 1, 1), definition=SILENT) is None

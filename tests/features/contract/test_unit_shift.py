from datetime import timedelta

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from winback.features.contract.unit_shift import profile, shifts


def orders(rows: int = 4_000, seed: int = 0) -> pl.DataFrame:
    """Bills of a shop that is open from 8 to 18 o'clock."""
    rng = np.random.default_rng(seed)
    days = pd.to_timedelta(rng.integers(0, 700, rows), unit="D")
    clock = pd.to_timedelta(rng.integers(8 * 3600, 18 * 3600, rows), unit="s")
    return pl.from_pandas(
        pd.DataFrame(
            {
                "order_id": np.arange(rows),
                "customer_id": rng.integers(0, 300, rows),
                "ordered_at": (pd.Timestamp("2019-01-01") + days + clock).astype("datetime64[us]"),
                "amount": rng.lognormal(3, 1, rows).round(2),
            }
        )
    )


def found(new: pl.DataFrame, old: pl.DataFrame) -> list[tuple[str, str]]:
    violations = shifts(profile({"orders": new}), profile({"orders": old}))
    return [(each.column, each.found) for each in violations]


@pytest.mark.parametrize("factor", [100, 0.01, 1000, 0.001])
def test_a_changed_unit_is_noticed(factor):
    new = orders().with_columns(amount=pl.col("amount") * factor)
    expected = f"values {factor:g} times those of the last accepted run"
    assert found(new, orders(seed=1)) == [("amount", expected)]


@pytest.mark.parametrize("factor", [0.02, 0.5, 1.2, 3, 10, 40, 300])
def test_growth_is_no_other_unit(factor):
    assert found(orders().with_columns(amount=pl.col("amount") * factor), orders(seed=1)) == []


@pytest.mark.parametrize("amount", [10.0, 40.0, 99.99])
def test_one_price_for_all_is_noticed_in_another_unit(amount):
    old = orders().with_columns(amount=pl.lit(amount))
    new = orders().with_columns(amount=pl.lit(amount * 100))
    assert [column for column, _ in found(new, old)] == ["amount"]


@pytest.mark.parametrize("hours", [-8, -5, -1, 1, 2, 5.5, 10])
def test_times_of_another_zone_are_noticed(hours):
    new = orders().with_columns(ordered_at=pl.col("ordered_at") + timedelta(hours=hours))
    expected = f"times {hours:+g} hours from those of the last accepted run"
    assert found(new, orders()) == [("ordered_at", expected)]


@pytest.mark.parametrize("hours", [-8, -1, 2, 5, 12])
def test_the_daily_rhythm_alone_tells_the_zone(hours):
    new = orders(seed=3).with_columns(ordered_at=pl.col("ordered_at") + timedelta(hours=hours))
    expected = f"times {hours:+g} hours from those of the last accepted run"
    assert found(new, orders(seed=4)) == ([("ordered_at", expected)] if abs(hours) > 1 else [])


def test_a_few_minutes_are_no_other_zone():
    new = orders().with_columns(ordered_at=pl.col("ordered_at") + timedelta(minutes=7))
    assert found(new, orders()) == []


def test_another_zone_with_summer_time_is_noticed():
    zone = pl.col("ordered_at").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    new = orders(seed=3).with_columns(ordered_at=zone.dt.replace_time_zone(None))
    assert [column for column, _ in found(new, orders(seed=4))] == ["ordered_at"]
    zone = pl.col("ordered_at").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    new = orders(seed=3).with_columns(ordered_at=zone.dt.replace_time_zone(None))
    assert [column for column, _ in found(new, orders(seed=4))] == ["ordered_at"]


def test_dates_without_a_clock_are_noticed_in_another_zone():
    old = orders().with_columns(ordered_at=pl.col("ordered_at").dt.truncate("1d"))
    new = old.with_columns(ordered_at=pl.col("ordered_at") - timedelta(hours=6))
    assert found(new, old) == [("ordered_at", "times -6 hours from those of the last accepted run")]


def test_a_day_later_is_no_other_zone():
    new = orders().with_columns(ordered_at=pl.col("ordered_at") + timedelta(days=1))
    assert found(new, orders()) == []


def test_more_of_the_same_is_no_shift():
    assert found(pl.concat([orders(), orders(seed=2)]), orders()) == []


def test_no_false_alarm_on_100_resamples():
    rng = np.random.default_rng(1)
    whole = orders(800)
    accepted = profile({"orders": whole})
    for _ in range(100):
        again = whole[rng.integers(0, len(whole), len(whole))]
        assert shifts(profile({"orders": again}), accepted) == []


def test_no_false_alarm_on_times_by_the_hour_around_the_clock():
    rng = np.random.default_rng(2)
    hours = pd.to_timedelta(rng.integers(0, 24 * 30, 700), unit="h")
    whole = orders(700).with_columns(
        ordered_at=pl.Series((pd.Timestamp("2019-01-01") + hours).astype("datetime64[us]"))
    )
    accepted = profile({"orders": whole})
    for _ in range(100):
        again = whole[rng.integers(0, len(whole), len(whole))]
        assert shifts(profile({"orders": again}), accepted) == []


def test_new_tables_and_columns_are_no_shift():
    new = profile({"orders": orders(), "contacts": orders().rename({"ordered_at": "contacted_at"})})
    assert shifts(new, {}) == []
    assert shifts(new, {"orders": {}}) == []


def test_few_rows_say_nothing():
    new = orders(10).with_columns(amount=pl.col("amount") * 100)
    assert found(new, orders(10)) == []


def test_numeric_attributes_are_profiled_and_ids_are_not():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"customer_id": range(100), "bill": rng.lognormal(3, 1, 100), "age": range(100)}
    )
    facts = profile({"attributes": frame})
    assert list(facts["attributes"]) == ["bill"]


def test_engines_agree():
    connection = duckdb.connect(config={"threads": 1})
    connection.register("incoming", orders().to_pandas())
    connection.execute("create table orders as from incoming")
    ours = profile({"orders": orders()})
    assert profile({"orders": connection.table("orders")}) == ours
    assert profile({"orders": orders().to_pandas()}) == ours

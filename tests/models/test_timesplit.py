"""Parts in time: consecutive, far enough apart, with a stated way out on few dates."""

import numpy as np
import pandas as pd
import pytest
from winback.models.timesplit import day_numbers, split_by_time


def snapshots(dates, customers=200, every_days=30):
    as_of = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(dates) * every_days, unit="D")
    return pd.DataFrame(
        {
            "customer_id": np.repeat(np.arange(customers), dates),
            "as_of": np.tile(as_of, customers).astype("datetime64[us]"),
        }
    )


def split(frame, gap_days=60.0, **changes):
    arguments = {"calibrate_share": 0.15, "test_share": 0.2, "seed": 0, **changes}
    return split_by_time(frame["as_of"], frame["customer_id"], gap_days=gap_days, **arguments)


def test_parts_are_consecutive_and_a_gap_apart():
    frame = snapshots(12)
    found = split(frame)
    month = np.round(day_numbers(frame["as_of"]) - day_numbers(frame["as_of"])[0]) / 30
    where = {
        name: sorted(set(month[found.part == name])) for name in ("train", "calibrate", "test")
    }
    assert where == {"train": [0, 1, 2, 3, 4, 5], "calibrate": [7, 8], "test": [10, 11]}
    assert found.how.startswith("time: ")


def test_without_a_gap_every_row_is_used():
    assert set(split(snapshots(12), gap_days=0).part) == {"train", "calibrate", "test"}


def test_few_dates_calibrate_on_customers_held_out_of_training():
    frame = snapshots(3)
    found = split(frame)
    assert "held out" in found.how
    customers = {
        name: set(frame["customer_id"][found.part == name]) for name in ("train", "calibrate")
    }
    assert not customers["train"] & customers["calibrate"]
    assert frame["as_of"][found.part == "test"].nunique() == 1
    assert (frame["as_of"][found.part == "train"] < frame["as_of"].max()).all()


def test_one_date_splits_customers():
    frame = snapshots(1, customers=2000)
    found = split(frame)
    assert found.how.startswith("customers")
    shares = pd.Series(found.part).value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.03)
    assert shares["calibrate"] == pytest.approx(0.15, abs=0.03)


def test_seconds_and_timestamps_split_alike():
    frame = snapshots(12)
    seconds = frame.assign(as_of=frame["as_of"].astype("datetime64[s]").astype("int64"))
    assert (split(frame).part == split(seconds).part).all()


def test_wrong_shares_and_wrong_times_are_refused():
    with pytest.raises(ValueError, match="leave rows to train"):
        split(snapshots(3), test_share=0.9)
    with pytest.raises(ValueError, match="as_of must be timestamps"):
        split(snapshots(3).assign(as_of="2024-01-01"))

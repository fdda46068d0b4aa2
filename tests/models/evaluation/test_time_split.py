"""Parts in time: consecutive, far enough apart, with a stated way out on few dates."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.time_split import PARTS, day_numbers, split_by_time


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
    return split_by_time(frame, gap_days=gap_days, **arguments)


def months(frame, found):
    days = day_numbers(frame["as_of"])
    month = np.round((days - days[0]) / 30)
    return {part: sorted(set(month[found.part == part])) for part in PARTS}


def test_test_is_later_by_a_gap_and_calibration_is_of_other_customers():
    frame = snapshots(12)
    found = split(frame)
    where = months(frame, found)
    assert where["train"] == where["calibrate"] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert where["test"] == [10, 11]
    customers = {part: set(frame["customer_id"][found.part == part]) for part in PARTS}
    assert not customers["train"] & customers["calibrate"]
    assert len(customers["test"]) == 200


def test_without_a_gap_every_row_is_used():
    assert set(split(snapshots(12), gap_days=0).part) == set(PARTS)


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
    with pytest.raises(ValueError, match="no label has matured"):
        split(snapshots(3).iloc[:0])
    with pytest.raises(ValueError, match="as_of must be timestamps"):
        split(snapshots(3).assign(as_of="2024-01-01"))

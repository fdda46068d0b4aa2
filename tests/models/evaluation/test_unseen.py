"""Rows that a model has not learned from: by date, or by customer as long as they are the same."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.held_out import held_out
from winback.models.evaluation.time_split import split_by_time
from winback.models.evaluation.unseen import remember_customers, remember_snapshots, unseen

SPLIT = {"gap_days": 30, "calibrate_share": 0.2, "test_share": 0.2, "seed": 3}


def snapshots(dates, customers=200):
    days = pd.to_datetime(dates)
    return pd.DataFrame(
        {
            "customer_id": np.tile(np.arange(customers), len(days)),
            "as_of": np.repeat(days, customers),
        }
    )


def offers(customers=500):
    return snapshots(["2020-01-01"], customers).assign(offer="gift")


def test_dates_from_the_test_part_on_are_unseen_and_none_before():
    rows = snapshots(["2020-01-01", "2020-02-01", "2020-03-01", "2020-04-01", "2020-05-01"])
    memory = remember_snapshots(rows, **SPLIT)
    split = split_by_time(rows, **SPLIT)
    assert (unseen(memory, rows) == (split.part == "test")).all()
    # Next month other dates are cut, and other customers are there.
    later = snapshots(["2020-04-15", "2020-05-15", "2020-06-15"], 300)
    assert (unseen(memory, later) == (later["as_of"] > "2020-05-01")).all()


def test_with_a_single_date_the_customers_of_the_test_part_are_unseen():
    rows = snapshots(["2020-01-01"])
    split = split_by_time(rows, **SPLIT)
    memory = remember_snapshots(rows, **SPLIT)
    assert (unseen(memory, rows) == (split.part == "test")).all()


def test_held_out_customers_stay_unseen_when_rows_are_reordered_or_added():
    rows = offers()
    memory = remember_customers(rows, share=0.4, seed=1)
    expected = held_out(rows["customer_id"], share=0.4, seed=1)
    assert (unseen(memory, rows) == expected).all()
    assert (unseen(memory, rows[::-1]) == expected[::-1]).all()
    more = offers(700).iloc[500:].assign(as_of=pd.Timestamp("2020-09-01"))
    assert (unseen(memory, pd.concat([rows, more]))[:500] == expected).all()


def test_customers_erased_since_do_not_make_the_others_unknown():
    rows = offers()
    memory = remember_customers(rows, share=0.4, seed=1)
    left = rows[rows["customer_id"] % 20 != 0]
    assert (unseen(memory, left) == held_out(left["customer_id"], share=0.4, seed=1)).all()


@pytest.mark.parametrize(
    "other",
    [
        lambda rows: rows.assign(customer_id=np.random.default_rng(0).permutation(500)),
        lambda rows: rows.assign(customer_id=rows["customer_id"] + 1_000),
        lambda rows: rows.iloc[250:],
        lambda rows: rows.assign(as_of=rows["as_of"] - pd.Timedelta(days=1)),
    ],
    ids=["shuffled", "renumbered", "half of them", "another moment"],
)
def test_other_customers_than_those_of_the_training_are_refused(other):
    rows = offers().assign(offer=lambda rows: ["gift", "call"] * (len(rows) // 2))
    memory = remember_customers(rows, share=0.4, seed=1)
    with pytest.raises(ValueError, match=r"only \d+ of 200 sampled rows of its training are among"):
        unseen(memory, other(rows))

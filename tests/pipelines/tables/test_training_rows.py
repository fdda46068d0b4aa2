"""Training rows: all of a small table, and of a large one the same customers in any order."""

import json

import numpy as np
import pandas as pd
import pytest

from winback.pipelines.settings.params import Machine
from winback.pipelines.tables.training_rows import drawn_rows, training_rows

MACHINE = Machine(threads=1, memory_limit="500MB")
CUSTOMERS, DATES = 5_000, 4


@pytest.fixture(params=[int, str], ids=["numbers", "texts"])
def rows(request):
    dates = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"])
    return pd.DataFrame(
        {
            "customer_id": np.repeat([request.param(one) for one in range(CUSTOMERS)], DATES),
            "as_of": np.tile(dates.astype("datetime64[us]"), CUSTOMERS),
            "churned": np.int8(1),
            "orders": np.arange(CUSTOMERS * DATES, dtype=float),
            "plan": np.tile(["a", None, "b", "b"], CUSTOMERS),
        }
    )


def read(folder, rows, **asked):
    (folder / "dictionary.json").write_text(json.dumps([{"name": "orders"}, {"name": "plan"}]))
    rows.to_parquet(folder / "churn.parquet", index=False)
    return drawn_rows(folder, "churn", MACHINE, **asked)[0]


def test_a_table_within_the_bound_is_read_whole(tmp_path, rows):
    found = read(tmp_path, rows, most=len(rows), seed=1)
    pd.testing.assert_frame_equal(found, training_rows(tmp_path, "churn")[0])
    assert len(found) == len(rows)


def test_of_a_larger_one_whole_customers_are_drawn_as_many_as_asked_for(tmp_path, rows):
    found = read(tmp_path, rows, most=6_000, seed=1)
    assert abs(len(found) - 6_000) < 4 * DATES * np.sqrt(CUSTOMERS * 0.3 * 0.7)
    assert (found.groupby("customer_id").size() == DATES).all()
    known = rows[rows["customer_id"].isin(found["customer_id"])]
    known = known.sort_values(["customer_id", "as_of"], ignore_index=True)
    pd.testing.assert_frame_equal(found, known)


def test_the_draw_is_the_same_in_any_order_and_another_with_another_seed(tmp_path, rows):
    found = read(tmp_path, rows, most=6_000, seed=1)
    shuffled = read(tmp_path, rows.sample(frac=1, random_state=0), most=6_000, seed=1)
    pd.testing.assert_frame_equal(shuffled, found)
    other = read(tmp_path, rows, most=6_000, seed=2)
    both = len(set(found["customer_id"]) & set(other["customer_id"]))
    assert 0.2 < both / found["customer_id"].nunique() < 0.4  # as chance has it: 0.3


def test_more_rows_keep_those_of_fewer(tmp_path, rows):
    few = read(tmp_path, rows, most=3_000, seed=1)["customer_id"]
    assert set(few) <= set(read(tmp_path, rows, most=6_000, seed=1)["customer_id"])

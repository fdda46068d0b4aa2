"""Evenly spaced rows: all of a small file, and of a large one the same rows of any row groups."""

import numpy as np
import pandas as pd
import pytest

from winback.pipelines.tables.even_rows import even_rows

ROWS = pd.DataFrame(
    {
        "one": np.arange(1_000),
        "two": [f"t{n % 7}" for n in range(1_000)],
        "population": ["lost" if 500 <= n < 700 else "active" for n in range(1_000)],
    }
)


@pytest.fixture(params=[1_000, 64])
def file(request, tmp_path):
    path = tmp_path / "rows.parquet"
    ROWS.to_parquet(path, index=False, row_group_size=request.param)
    return path


def test_a_file_of_no_more_rows_is_read_whole(file):
    pd.testing.assert_frame_equal(even_rows(file, most=1_000), ROWS)
    pd.testing.assert_frame_equal(even_rows(file, most=2_000, columns=["two"]), ROWS[["two"]])


def test_of_more_rows_evenly_spaced_ones_are_read(file):
    found = even_rows(file, most=100, columns=["two", "one"])
    assert list(found) == ["two", "one"]
    assert set(np.diff(found["one"])) <= {10, 11}
    assert found["one"].iloc[[0, -1]].tolist() == [0, 999]


def test_they_may_be_chosen_from_a_population(file):
    assert even_rows(file, most=2, population="lost")["one"].tolist() == [500, 699]
    assert even_rows(file, most=1_000, population="lost")["one"].tolist() == [*range(500, 700)]
    assert even_rows(file, most=2, population="dormant").empty

"""Protected columns as they were known at the moment of the list."""

import pandas as pd
import pytest

from winback.pipelines.settings.params import Machine
from winback.pipelines.tables.protected import latest_protected


@pytest.fixture
def latest(tmp_path):
    def read(names, attributes=None):
        if attributes is not None:
            pd.DataFrame(attributes).to_parquet(tmp_path / "attributes.parquet")
        file = latest_protected(
            tmp_path,
            names,
            as_of=pd.Timestamp("2024-07-01"),
            machine=Machine(threads=1, memory_limit="1GB"),
            scratch=tmp_path,
        )
        return None if file is None else pd.read_parquet(file)

    return read


def test_the_latest_row_known_by_then_is_taken(latest):
    found = latest(
        ["region", "absent"],
        {
            "customer_id": [2, 1, 1, 1, 4, 4, 5],
            "known_at": pd.to_datetime(
                [None, None, "2024-06-01", "2024-08-01", None, None, "2024-08-01"]
            ),
            "region": ["only", "old", "now", "later", "first", "last", "later"],
            "income": 1.0,
        },
    )
    assert found.columns.tolist() == ["customer_id", "region"]
    assert found.set_index("customer_id")["region"].to_dict() == {1: "now", 2: "only", 4: "last"}


def test_undated_rows_are_taken_as_they_are(latest):
    found = latest(['my "group"'], {"customer_id": ["b", "a"], 'my "group"': [1, 2]})
    assert found["customer_id"].tolist() == ["a", "b"]
    assert found['my "group"'].tolist() == [2, 1]


def test_without_columns_or_attributes_there_is_nothing(latest):
    assert latest(["region"]) is None
    assert latest([], {"customer_id": [1], "region": ["a"]}) is None
    assert latest(["gender"]) is None

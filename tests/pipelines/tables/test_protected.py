"""Protected columns as they were known at the moment of the list."""

import pandas as pd

from winback.pipelines.tables.protected import read_protected

CUSTOMERS = pd.DataFrame({"customer_id": [3, 1, 2], "as_of": pd.Timestamp("2024-07-01")})


def test_the_latest_row_known_by_then_is_taken_and_unknown_customers_have_none(tmp_path):
    pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2],
            "known_at": pd.to_datetime([None, "2024-06-01", "2024-08-01", None]),
            "region": ["old", "now", "later", "only"],
            "income": 1.0,
        }
    ).to_parquet(tmp_path / "attributes.parquet")
    found = read_protected(tmp_path, ["region", "absent"], CUSTOMERS)
    assert found.columns.tolist() == ["region"]
    assert found["region"].fillna("not known").tolist() == ["not known", "now", "only"]


def test_without_columns_or_attributes_there_is_nothing(tmp_path):
    assert read_protected(tmp_path, ["region"], CUSTOMERS) is None
    pd.DataFrame({"customer_id": [1], "region": ["a"]}).to_parquet(tmp_path / "attributes.parquet")
    assert read_protected(tmp_path, [], CUSTOMERS) is None
    assert read_protected(tmp_path, ["gender"], CUSTOMERS) is None

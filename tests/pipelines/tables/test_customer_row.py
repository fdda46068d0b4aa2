"""One customer's row: by an id of text or digits, and nothing for any other word."""

import pandas as pd
import pytest

from winback.pipelines.tables.customer_row import customer_row


@pytest.mark.parametrize(
    ("ids", "identity", "orders"),
    [
        ([1, 7, 9], "7", 2.0),
        ([1, 7, 9], "8", None),
        ([1, 7, 9], "07", None),
        ([1, 7, 9], "seven", None),
        (["1", "07", "c"], "07", 2.0),
        (["1", "07", "c"], "7", None),
        ([7, 7, 9], "7", 1.0),
    ],
)
def test_a_customer_is_found_by_the_id_alone(tmp_path, ids, identity, orders):
    file = tmp_path / "rows.parquet"
    rows = pd.DataFrame({"customer_id": ids, "orders": [1.0, 2.0, 3.0]})
    rows.to_parquet(file, index=False, row_group_size=1)
    found = customer_row(file, identity)
    assert (found is None) if orders is None else found["orders"].tolist() == [orders]
    narrow = customer_row(file, identity, ["customer_id"])
    assert (narrow is None) == (found is None)

"""Customers in the order of their ids: a sorted file as it is, another one as a sorted copy."""

import numpy as np
import pandas as pd
import pytest

from winback.pipelines.settings.params import Machine
from winback.pipelines.tables.sorted_customers import sorted_customers

MACHINE = Machine(threads=1, memory_limit="500MB")
ROWS = 200_000  # more than a row group


@pytest.mark.parametrize("kind", [int, str])
def test_only_what_is_not_sorted_is_copied(tmp_path, kind):
    ids = sorted(kind(one) for one in range(ROWS))
    rows = pd.DataFrame({"customer_id": ids, "orders": np.arange(ROWS, dtype=float)})
    file = tmp_path / "current.parquet"
    rows.to_parquet(file, index=False)
    assert sorted_customers(file, MACHINE, tmp_path) == file
    last = rows.index[-1]
    rows.reindex([*rows.index[1:last], 0, last]).to_parquet(file, index=False)
    copy = sorted_customers(file, MACHINE, tmp_path)
    assert copy != file
    pd.testing.assert_frame_equal(pd.read_parquet(copy), rows)

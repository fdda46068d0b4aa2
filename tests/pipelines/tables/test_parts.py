"""Two files of customers side by side, wherever their parts end."""

import numpy as np
import pandas as pd
import pytest

from winback.pipelines.tables import parts
from winback.pipelines.tables.parts import beside, parts_of


def cut(rows, size):
    return (rows.iloc[first : first + size] for first in range(0, len(rows), size))


@pytest.mark.parametrize("sizes", [(1, 1), (3, 7), (7, 3), (100, 4), (4, 100)])
def test_each_customer_finds_what_is_known_of_them(sizes):
    ours = pd.DataFrame({"customer_id": np.arange(0, 60, 2)})
    known = np.arange(0, 50, 3)
    theirs = pd.DataFrame({"customer_id": known, "fact": known / 10})
    pairs = list(beside(cut(ours, sizes[0]), cut(theirs, sizes[1])))
    pd.testing.assert_frame_equal(pd.concat(rows for rows, _ in pairs), ours)
    for rows, facts in pairs:
        assert facts["customer_id"].tolist() == rows["customer_id"].tolist()
    found = pd.concat(facts for _, facts in pairs).set_index("customer_id")["fact"]
    expected = [one / 10 if one % 3 == 0 and one < 50 else np.nan for one in range(0, 60, 2)]
    np.testing.assert_array_equal(found, expected)


def test_ids_may_be_text():
    ours, theirs = (pd.DataFrame({"customer_id": list(text)}) for text in ("acdg", "abcdef"))
    found = [facts["fact"] for _, facts in beside([ours], cut(theirs.assign(fact=1.0), 2))]
    assert pd.concat(found).isna().tolist() == [False, False, False, True]


def test_no_part_has_more_rows_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_ROWS", 30)
    rows = pd.DataFrame({"customer_id": np.arange(1_000), "other": 1})
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=400)
    found = list(parts_of(tmp_path / "rows.parquet", ["customer_id"]))
    assert max(map(len, found)) == 30
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), rows[["customer_id"]])

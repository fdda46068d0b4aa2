"""Tables as CSV: read back as they were, although no cell is a formula to a spreadsheet."""

import pandas as pd
import pytest

from winback.pipelines.tables.safe_csv import read_table, save_table

OFFERS = ["-", "+5 GB", "=1+1", "@all", "a;-b", "'-", "''=x", "a|'+b", "it's", "None", "0012", "5|"]


def test_offers_come_back_by_the_names_that_they_had(tmp_path):
    table = pd.DataFrame({"offer": OFFERS, "value": range(len(OFFERS))})
    save_table(table, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv"), table, check_dtype=False)


@pytest.mark.parametrize("name", ["-", "=x", "'+x"])
def test_columns_come_back_by_the_names_that_they_had(tmp_path, name):
    save_table(pd.DataFrame({name: [1.5]}), tmp_path / "table.csv")
    assert list(read_table(tmp_path / "table.csv")) == [name]

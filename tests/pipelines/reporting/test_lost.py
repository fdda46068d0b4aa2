"""Lost customers without an experiment: who comes first, what they were worth, a rule of thumb."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd

from winback.pipelines.reporting.listed import read_listed
from winback.pipelines.reporting.lost import lost


def test_they_have_a_chapter_without_an_experiment(tmp_path):
    people = range(4)
    pd.DataFrame(
        {
            "customer_id": people,
            "population": ["lost", "lost", "lost", "active"],
            "spend_total": [75.0, 20.0, 5.0, 900.0],
        }
    ).to_parquet(tmp_path / "current.parquet")
    pd.DataFrame(
        {
            "customer_id": people,
            "as_of": pd.Timestamp("2024-01-01"),
            "recommended_offer": pd.Series([None] * 4, dtype="str"),
            "excluded_by": pd.Series([None] * 4, dtype="str"),
            "holdout": False,
            "model_version": "1",
            "expected_incremental_profit": np.nan,
            "strategy": "win back",
            "priority": ["A", "B", "C", "A"],
            "reasons": [
                "no experiment says what to offer; rule of thumb by lapse: 15% off",
                "no experiment says what to offer; rule of thumb by lapse: 10% off",
                "no experiment says what to offer; others come first",
                "",
            ],
        }
    ).to_parquet(tmp_path / "list.parquet", index=False)
    listed = read_listed(tmp_path / "list.parquet", tmp_path / "current.parquet", None, first=1)
    blocks = list(lost(SimpleNamespace(listed=listed, source=SimpleNamespace(currency="$"))))
    said = " ".join(block.text + block.headline for block in blocks)
    assert "3 customers count as lost" in said
    assert "1 of 3 lost customers come first" in said
    assert "They brought $100 of spending before they left, 75% of it from priority A" in said
    (discounts,) = [block for block in blocks if block.kind == "table"]
    cells = [[cell["text"] for cell in row["cells"]] for row in discounts.rows]
    assert cells == [["10%", "1"], ["15%", "1"]]
    assert not re.search(r"\bend\b", said)


def test_nobody_comes_first_where_nothing_tells_what_they_were_worth():
    cells = pd.DataFrame(
        {"population": "lost", "customers": [7], "priority": "C", "discount": pd.Series([None])}
    )
    listed = SimpleNamespace(cells=cells)
    blocks = list(lost(SimpleNamespace(listed=listed, source=SimpleNamespace(currency="$"))))
    (block,) = blocks
    assert "Nothing tells what they were worth, so nobody comes first" in block.text

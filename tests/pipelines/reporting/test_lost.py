"""Lost customers without an experiment: who comes first, what they were worth, a rule of thumb."""

import re
from types import SimpleNamespace

import pandas as pd

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
    listed = pd.DataFrame(
        {
            "customer_id": people,
            "priority": ["A", "B", "C", "A"],
            "reasons": [
                "no experiment says what to offer; rule of thumb by lapse: 15% off",
                "no experiment says what to offer; rule of thumb by lapse: 10% off",
                "no experiment says what to offer; others come first",
                "",
            ],
        }
    )
    findings = SimpleNamespace(recommendations=listed, source=SimpleNamespace(currency="$"))
    blocks = list(lost(SimpleNamespace(features=tmp_path), findings))
    said = " ".join(block.text + block.headline for block in blocks)
    assert "3 customers count as lost" in said
    assert "1 of 3 lost customers come first" in said
    assert "They brought $100 of spending before they left, 75% of it from priority A" in said
    (discounts,) = [block for block in blocks if block.kind == "table"]
    cells = [[cell["text"] for cell in row["cells"]] for row in discounts.rows]
    assert cells == [["10%", "1"], ["15%", "1"]]
    assert not re.search(r"\bend\b", said)

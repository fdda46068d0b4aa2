"""Charts show every group that they are given."""

import pandas as pd
import pytest

from winback.pipelines.reporting import charts

OFFERS = [f"offer {number}" for number in range(8)]


@pytest.mark.parametrize(
    "chart",
    [
        lambda table: charts.curves(table, x="x", y="y", by="offer", x_unit="", y_unit=""),
        lambda table: charts.steps(table, x="x", y="y", by="offer", x_unit="", y_unit=""),
        lambda table: charts.dots(table, label="row", value="y", by="offer", unit=""),
    ],
)
def test_more_offers_than_colours_are_all_shown(chart):
    rows = [
        (name, x, 0.1 * x, 0.0, 1.0, f"row of {name[-1]}") for name in OFFERS for x in (1.0, 2.0)
    ]
    svg = chart(pd.DataFrame(rows, columns=["offer", "x", "y", "lo", "hi", "row"]))
    assert [name for name in OFFERS if name not in svg] == []

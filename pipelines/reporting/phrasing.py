"""Drivers of a model in plain words: the side of each feature that raises the output."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ...features.phrases import high_and_low


def raising(drivers: pd.DataFrame, meanings: Mapping[str, str]) -> list[str]:
    """Words for each driver (columns feature and direction).

    A feature that neither clearly raises nor lowers the output is said by its meaning.
    """
    said = []
    for row in drivers.to_dict("records"):
        name, meaning = row["feature"], meanings.get(row["feature"], row["feature"])
        high, low = high_and_low(name, meaning)
        said.append({1: high, -1: low}.get(row["direction"], f"{meaning} (it depends)"))
    return said

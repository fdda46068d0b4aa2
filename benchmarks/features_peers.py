"""What Featuretools needs for features of recency, frequency and money over the same files.

Featuretools 1.31 breaks on pandas 3, so it lives in an environment of its own, and this script runs
in it: `python -m venv ft && ft/bin/pip install featuretools pyarrow 'pandas<3'`, then
`FEATURETOOLS_PYTHON=ft/bin/python make bench`. `features.py` calls it and prints its row.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import featuretools as ft
import pandas as pd

TIMES = {
    "orders": ("customer_id", "ordered_at"),
    "activity": ("customer_id", "happened_at"),
    "contacts": ("customer_id", "contacted_at"),
    "complaints": ("customer_id", "opened_at"),
    "referrals": ("referrer_id", "referred_at"),
}
MONEY = ("amount", "margin", "discount", "quantity")


def run(folder: Path, as_of: str) -> pd.DataFrame:
    """Count, last event, and sum and mean of money of every customer, as of a moment."""
    customers = pd.read_parquet(folder / "customers.parquet")
    entities = ft.EntitySet("winback")
    entities.add_dataframe(dataframe_name="customers", dataframe=customers, index="customer_id")
    for name, (who, when) in TIMES.items():
        path = folder / f"{name}.parquet"
        events = pd.read_parquet(path).drop(
            columns=["order_id", "complaint_id", "referred_id"], errors="ignore"
        )
        for column in MONEY:
            if column in events:
                events[column] = events[column].astype(float)
        entities.add_dataframe(
            dataframe_name=name, dataframe=events, index="event", make_index=True, time_index=when
        )
        entities.add_relationship("customers", "customer_id", name, who)
    features, _ = ft.dfs(
        entityset=entities,
        target_dataframe_name="customers",
        agg_primitives=["count", "sum", "mean", "time_since_last"],
        trans_primitives=[],
        cutoff_time=pd.Timestamp(as_of),
        max_depth=1,
        n_jobs=1,
    )
    return features


def main() -> None:
    """Run and print what it cost; imports are not counted."""
    warnings.simplefilter("ignore")
    folder, as_of = Path(sys.argv[1]), sys.argv[2]
    cpu, wall = time.process_time(), time.perf_counter()
    features = run(folder, as_of)
    features.to_parquet(folder / "out_featuretools.parquet")
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(cost | {"mib": peak, "columns": features.shape[1]}))


if __name__ == "__main__":
    main()

"""Whether memory of the stages and of a campaign grows with the customers.

    python benchmarks/memory.py [--millions 1 5] [--stages recommend report campaign]

Run it in the folder of a finished run. Its features and its list are repeated under new ids until
there are as many customers, in a folder beside it, and each stage runs there in a process of its
own; `peak MiB` is the largest resident memory of that process. Without `train_churn` the rows that
it learns from stay as they are. A line through the smallest and the largest size
gives the bytes of memory per customer, and the peak to expect at 50 million.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from full_run import cost
from results import show

from winback.pipelines.storage.atomic import replace_folder, verify
from winback.pipelines.storage.stage_inputs import write_inputs

FEATURES = Path("data/features")
LIST = Path("data/recommendations.parquet")
GROUP_ROWS = 122_880
STAGES = ("train_churn", "recommend", "evaluate", "report", "campaign")
EXPECTED_AT = 50_000_000


def repeated(file: Path, out: Path, *, copies: float, ids: int) -> None:
    """The rows of a file so many times, the ids of each copy above those of the one before."""
    known = pq.read_table(file)
    place = known.column_names.index("customer_id")
    with pq.ParquetWriter(out, known.schema, use_dictionary=False) as writer:
        left, copy = round(copies * len(known)), 0
        while left > 0:
            rows = known.slice(0, left)
            moved = pa.compute.add(rows["customer_id"], copy * ids)
            field = known.schema.field("customer_id")
            writer.write_table(rows.set_column(place, field, moved), GROUP_ROWS)
            left, copy = left - len(rows), copy + 1


def make_run(folder: Path, customers: int, *, training: bool) -> None:
    """A folder like the finished run at hand, with features and list of so many customers.

    The rows that the churn model learns from are repeated too if `training`; the experiment's stay
    as they are.
    """
    repeat = ("current.parquet", *(["churn.parquet"] if training else []))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(name, folder / name)
    for name in ("sources", "data/tables", "artifacts", "reports"):
        shutil.copytree(name, folder / name)
    today = pq.read_table(FEATURES / "current.parquet", columns=["customer_id"])["customer_id"]
    times = {"copies": customers / len(today), "ids": pa.compute.max(today).as_py() + 1}
    said = verify(FEATURES)
    with replace_folder(folder / FEATURES) as new:
        for file in FEATURES.iterdir():
            if file.name in said["files"] and file.name not in repeat:
                shutil.copyfile(file, new.path / file.name)
        for name in repeat:
            repeated(FEATURES / name, new.path / name, **times)
        write_inputs(new.path)
        new.extra.update({key: value for key, value in said.items() if key != "files"})
    repeated(LIST, folder / LIST, **times)


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """Per stage, the slope between the smallest and the largest size, and where it leads."""
    records = []
    for stage, rows in table.groupby("stage", sort=False):
        rows = rows.sort_values("customers")
        first, last = rows.iloc[0], rows.iloc[-1]
        slope = (last["peak MiB"] - first["peak MiB"]) / (last["customers"] - first["customers"])
        there = last["peak MiB"] + max(slope, 0) * (EXPECTED_AT - last["customers"])
        records.append((stage, slope * 2**20, there / 1024))
    names = ["stage", "bytes per customer", f"GiB at {EXPECTED_AT / 1e6:g} million"]
    return pd.DataFrame(records, columns=names).set_index("stage")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--scratch", type=Path, help="folder for the generated rows")
    asked = parser.parse_args()
    records = []
    for millions in asked.millions:
        customers = round(millions * 1e6)
        with tempfile.TemporaryDirectory(dir=asked.scratch) as made:
            # In a process of its own: what this one holds would count in the peaks of its children.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as maker:
                training = "train_churn" in asked.stages
                maker.submit(make_run, Path(made), customers, training=training).result()
            for stage in asked.stages:
                spent = {"customers": customers, **cost(stage, Path(made))}
                print(json.dumps(spent), flush=True)
                records.append(spent)
    table = pd.DataFrame(records)
    show("memory by stage", table.set_index(["customers", "stage"]), decimals=1)
    if len(asked.millions) > 1:
        show("how it grows", lines(table), decimals=1)


if __name__ == "__main__":
    main()

"""The files of campaigns: what was sent, one CSV per offer, and the logs of all campaigns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..storage.atomic import MANIFEST, StoreError
from .safe_csv import write_rows

LOG, SEND = "log.parquet", "send.parquet"
LOGGED = ("customer_id", "campaign", "offered_at", "chosen", "offer", "propensity")


def write_offer_lists(folder: Path) -> None:
    """`send-<offer>.csv` for each offer of `send.parquet`; safe to open in a spreadsheet."""
    for file in folder.glob("send-*.csv"):
        file.unlink()
    reader = pq.ParquetFile(folder / SEND)
    groups = range(reader.num_row_groups)
    offers = {
        offer
        for group in groups
        for offer in pc.unique(reader.read_row_group(group, ["offer"])["offer"]).to_pylist()
    }
    for name in sorted(offers):
        tables = map(reader.read_row_group, groups)
        rows = (table.filter(pc.equal(table["offer"], name)) for table in tables)
        file = folder / f"send-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.csv"
        write_rows(reader.schema_arrow, rows, file)


def log_files(campaigns: Path, source: str) -> list[Path]:
    """The log of each finished campaign of a source below a folder, in the order of their names.

    Raises
    ------
    StoreError
        If a finished campaign has no log.
    """
    files = []
    for manifest in sorted(campaigns.glob(f"[!.]*/{MANIFEST}")):
        if json.loads(manifest.read_bytes()).get("source") == source:
            files.append(manifest.with_name(LOG))
            if not files[-1].is_file():
                raise StoreError(f"{files[-1]}: missing; it is what a campaign is learned from")
    return files


def contacted_since(campaigns: Path, source: str, moment: pd.Timestamp) -> pd.Index:
    """Customers in the logs of a source's campaigns after a moment, each once."""
    recent = [
        pd.read_parquet(file, columns=["customer_id"], filters=[("offered_at", ">", moment)])
        for file in log_files(campaigns, source)
    ]
    return pd.Index(pd.concat(recent)["customer_id"].unique() if recent else [])

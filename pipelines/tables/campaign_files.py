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
    sheet = pq.read_table(folder / SEND)
    for name in sorted(pc.unique(sheet["offer"]).to_pylist()):
        rows = sheet.filter(pc.equal(sheet["offer"], name))
        file = folder / f"send-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.csv"
        write_rows(sheet.schema, [rows], file)


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


def read_logs(campaigns: Path, source: str) -> pd.DataFrame:
    """All rows of the logs of a source, columns `LOGGED`; no rows without a campaign."""
    logs = [pd.read_parquet(file, columns=list(LOGGED)) for file in log_files(campaigns, source)]
    if not logs:
        return pd.DataFrame({name: pd.Series(dtype="object") for name in LOGGED}).astype(
            {"offered_at": "datetime64[us]"}
        )
    return pd.concat(logs, ignore_index=True)

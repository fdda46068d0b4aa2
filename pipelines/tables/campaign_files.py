"""The files of campaigns: what was sent, one CSV per offer, and the logs of all campaigns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..storage.atomic import StoreError
from ..storage.places import Place, local_copy
from ..storage.shared_files import below, published_folders
from .safe_csv import write_rows

LOG, SEND, SUMMARY = "log.parquet", "send.parquet", "summary.json"
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


@contextmanager
def log_files(campaigns: Place, source: str) -> Iterator[dict[str, Path]]:
    """The log of each finished campaign of a source, by its name and in the order of names.

    Of a store they are copies, for the length of the block.

    Raises
    ------
    StoreError
        If a finished campaign has no log, or a store refuses.
    """
    files: dict[str, Path] = {}
    with ExitStack() as copies:
        for name, manifest in published_folders(campaigns).items():
            if manifest.get("source") != source:
                continue
            log = below(below(campaigns, name), LOG)
            file = copies.enter_context(local_copy(log, f"log-of-{name}"))
            if file is None or not file.is_file():
                raise StoreError(f"{log}: missing; it is what a campaign is learned from")
            files[name] = file
        yield files


def read_summary(campaign: Place) -> dict[str, Any]:
    """What was said of a finished campaign when it was drawn.

    Raises
    ------
    StoreError
        If it is missing, or a store refuses.
    """
    place = below(campaign, SUMMARY)
    with local_copy(place, "summary") as file:
        if file is None or not file.is_file():
            raise StoreError(f"{place}: missing; restore the folder of this campaign")
        return dict(json.loads(file.read_bytes()))


def read_logs(campaigns: Place, source: str) -> pd.DataFrame:
    """All rows of the logs of a source, columns `LOGGED`; no rows without a campaign."""
    with log_files(campaigns, source) as files:
        logs = [pd.read_parquet(file, columns=list(LOGGED)) for file in files.values()]
    if not logs:
        return pd.DataFrame({name: pd.Series(dtype="object") for name in LOGGED}).astype(
            {"offered_at": "datetime64[us]"}
        )
    return pd.concat(logs, ignore_index=True)

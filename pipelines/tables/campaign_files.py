"""The files of campaigns: what was sent, one CSV per offer, and the logs of all campaigns."""

from __future__ import annotations

import json
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
from .portable_names import portable_name
from .safe_csv import write_rows

LOG, SEND, SUMMARY = "log.parquet", "send.parquet", "summary.json"
LOGGED = ("customer_id", "campaign", "offered_at", "chosen", "offer", "propensity")


def write_offer_lists(folder: Path) -> None:
    """A CSV for each offer of `send.parquet`, see `_list_of`; safe to open in a spreadsheet."""
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
        write_rows(reader.schema_arrow, rows, folder / _list_of(name))


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


def contacted_since(campaigns: Place, source: str, moment: pd.Timestamp) -> pd.Index:
    """Whom a source's campaigns contacted or held out after a moment: ids as text, each once."""
    with log_files(campaigns, source) as files:
        recent = [
            pd.read_parquet(file, columns=["customer_id"], filters=[("offered_at", ">", moment)])
            for file in files.values()
        ]
    ids = [log["customer_id"].astype("str") for log in recent]
    return pd.Index(pd.concat(ids).unique() if ids else [], dtype="str")


def _list_of(offer: str) -> str:
    """Name of the CSV of an offer, the same in every campaign."""
    return f"send-{portable_name(offer)}.csv"

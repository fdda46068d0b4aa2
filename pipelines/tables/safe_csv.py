"""CSV in which a spreadsheet finds no formula to execute."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from ..storage.atomic import MANIFEST

# What makes a spreadsheet take a text for a formula, also where it cuts texts at other separators;
# the last four of the first are the wide forms that Asian keyboards write. One that has apostrophes
# in front gets one more, so that taking one off gives the text back.
FORMULA = r"^('*[=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}])"
AFTER_SEPARATOR = r"([;|\t\r\n])('*[=+\-@])"


def csv_beside(folder: Path) -> Path:
    """The CSV of a published folder: beside it, so that its readers see parquet files alone."""
    return folder.with_name(f"{folder.name}.csv")


def has_csv(folder: Path) -> bool:
    """Whether the scores that stand there were published with a CSV."""
    try:
        return bool(json.loads((folder / MANIFEST).read_bytes())["csv"])
    except (OSError, ValueError, KeyError):
        return False


def write_csv(parts: Sequence[Path], file: Path | BinaryIO) -> None:
    """All rows of parquet files of one schema in order, read one at a time; see `write_rows`."""
    write_rows(pq.read_schema(parts[0]), map(pq.read_table, parts), file)


def write_rows(schema: pa.Schema, tables: Iterable[pa.Table], file: Path | BinaryIO) -> None:
    """Tables of one schema as CSV; texts that would be formulas get an apostrophe in front.

    UTF-8, texts in double quotes, nothing between the commas where a value is missing.
    """
    names = [_harmless(pa.array([name]))[0].as_py() for name in schema.names]
    target = pa.schema(list(zip(names, [field.type for field in schema], strict=True)))
    with pcsv.CSVWriter(file, target) as writer:
        for table in tables:
            columns = [
                _harmless(column) if pa.types.is_string(column.type) else column
                for column in table.columns
            ]
            writer.write_table(pa.table(columns, schema=target))


def save_table(frame: pd.DataFrame, file: Path) -> None:
    """A small table as CSV; texts and names that would be formulas get an apostrophe in front."""
    safe = {
        name: values
        if pd.api.types.is_numeric_dtype(values)
        else values.map(_harmless_text, na_action="ignore")
        for name, values in frame.items()
    }
    named = pd.DataFrame(safe, columns=frame.columns, index=frame.index)
    named.rename(columns=_harmless_text).to_csv(file, index=False)


def read_table(file: Path) -> pd.DataFrame:
    """A table of `save_table`; names stay text, even where they look like numbers or missing."""
    texts = ("arm", "offer", "feature", "family", "output", "part", "level", "column", "group")
    named = dict.fromkeys(texts, "str")
    frame = pd.read_csv(file, dtype=named, keep_default_na=False, na_values=[""])
    for name in frame.select_dtypes(["object", "str"]):
        frame[name] = frame[name].map(_as_it_was, na_action="ignore")
    return frame.rename(columns=_as_it_was)


def _harmless_text(text: object) -> object:
    if not isinstance(text, str):
        return text
    one_line = text.replace("\r", " ")  # pandas writes it without quotes
    return _harmless(pa.array([one_line]))[0].as_py()


def _as_it_was(text: object) -> object:
    """A text of `_harmless` without the apostrophes that it put in."""
    if not isinstance(text, str):
        return text
    whole = pc.replace_substring_regex(pa.array([text]), FORMULA.replace("^(", "^'("), r"\1")
    return pc.replace_substring_regex(whole, AFTER_SEPARATOR.replace("('", "'('"), r"\1\2")[
        0
    ].as_py()


def _harmless(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    inside = pc.replace_substring_regex(texts, AFTER_SEPARATOR, r"\1'\2")
    return pc.replace_substring_regex(inside, FORMULA, r"'\1")

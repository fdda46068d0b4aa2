"""One CSV of many parts that a spreadsheet opens without executing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

FORMULA = r"^[=+\-@\t\r\n]"  # what makes a spreadsheet take a text for a formula


def write_csv(parts: Sequence[Path], file: Path) -> None:
    """All rows of the parts in order; texts that would be formulas get an apostrophe in front.

    Parameters
    ----------
    parts
        Parquet files of one schema, read one at a time.
    file
        UTF-8, texts in double quotes, nothing between the commas where a value is missing.
    """
    schema = pq.read_schema(parts[0])
    names = [_harmless(pa.array([name]))[0].as_py() for name in schema.names]
    kinds = [field.type for field in schema]
    target = pa.schema(list(zip(names, kinds, strict=True)))
    with pcsv.CSVWriter(file, target) as writer:
        for part in parts:
            table = pq.read_table(part)
            columns = [
                _harmless(column) if pa.types.is_string(column.type) else column
                for column in table.columns
            ]
            writer.write_table(pa.table(columns, schema=target))


def _harmless(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    live = pc.match_substring_regex(texts, FORMULA)
    return pc.if_else(live, pc.binary_join_element_wise("'", texts, ""), texts)

"""Refusal of parquet files that would expand beyond the memory, before anything is expanded.

A file of a megabyte can hold gigabytes, and its footer may say anything about it. What a reader
really allocates stands in the header of each page, so these are read: a few bytes a page.
The layout is that of Apache Parquet's `PageHeader` in Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq

MOST_UNFOLDED = 512 * 2**20  # bytes that the pages in hand may take, over all columns
MOST_TEXT = 500  # bytes of one text
_SLACK = 2**20  # of a page: what writers fill before they begin the next
_LONGEST_HEADER = 2**14  # bytes; statistics of long texts stand in it
_DAMAGE = (IndexError, KeyError, OSError, OverflowError, RecursionError, ValueError)
_DATA_PAGES = (0, 3)
_FIXED = {1: 0, 2: 0, 3: 1}  # true, false, byte
_VARINTS = (4, 5, 6)
_DOUBLE, _BINARY, _STRUCT = 7, 8, 12


def refuse_bombs(
    reader: pq.ParquetFile, handle: BinaryIO, file: Path, columns: Collection[str]
) -> None:
    """Check the page headers of some columns of a file.

    Parameters
    ----------
    reader, handle
        The file twice: as parquet, and as its bytes.
    file
        Its name, for messages.
    columns
        Those that will be read.

    Raises
    ------
    ValueError
        If the pages that are held at once, or the texts of one, are too large, or a header is
        damaged.
    """
    metadata = reader.metadata
    for group in range(metadata.num_row_groups):
        held = 0
        for position in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(position)
            name = chunk.path_in_schema
            if name not in columns or not chunk.num_values:
                continue
            try:
                pages, long_texts = _largest_pages(handle, chunk)
            except _DAMAGE as error:
                raise ValueError(
                    f"{file}: column '{name}' is damaged or forged ({error}); write it anew"
                ) from error
            if long_texts:
                raise ValueError(too_long(name))
            held += pages
        if held > MOST_UNFOLDED:
            raise ValueError(
                f"{file}: would unfold to {held / 2**20:,.0f} MiB at once, the most is "
                f"{MOST_UNFOLDED // 2**20}; write row groups of about 100,000 rows"
            )


def too_long(column: str) -> str:
    """The message for a text that is too long to be an id or a category."""
    return (
        f"column '{column}' holds texts of more than {MOST_TEXT} bytes; ids and categories are "
        "shorter, so correct it or leave it out"
    )


def _largest_pages(handle: BinaryIO, chunk: Any) -> tuple[int, bool]:
    """Bytes of a chunk's largest page and its dictionary; whether its texts are too long."""
    first = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < first:
        first = chunk.dictionary_page_offset
    largest = dictionary = 0
    long_texts = False
    for kind, unfolded, values in _pages(handle, first, chunk.total_compressed_size):
        if kind not in _DATA_PAGES:
            dictionary += unfolded
            continue
        largest = max(largest, unfolded)
        if chunk.physical_type == "BYTE_ARRAY":
            long_texts |= unfolded > values * MOST_TEXT + _SLACK
    return largest + dictionary, long_texts


def _pages(handle: BinaryIO, first: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Kind, unfolded bytes and values of each page of a chunk."""
    at = first
    while at < first + size:
        handle.seek(at)
        header = _Header(handle.read(_LONGEST_HEADER))
        fields = header.struct()
        folded, unfolded = fields[3], fields[2]
        if folded < 0 or unfolded < 0:
            raise ValueError("a page of negative size")
        about = fields.get(5) or fields.get(8) or {}
        yield fields[1], unfolded, about.get(1, 0)
        at += header.at + folded


class _Header:
    """A cursor over Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self) -> dict[int, Any]:
        """Fields by number: whole numbers and structs; the rest is skipped as None."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            fields[number] = self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in _VARINTS:
            return self._whole()
        if kind == _STRUCT:
            return self.struct()
        if kind == _BINARY:
            self._skip(self._varint())
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind in _FIXED:
            self._skip(_FIXED[kind])
        else:
            raise ValueError("an unknown kind of header")
        return None

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        shift = number = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise ValueError("an endless number")

    def _whole(self) -> int:
        zigzag = self._varint()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def _skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise IndexError("a page header of more than 16 KiB")

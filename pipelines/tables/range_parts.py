"""What tasks of Spark make of ranges of customers: files, each with a note that it is done.

A job that was killed finds the notes and goes on with the ranges that have none.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..job.progress import say
from ..storage.places import Place
from ..storage.shared_files import below, is_intact, read, write
from .on_spark import SharedTable, dealt_out, each, in_ranges


class RangeParts:
    """The ranges of customers in some tables, and the folder where what was made of them waits.

    Parameters
    ----------
    spark
        The session.
    tables, bounds
        See `on_spark.dealt_out`; rows are dealt out once for all that is built of the same ranges.
    work
        The folder.

    Attributes
    ----------
    count
        How many ranges there are.
    """

    def __init__(
        self, spark: Any, tables: Mapping[str, SharedTable], bounds: Sequence[Any], work: Place
    ) -> None:
        self._spark, self._tables, self._bounds = spark, tables, bounds
        self._dealt: dict[tuple[int, ...], Any] = {}
        self.work = work
        self.count = len(bounds) + 1

    def files(self, part: str) -> list[Place]:
        """Where a part of each range waits, in order."""
        return [part_file(self.work, part, number) for number in range(self.count)]

    def build(
        self,
        what: str,
        make: Callable[[dict[str, pa.Table], Path], Any],
        *,
        suppressions: str | None = None,
    ) -> list[dict[str, Any]]:
        """Let a task make files of each range that is not finished; the notes of all, in order.

        Parameters
        ----------
        what
            Names the notes.
        make
            Is given the rows of each table in the range, and a folder to write Parquet files to;
            what it returns is in the note as "said".
        suppressions
            SHA-256 of the list of objectors; what was made with another one is made anew.

        Returns
        -------
        list of dict
            said, suppressions, and files: bytes and sha256 of each by its name without suffix.
        """
        work = self.work

        def one(number: int, rows: dict[str, pa.Table]) -> None:
            with tempfile.TemporaryDirectory() as folder:
                said = make(rows, Path(folder))
                files = {
                    file.stem: write(part_file(work, file.stem, number), file)
                    for file in sorted(Path(folder).glob("*.parquet"))
                }
            note = {"said": said, "suppressions": suppressions, "files": files}
            write(_note_file(work, what, number), json.dumps(note, sort_keys=True).encode())

        numbers = range(self.count)
        notes = [_note(work, what, number) for number in numbers]
        noted = [number for number in numbers if "files" in notes[number]]
        there = each(self._spark, noted, lambda number: _is_whole(work, number, notes[number]))
        finished = {
            number
            for number, whole in zip(noted, there, strict=True)
            if whole and notes[number]["suppressions"] == suppressions
        }
        wanted = tuple(number for number in numbers if number not in finished)
        if not wanted:
            return notes
        if finished:
            say(f"{len(finished)} of {self.count} parts are there from before")
        if wanted not in self._dealt:
            dealt = dealt_out(self._spark, self._tables, self._bounds, wanted)
            self._dealt[wanted] = dealt
        in_ranges(self._dealt[wanted], self._tables, wanted, one)
        return [_note(work, what, number) for number in numbers]


def part_file(work: Place, part: str, number: int) -> Place:
    """Where a part of a range waits."""
    return below(work, f"{part}-{number:05d}.parquet")


def _note_file(work: Place, what: str, number: int) -> Place:
    return below(work, f"{what}-{number:05d}.json")


def _note(work: Place, what: str, number: int) -> dict[str, Any]:
    return dict(json.loads(read(_note_file(work, what, number)) or b"{}"))


def _is_whole(work: Place, number: int, note: Mapping[str, Any]) -> bool:
    return all(
        is_intact(part_file(work, part, number), facts["sha256"])
        for part, facts in note["files"].items()
    )

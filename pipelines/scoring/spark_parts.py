"""Scoring on Spark: chunks are read by Spark and answered by the code of the local engine.

Spark replaces the reading and the threads only: each of its chunks is answered and written as a
part by `parts`, so that the executors need this package and the output's folder.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..job.quiet import quiet_children
from .parts import Task, answered, columns_read, write_part


def answer_on_spark(
    task: Task, files: Sequence[Path], work: Path, *, part_rows: int, threads: int
) -> list[Path]:
    """Write the answers for all rows of the files as parts of at most `part_rows` rows.

    `threads` are those of a local Spark; a session that is there already, or `spark-submit`, says
    itself where it runs.

    Returns
    -------
    list of Path
        The parts, in the order of Spark's partitions.

    Raises
    ------
    ValueError
        If pyspark is not installed.
    """
    columns = columns_read(task, pq.read_schema(files[0]).names)
    folder = work.absolute()

    def write_chunks(chunks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        partition = TaskContext.get().partitionId()  # type: ignore[union-attr]
        for number, chunk in enumerate(chunks):
            part = folder / f"part-{partition:05d}-{number:05d}.parquet"
            write_part(part, answered(pa.Table.from_batches([chunk]), task), task.listed)
            yield pa.RecordBatch.from_pydict({"part": [part.name]})

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # Only Arrow goes in and out, so Spark's warning about pandas 3 does not apply.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        spark = stack.enter_context(_session(threads))
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(part_rows))
        rows = spark.read.parquet(*(str(file.absolute()) for file in files))
        quoted = ("`" + name.replace("`", "``") + "`" for name in columns)
        written = rows.select(*quoted).mapInArrow(write_chunks, "part string")
        return sorted(work / row.part for row in written.collect())


@contextmanager
def _session(threads: int) -> Iterator[Any]:
    """The session that is there, or a local one for the length of the block."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise ValueError(
            "--engine spark needs pyspark; pip install 'winback[spark]', or use --engine local"
        ) from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    before = SparkSession.getActiveSession()
    builder = SparkSession.builder.appName("winback score")
    if before is None and "PYSPARK_GATEWAY_PORT" not in os.environ:  # not under spark-submit
        builder = builder.master(f"local[{threads}]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
    with quiet_children():
        spark = before or builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        if before is None:
            spark.stop()

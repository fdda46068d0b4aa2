"""Scoring of chunks of customers, each written as a part, in sequence or in parallel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...models.decision.recommend import DECISION_COLUMNS
from ...models.formula.answers import Answers, answer, input_columns
from ..job.progress import say
from ..storage.atomic import file_hash, replace_file
from . import input_rows as batch
from .suppressions import Suppressions

TYPES = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}


@dataclass(frozen=True)
class Task:
    """What every chunk is answered with.

    Attributes
    ----------
    answers, version
        The models, and what the rows say of them.
    as_of
        The moment to score; rows of another one are left out.
    listed
        Who is left out, or None where nobody can object.
    """

    answers: Answers
    version: str
    as_of: datetime
    listed: Suppressions | None


def columns_read(task: Task, present: Sequence[str]) -> list[str]:
    """The columns of a file of customers that answering reads."""
    keys = [name for name in batch.KEYS if name in present]
    return list(dict.fromkeys([*keys, *input_columns(task.answers)]))


def answered(chunk: pa.Table, task: Task) -> pa.Table:
    """The answers for those rows of a chunk that are to be scored."""
    wanted = batch.of_moment(batch.moments_of(chunk), task.as_of)
    if task.listed is not None:
        wanted = pc.and_(wanted, pc.invert(task.listed.hit(chunk["customer_id"])))
    kept = chunk if pc.all(wanted).as_py() else chunk.filter(wanted)
    schema = _schema(task.answers, kept.schema)
    if not len(kept):
        return schema.empty_table()
    rows = batch.typed(kept, input_columns(task.answers))
    customers = kept["customer_id"].cast(schema.field("customer_id").type)
    outputs = answer(task.answers, rows.assign(customer_id=customers.to_pandas()))
    values: dict[str, Any] = {name: outputs[name] for name in outputs.columns}
    values |= {
        "customer_id": customers,
        "as_of": pa.repeat(pa.scalar(task.as_of, batch.MOMENT), len(kept)),
        "model_version": pa.repeat(task.version, len(kept)),
    }
    if "population" in schema.names:
        values["population"] = kept["population"].cast(pa.string())
    return pa.table([_column(values[field.name], field.type) for field in schema], schema=schema)


def write_part(part: Path, table: pa.Table, listed: Suppressions | None) -> None:
    """A part and, once it is safe on disk, the note that says so."""
    replace_file(part, lambda handle: write_parquet(table, handle))
    note = {"sha256": file_hash(part), "suppressions": listed.sha256 if listed else None}
    replace_file(part.with_suffix(".json"), json.dumps(note, sort_keys=True).encode())


def write_parquet(table: pa.Table, target: Any) -> None:
    """Dictionary-encode texts only: doing so with numbers would take twice as long."""
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(table, target, compression="zstd", use_dictionary=texts)


def written_with(part: Path) -> str | None:
    """The hash of the list that a finished part was written with."""
    digest: str | None = json.loads(part.with_suffix(".json").read_bytes())["suppressions"]
    return digest


def is_finished(part: Path, listed: Suppressions | None) -> bool:
    """Whether a part is whole, and was written with the list as it is now."""
    note = part.with_suffix(".json")
    if not (part.is_file() and note.is_file()):
        return False
    facts = json.loads(note.read_bytes())
    same_list = facts["suppressions"] == (listed.sha256 if listed else None)
    return bool(same_list and facts["sha256"] == file_hash(part))


def answer_parts(
    task: Task, files: Sequence[Path], work: Path, *, part_rows: int, threads: int
) -> list[Path]:
    """Write each part from the next `part_rows` rows of the files, `threads` parts at a time.

    Parts in `work` that are finished stay as they are. The first failure stops all.

    Returns
    -------
    list of Path
        The parts, in the order of the rows.
    """
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    parts = [work / f"part-{number:05d}.parquet" for number in range(-(-rows // part_rows))]
    missing = [not is_finished(part, task.listed) for part in parts]
    if not any(missing):
        return parts
    first = missing.index(True)
    if first:
        say(f"{first} of {len(parts)} parts are there from before")
    columns = columns_read(task, pq.read_schema(files[0]).names)
    stream = batch.chunks(files, columns, start=first * part_rows, rows=part_rows)
    chunks = zip(parts[first:], stream, missing[first:], strict=True)
    turn, failed = Lock(), Event()

    def worker() -> None:
        while not failed.is_set():
            with turn:
                entry = next(chunks, None)
            if entry is None:
                return
            part, chunk, wanted = entry
            if wanted:
                try:
                    write_part(part, answered(chunk, task), task.listed)
                except BaseException:
                    failed.set()
                    raise

    if threads == 1:
        worker()
        return parts
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(worker) for _ in range(threads)]:
            done.result()
    return parts


def _column(values: Any, kind: pa.DataType) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    return pa.array(values, type=kind, from_pandas=True)


def _schema(answers: Answers, given: pa.Schema) -> pa.Schema:
    """The columns of every part, whatever rows are in it."""
    whole = pa.types.is_integer(given.field("customer_id").type)
    fields = [
        pa.field("customer_id", pa.int64() if whole else pa.string()),
        pa.field("as_of", batch.MOMENT),
    ]
    if "population" in given.names:
        fields.append(pa.field("population", pa.string()))
    for formula in answers.formulas:
        fields += [pa.field(name, pa.float64()) for name in formula.outputs]
    if answers.decision is not None:
        fields += [pa.field(name, TYPES[kind]) for name, kind in DECISION_COLUMNS.items()]
    fields.append(pa.field("model_version", pa.string()))
    return pa.schema(fields)

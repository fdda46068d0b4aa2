"""What a scoring job costs beside its boosters alone, and whether its memory grows with the rows.

Per size and number of threads, each measured in a process of its own in the same run:

bare        `Booster.predict` of the boosters that training made, each on the rows it is for, on a
            matrix that is in memory already, an S-learner's once per offer: no reading, no
            encoding, none of the formula's other parts (additive models, calibration, profit)
lignum      the same by pylignum's interpreter, bit for bit, where it is installed
tables      the same by our look-up tables, which is how formulas are evaluated
answer      `models.inference.answer` on a frame in memory: everything the formulas say
score       the whole job: check, survey, drift, hashes, suppression, reading, answering, writing,
            manifest, publication
spark       the same job with `--engine spark`, on as many local threads

`rows/s` is rows through wall seconds (imports left out; opening the model counts for score),
`share` that of bare, `cpu us` processor time per row, of Python and its threads, `peak` the largest
resident memory of the process in MiB; of Spark's Java neither is counted. On a machine that does
other work too, compare `cpu us`. The rows are those of data/features/current.parquet, repeated
under new ids. Run `winback run` first; `python benchmarks/score.py --quick` takes a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from results import keep

if TYPE_CHECKING:  # each kind of work is measured with what it needs, and no more
    import numpy as np
    from lightgbm import Booster

    from winback.models.formula.formula import Formula

Work = Callable[[], object]
SOURCE = Path("data/features/current.parquet")
MODELS = Path("artifacts")
GROUP_ROWS = 50_000


class Cost(NamedTuple):
    """Seconds on the clock, and of the processor in this process and its children."""

    wall: float = 0.0
    cpu: float = 0.0


def measured(work: Callable[[], object]) -> Cost:
    """What a call costs."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    return Cost(time.perf_counter() - wall, sum(os.times()[:4]) - cpu)


def make_customers(file: Path, rows: int) -> None:
    """`rows` customers in row groups of 50,000."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = pq.read_table(SOURCE)
    with pq.ParquetWriter(file, known.schema) as writer:
        written = 0
        while written < rows:
            table = known.slice(0, rows - written)
            ids = pa.array(range(written, written + len(table)), known["customer_id"].type)
            place = known.column_names.index("customer_id")
            table = table.set_column(place, known.schema.field("customer_id"), ids)
            writer.write_table(table, GROUP_ROWS)
            written += len(table)


def parsed(formula: Formula, name: str) -> Booster:
    """A booster of a formula, as LightGBM reads it."""
    from lightgbm import Booster

    return Booster(model_str=formula.boosters[name])


def bare(file: Path, rows: int, threads: int) -> Cost:
    """The boosters alone."""

    def prepared(formula: Formula, matrix: np.ndarray) -> Work:
        asked = [(parsed(formula, name), data) for name, data in inputs(formula, matrix)]
        return lambda: [
            one.predict(data, raw_score=True, num_threads=threads) for one, data in asked
        ]

    return boosters_alone(file, rows, prepared)


def by_lignum(file: Path, rows: int, threads: int) -> Cost:
    """The boosters by pylignum."""
    import lignum

    def prepared(formula: Formula, matrix: np.ndarray) -> Work:
        asked = []
        for name, data in inputs(formula, matrix):
            own = parsed(formula, name)
            with tempfile.NamedTemporaryFile(suffix=".txt") as text:
                own.save_model(text.name)
                model = lignum.load(text.name)
            few = data[:1_000]
            assert (model.predict(few, raw_score=True) == own.predict(few, raw_score=True)).all()
            asked.append((model, data))
        return lambda: [one.predict(data, raw_score=True, n_jobs=threads) for one, data in asked]

    return boosters_alone(file, rows, prepared)


def by_tables(file: Path, rows: int, threads: int) -> Cost:
    """The boosters by look-up tables, in blocks as a formula asks them."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from winback.models.formula.formula import _BLOCK
    from winback.models.formula.tree_tables import look_up, plant

    def prepared(formula: Formula, matrix: np.ndarray) -> Work:
        asked = sorted(calls(formula.expressions))
        given = [(name, formula.boosters[name], extra) for name, extra in asked]
        forest, columns = plant(given, matrix.shape[1]), np.asfortranarray(matrix).T
        few = look_up(forest, columns[:, :1_000])
        for found, (name, data) in zip(few, inputs(formula, matrix[:1_000]), strict=True):
            own = parsed(formula, name).predict(data, raw_score=True)
            assert np.abs(found - own).max() < 1e-12
        blocks = [columns[:, first : first + _BLOCK] for first in range(0, len(matrix), _BLOCK)]

        def all_blocks() -> None:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda block: look_up(forest, block), blocks))

        return all_blocks

    return boosters_alone(file, rows, prepared)


def boosters_alone(file: Path, rows: int, prepare: Callable[[Formula, np.ndarray], Work]) -> Cost:
    """What the calls of every booster cost, each on the rows that it is for."""
    import pyarrow.parquet as pq

    from winback.models.formula.formula import encode
    from winback.pipelines.storage.trained_models import read_answers

    answers = read_answers(*(MODELS / part for part in ("churn", "winback", "decision")))
    batch = next(pq.ParquetFile(file).iter_batches(min(rows, 200_000))).to_pandas()
    active = (batch["population"] == "active").to_numpy()
    total = Cost()
    for formula, asked in ((answers.churn, active), (answers.winback, ~active)):
        if formula is not None and calls(formula.expressions):
            cost = measured(prepare(formula, encode(formula.columns, batch[asked])))
            total = Cost(total.wall + cost.wall, total.cpu + cost.cpu)
    return Cost(total.wall * rows / len(batch), total.cpu * rows / len(batch))


def inputs(formula: Formula, matrix: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each call of a booster: its file, and its rows with its constants as further columns."""
    import numpy as np

    for name, extra in sorted(calls(formula.expressions)):
        constants = np.broadcast_to(np.asarray(extra, float), (len(matrix), len(extra)))
        yield name, np.ascontiguousarray(np.hstack([matrix, constants]))


def calls(expressions: dict) -> set[tuple[str, tuple[float, ...]]]:
    """Every different call of a booster in a formula: its file and its constants."""
    found: set[tuple[str, tuple[float, ...]]] = set()

    def walk(part: object) -> None:
        if isinstance(part, list):
            if part and part[0] == "booster":
                found.add((part[1], tuple(part[2])))
            for inner in part:
                walk(inner)

    walk(list(expressions.values()))
    return found


def answered(file: Path, rows: int, threads: int) -> Cost:
    """The answers on a frame in memory."""
    import pyarrow.parquet as pq

    from winback.models.formula.answers import answer
    from winback.pipelines.storage.trained_models import read_answers

    answers = read_answers(*(MODELS / part for part in ("churn", "winback", "decision")))
    batch = next(pq.ParquetFile(file).iter_batches(min(rows, 200_000))).to_pandas()
    answer(answers, batch.head(10), threads=threads)
    cost = measured(lambda: answer(answers, batch, threads=threads))
    return Cost(cost.wall * rows / len(batch), cost.cpu * rows / len(batch))


def scored(file: Path, rows: int, threads: int, *, spark: bool = False) -> Cost:
    """The whole job."""
    from winback.pipelines.score import Job, score
    from winback.pipelines.spark_score import score_on_spark

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        job = Job(file, Path(folder) / "scores", str(MODELS), None, threads=threads)

        def run() -> None:
            assert (score_on_spark if spark else score)(job)["rows_out"] == rows

        return measured(run)


def on_spark(file: Path, rows: int, threads: int) -> Cost:
    """The whole job on Spark."""
    return scored(file, rows, threads, spark=True)


WORK = {
    "bare": bare,
    "lignum": by_lignum,
    "tables": by_tables,
    "answer": answered,
    "score": scored,
    "spark": on_spark,
}


def measure(name: str, file: Path, rows: int, threads: int) -> dict[str, float]:
    """Seconds and peak MiB of one kind of work, in a process of its own."""
    given = (__file__, "--one", name, str(file), str(rows), str(threads))
    done = subprocess.run(
        [sys.executable, *given], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 and 100,000 rows, one thread")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--spark", action="store_true", help="the job on Spark too")
    parser.add_argument("--scratch", type=Path, help="folder for the generated rows")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, file, rows, threads = given.one
        cost = WORK[name](Path(file), int(rows), int(threads))
        peak = max(
            resource.getrusage(who).ru_maxrss / 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(json.dumps({"wall": cost.wall, "cpu": cost.cpu, "peak": peak}))
        return
    sizes = [20_000, 100_000] if given.quick else given.rows
    left_out = set() if given.spark else {"spark"}
    if find_spec("lignum") is None:
        left_out.add("lignum")
    names = [name for name in WORK if name not in left_out]
    heads = ("rows", "threads", "work", "seconds", "rows/s", "share", "cpu us", "peak MiB")
    print("{:>11} {:>7}  {:8} {:>8} {:>9} {:>6} {:>7} {:>9}".format(*heads))
    records = []
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
            file = Path(folder) / "customers.parquet"
            make_customers(file, rows)
            for threads in (1,) if given.quick else (1, 2):
                base = 0.0
                for name in names:
                    found = measure(name, file, rows, threads)
                    speed = rows / found["wall"]
                    base = base or speed
                    cost = {"rows": rows, "threads": threads, "work": name, **found}
                    records.append(cost | {"share of bare": speed / base})
                    print(
                        f"{rows:>11,} {threads:>7}  {name:8} {found['wall']:>8.1f} {speed:>9,.0f} "
                        f"{speed / base:>6.2f} {found['cpu'] / rows * 1e6:>7.2f} "
                        f"{found['peak']:>9,.0f}",
                        flush=True,
                    )
    keep("scoring", records)


if __name__ == "__main__":
    main()

"""What a scoring job costs beside its boosters alone, and whether its memory grows with the rows.

Per size and number of threads, each measured in a process of its own in the same run:

bare        `Booster.predict` of every booster of the models on a matrix that is in memory already:
            no reading, no encoding, no formula, no writing; every booster on the rows it is for
answer      `models.inference.answer` on a frame in memory
score       the whole job: check, drift, hashes, suppression, parts, manifest, publication

`rows/s` is rows through the seconds of that work (imports and opening the model left out for bare
and answer, everything but imports counted for score), `share` that of bare, `peak` the largest
resident memory of the process. The rows are those of data/features/current.parquet, repeated under
new ids. Run `winback run` first; `python benchmarks/score.py --quick` takes a minute.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path("data/features/current.parquet")
MODELS = Path("artifacts")
GROUP_ROWS = 50_000


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


def bare(file: Path, rows: int, threads: int) -> float:
    """Seconds of the boosters alone."""
    import numpy as np
    import pyarrow.parquet as pq

    from winback.models.formula import encode
    from winback.pipelines.parts import read_answers

    answers = read_answers(MODELS / "churn", MODELS / "winback")
    batch = next(pq.ParquetFile(file).iter_batches(min(rows, 200_000))).to_pandas()
    active = (batch["population"] == "active").to_numpy()
    seconds = 0.0
    for formula, asked in ((answers.churn, active), (answers.winback, ~active)):
        if formula is None:
            continue
        matrix = encode(formula.columns, batch[asked])
        for name, extra in sorted(calls(formula.expressions)):
            constants = np.broadcast_to(np.asarray(extra, float), (len(matrix), len(extra)))
            data = np.ascontiguousarray(np.hstack([matrix, constants]))
            booster = formula.booster(name)
            begun = time.perf_counter()
            booster.predict(data, raw_score=True, num_threads=threads)
            seconds += time.perf_counter() - begun
    return seconds * rows / len(batch)


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


def answered(file: Path, rows: int, threads: int) -> float:
    """Seconds of the answers on a frame in memory."""
    import pyarrow.parquet as pq

    from winback.models.inference import answer
    from winback.pipelines.parts import read_answers

    answers = read_answers(MODELS / "churn", MODELS / "winback")
    batch = next(pq.ParquetFile(file).iter_batches(min(rows, 200_000))).to_pandas()
    answer(answers, batch.head(10), threads=threads)
    begun = time.perf_counter()
    answer(answers, batch, threads=threads)
    return (time.perf_counter() - begun) * rows / len(batch)


def scored(file: Path, rows: int, threads: int) -> float:
    """Seconds of the whole job."""
    from winback.pipelines.score import Job, score

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        job = Job(file, Path(folder) / "scores", str(MODELS), None, threads=threads)
        begun = time.perf_counter()
        assert score(job)["rows_out"] == rows
        return time.perf_counter() - begun


WORK = {"bare": bare, "answer": answered, "score": scored}


def measure(name: str, file: Path, rows: int, threads: int) -> dict[str, float]:
    """Seconds and peak MiB of one kind of work, in a process of its own."""
    given = (__file__, "--one", name, str(file), str(rows), str(threads))
    done = subprocess.run(
        [sys.executable, *given], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 and 100,000 rows, one thread")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, file, rows, threads = given.one
        seconds = WORK[name](Path(file), int(rows), int(threads))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak": peak}))
        return
    sizes = [20_000, 100_000] if given.quick else given.rows
    heads = ("rows", "threads", "work", "seconds", "rows/s", "share", "peak MiB")
    print("{:>11} {:>7}  {:8} {:>8} {:>9} {:>6} {:>9}".format(*heads))
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "customers.parquet"
            make_customers(file, rows)
            for threads in (1,) if given.quick else (1, 2):
                base = 0.0
                for name in WORK:
                    found = measure(name, file, rows, threads)
                    speed = rows / found["seconds"]
                    base = base or speed
                    print(
                        f"{rows:>11,} {threads:>7}  {name:8} {found['seconds']:>8.1f} "
                        f"{speed:>9,.0f} {speed / base:>6.2f} {found['peak']:>9,.0f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()

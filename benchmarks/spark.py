"""Scores from tables of events on a standalone Spark cluster, beside the local engine.

Per size, in the same run: `winback score --tables` on this machine, and the line of docs/spark.md
on a master and workers that are started here, each with one core. Printed are seconds of the whole
command, `cpu us`, the processor time of all its processes for one customer (compare it on a machine
that does other work too; what a cluster takes follows from it), peak resident memory (a page that
processes share counts once for each), for Spark of the driver and of the executor that had most,
and whether all scores are equal to the local ones. With `--jobs featurize` the tables of features
are computed and compared, with `--kills` the driver is killed and then an executor: the old scores
must stand, and the next run must end with the same.

The customers are those of data/tables, repeated under new ids with all that happened to them. Run
`winback run` first; `python benchmarks/spark.py --quick` takes a few minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from results import keep
from spark_cluster import Cluster, documented, kill, running_cluster, submitted

TABLES, FEATURES = Path("data/tables"), Path("data/features")
IDS = ("customer_id", "referrer_id", "referred_id")
OF_ROWS = ("order_id", "complaint_id")
EVERY = 0.2  # seconds between two looks at the memory
PYTHON = Path(sys.executable)  # of the cluster's machines


def make_tables(folder: Path, customers: int) -> int:
    """Tables of about as many customers; how many there are."""
    import duckdb

    from winback.features.contract.contract import TABLES as CONTRACT
    from winback.pipelines.storage.atomic import MANIFEST, write_manifest

    base = pq.read_metadata(TABLES / "customers.parquet").num_rows
    copies = max(1, round(customers / base))
    connection = duckdb.connect()
    connection.execute(f"set temp_directory = '{folder}/spill'; set memory_limit = '4GB'")
    largest = connection.sql(f"select max(customer_id) from '{TABLES}/customers.parquet'")
    stride = int(largest.fetchall()[0][0]) + 1
    folder.mkdir(parents=True)
    for file in sorted(TABLES.glob("*.parquet")):
        names = pq.read_schema(file).names
        changed = [f"{name} + copy * {stride} as {name}" for name in IDS if name in names]
        changed += [
            f"{name}::bigint * {copies} + copy as {name}" for name in OF_ROWS if name in names
        ]
        order = [name for name in CONTRACT[file.stem].sort if name in names]
        connection.execute(
            f"copy (select * exclude (copy) replace ({', '.join(changed)}) from '{file}', "
            f"range({copies}) copies(copy) order by {', '.join(order)}) "
            f"to '{folder}/{file.name}' (format parquet, compression zstd)"
        )
    shutil.rmtree(folder / "spill", ignore_errors=True)
    known = json.loads((TABLES / MANIFEST).read_bytes())
    write_manifest(folder, {"source": known["source"], "as_of": known["as_of"]})
    return base * copies


class Memory:
    """Peaks of resident memory by part, and processor time, watched by a thread for the block."""

    def __init__(self, driver: int, workers: tuple[int, ...] = ()) -> None:
        self.peaks: dict[str, float] = {}
        self._used: dict[int, float] = {}
        self._driver, self._workers = driver, workers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            self._see(self._driver, "driver", itself=True)
            for worker in self._workers:
                self._see(worker, "executor", itself=False)

    def _see(self, root: int, part: str, *, itself: bool) -> None:
        with suppress(psutil.Error):
            process = psutil.Process(root)
            sums = {f"{part} java": 0.0, f"{part} python": 0.0}
            for one in [process] * itself + process.children(recursive=True):
                with suppress(psutil.Error):
                    kind = "java" if one.name() == "java" else "python"
                    sums[f"{part} {kind}"] += one.memory_info().rss / 2**20
                    self._used[one.pid] = sum(one.cpu_times()[:2])
            for name, size in sums.items():
                self.peaks[name] = max(size, self.peaks.get(name, 0.0))

    @property
    def used(self) -> float:
        """Seconds of the processor that all these processes used."""
        return sum(self._used.values())


def timed(
    begin: Callable[[], subprocess.Popen[bytes]], workers: tuple[int, ...] = ()
) -> dict[str, float]:
    """Seconds on the clock and of the processor, and peak MiB, of a command that must succeed."""
    begun = time.perf_counter()
    process = begin()
    with Memory(process.pid, workers) as memory:
        code = process.wait()
    assert code == 0, f"exit code {code}; see the log beside the tables"
    return {"seconds": time.perf_counter() - begun, "cpu": memory.used, **memory.peaks}


def scoring(tables: Path, out: Path, *more: str) -> list[str]:
    """The arguments of a job that scores tables."""
    given = ["score", "--model", "artifacts", "--tables", str(tables), "--out", str(out)]
    listed = ["--suppressions", str(tables / "suppressions.parquet"), "--max-age-days", "9999"]
    return [*given, *listed, *more]


def equal(one: Path, other: Path) -> bool:
    """Whether two folders of scores, or files of features, hold the same rows in the same order."""
    return _told_apart(one) == _told_apart(other)


def _told_apart(place: Path) -> list[Any]:
    """The columns, the count and a hash of all rows, each with its position, however many."""
    import duckdb

    file = place / "part-*.parquet" if place.is_dir() else place
    rows = f"(select row_number() over () as position, * from '{file}') as row"
    columns = duckdb.sql(f"describe from {rows}").fetchall()
    return [columns, duckdb.sql(f"select count(*), bit_xor(hash(row)) from {rows}").fetchall()]


def on_cluster(cluster: Cluster, log: Path, given: list[str]) -> Callable[[], Any]:
    """What starts the line of the docs with these arguments of winback."""
    line = documented(cluster.master, PYTHON, given, folder=log.parent)
    return lambda: submitted(line, cwd=Path.cwd(), log=log, python=PYTHON)


def here(log: Path, given: list[str]) -> Callable[[], Any]:
    """What starts winback on this machine alone."""
    python = Path(sys.executable)
    line = [str(python.with_name("winback")), *given]
    return lambda: submitted(line, cwd=Path.cwd(), log=log, python=python)


def killed(cluster: Cluster, tables: Path, local: Path, part_rows: int) -> dict[str, Any]:
    """Kill the driver, look, go on, and kill an executor; what stood and what came of it."""
    from winback.pipelines.storage.atomic import verify

    out, log = tables.parent / "killed", tables.parent / "killed.log"
    old = [*scoring(tables, out), "--no-suppressions", "--part-rows", str(part_rows)]
    del old[old.index("--suppressions") : old.index("--no-suppressions")]
    timed(here(log, old))
    before = verify(out)
    given = [*scoring(tables, out), "--engine", "spark", "--part-rows", str(part_rows)]
    start = on_cluster(cluster, log, given)
    first = start()
    _until(lambda: _parts(out) >= 2, first)
    kill(first)
    stands = verify(out) == before
    said = len(log.read_bytes())
    again = start()
    kept = _parts(out)
    _until(lambda: _parts(out) > kept, again)
    executor = next(iter(executors(cluster)))
    executor.kill()
    code = again.wait()
    resumed = b"parts are there from before" in log.read_bytes()[said:]
    return {
        "the driver was killed: the old scores stand": stands,
        "the next run went on with the parts": resumed,
        "an executor was killed: exit code": code,
        "the scores are equal": equal(out, local),
    }


def executors(cluster: Cluster) -> list[psutil.Process]:
    """The Java processes of executors that run now."""
    found = []
    for worker in cluster.workers:
        for one in psutil.Process(worker).children(recursive=True):
            with suppress(psutil.Error):
                if "CoarseGrainedExecutorBackend" in " ".join(one.cmdline()):
                    found.append(one)
    return found


def _parts(out: Path) -> int:
    return len(list(out.parent.glob(f".{out.name}.work-*/part-*.json")))


def _until(happens: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not happens():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)


def measure(size: int, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Both engines at one size, printed."""
    tables, log = folder / f"tables_{size}" / "tables", folder / f"tables_{size}" / "said.log"
    tables.parent.mkdir()
    customers = make_tables(tables, size)
    events = sum(pq.read_metadata(file).num_rows for file in tables.glob("*.parquet"))
    print(f"{customers:,} customers, {events:,} rows in all tables", flush=True)
    part_rows = str(given.part_rows)
    jobs = {
        "score": (
            tables.parent / "scores",
            lambda out: scoring(tables, out, "--part-rows", part_rows),
        ),
        "featurize": (
            tables.parent / "features",
            lambda out: ["featurize", "--tables", str(tables), "--features", str(out)],
        ),
    }
    records = []
    with running_cluster(folder / "cluster", workers=given.workers, memory="1g") as cluster:
        for name in given.jobs:
            out, arguments = jobs[name]
            other = out.with_name(f"{out.name}_spark")
            local = timed(here(log, arguments(out)))
            spark = timed(
                on_cluster(cluster, log, [*arguments(other), "--engine", "spark"]), cluster.workers
            )
            files = [Path()] if name == "score" else [f.name for f in out.glob("*.parquet")]
            same = all(equal(out / file, other / file) for file in files)
            records.append({"customers": customers, "job": name, "engine": "local", **local})
            records.append(
                {"customers": customers, "job": name, "engine": "spark", **spark}
                | {"workers": given.workers, "equal": same}
            )
            print(f"  {_cost(name, 'local', local, customers)} process {_mib(local, 'driver')}")
            print(
                f"  {_cost('', 'spark', spark, customers)} driver {_mib(spark, 'driver')}, "
                f"executor {_mib(spark, 'executor')}; equal: {same}",
                flush=True,
            )
            assert same
        if given.kills:
            for what, found in killed(
                cluster, tables, tables.parent / "scores", given.part_rows
            ).items():
                print(f"  {what}: {found}")
    shutil.rmtree(tables.parent)
    return records


def _cost(job: str, engine: str, found: dict[str, float], customers: int) -> str:
    each = found["cpu"] / customers * 1e6
    return f"{job:9} {engine}  {found['seconds']:>7.1f} s {each:>7,.0f} cpu us a customer "


def _mib(found: dict[str, float], part: str) -> str:
    python, java = found.get(f"{part} python", 0.0), found.get(f"{part} java", 0.0)
    return f"{python:,.0f} MiB" + (f" + Java {java:,.0f} MiB" if java else "")


def main() -> None:
    """Parse arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 customers, and the kills")
    parser.add_argument("--customers", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, default=2, help="each with one core")
    parser.add_argument("--part-rows", type=int, default=50_000, help="customers a task")
    parser.add_argument("--jobs", nargs="+", choices=("score", "featurize"), default=["score"])
    parser.add_argument("--kills", action="store_true", help="of the job that scores too")
    parser.add_argument("--scratch", type=Path, help="folder for the generated tables")
    given = parser.parse_args()
    if given.kills and "score" not in given.jobs:
        parser.error("--kills compares with the job score; name it among --jobs")
    if given.quick:
        given.customers, given.part_rows, given.kills = [20_000], 2_000, True
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    records = []
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        for size in given.customers:
            records += measure(size, given, Path(folder).resolve())
    keep("spark", records)


if __name__ == "__main__":
    main()

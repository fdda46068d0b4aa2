"""Scoring jobs killed at random moments: what stands afterwards, and what the next run makes.

A folder of older scores is there; a job with a new suppression list replaces it and is killed with
SIGKILL after a random time. Counted: whether the folder is whole, old or new; whether a second run
ends with the bytes of a job that nobody disturbed; how many parts it had to answer again. Run
`winback run` first; `--quick` kills 10 times, the default is 200.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from winback.pipelines.score import Job, score
from winback.pipelines.store import clean_leftovers, verify

SOURCE, MODELS = Path("data/features/current.parquet"), "artifacts"
ROWS, PART_ROWS = 6_000, 250


def in_child(job: Job, seconds: float | None) -> int:
    """Run a job in a process of its own, killed after `seconds`; its exit status."""
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as silent:
            os.dup2(silent.fileno(), 2)
            score(job)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def parts_waiting(out: Path) -> int:
    """Finished parts that a killed job left."""
    return len(list(out.parent.glob(f".{out.name}.work-*/part-*.json")))


def main() -> None:
    """Kill, look, finish, compare; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kills", type=int, default=200)
    given = parser.parse_args()
    kills = 10 if given.quick else given.kills
    draw = random.Random(1)
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        customers = pq.read_table(SOURCE).slice(0, ROWS)
        pq.write_table(customers, folder / "customers.parquet")
        pq.write_table(customers.select(["customer_id"])[::10], folder / "objected.parquet")
        job = Job(folder / "customers.parquet", folder / "scores", MODELS, None)
        job = replace(job, part_rows=PART_ROWS)
        new_job = replace(job, suppressions=folder / "objected.parquet")
        in_child(replace(job, out=folder / "old"), None)
        begun = time.perf_counter()
        in_child(replace(new_job, out=folder / "new"), None)
        lasts = time.perf_counter() - begun
        old, new = verify(folder / "old"), verify(folder / "new")
        for _ in range(kills):
            shutil.copytree(folder / "old", job.out)
            in_child(new_job, draw.uniform(0, 1.1 * lasts))
            clean_leftovers(job.out)
            stands = verify(job.out)
            seen["old or new"] += stands in (old, new)
            seen["new"] += stands == new
            seen["parts kept"] += parts_waiting(job.out)
            in_child(new_job, None)
            seen["same bytes after a second run"] += verify(job.out) == new
            seen["leftovers"] += len(list(folder.glob(".scores.*"))) > 1  # the lock's file stays
            shutil.rmtree(job.out)
    print(f"{kills} kills within {lasts:.2f} s, {-(-ROWS // PART_ROWS)} parts")
    for what, count in seen.items():
        print(f"  {what:32} {count:>6}")
    if not seen["old or new"] == seen["same bytes after a second run"] == kills:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""Scoring jobs killed at random moments while they publish to an S3 server: what stands there.

Older scores stand in a folder of the store; a job with a new suppression list replaces them and is
killed with SIGKILL after a random time. Counted: whether a reader who follows the manifest finds
the old scores, the new ones or something half (each object that it names is fetched and hashed),
and whether the next run ends with the new ones. The server is moto's, of the development
environment, on this machine. Run it where `winback run` has succeeded.

    python benchmarks/s3_kills.py [--kills 50]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from botocore.exceptions import ClientError
from jobs import start
from results import show
from s3_server import BUCKET, client, running_s3

from winback.pipelines.score import Job
from winback.pipelines.storage.places import place

SOURCE, MODELS = Path("data/features/current.parquet"), Path("artifacts")
ROWS, PART_ROWS = 6_000, 250


def done(job: Job) -> bool:
    """Whether the job ends well."""
    return os.waitpid(start(job), 0)[1] == 0


def found(store: Any, folder: str) -> dict[str, str] | None:
    """SHA-256 of each file of the folder that its manifest names; None if it does not keep it."""
    manifest = json.loads(
        store.get_object(Bucket=BUCKET, Key=f"{folder}/_manifest.json")["Body"].read()
    )
    hashes = {}
    for name, facts in manifest["files"].items():
        try:
            body = store.get_object(Bucket=BUCKET, Key=f"{folder}/{name}")["Body"].read()
        except ClientError:
            return None
        if hashlib.sha256(body).hexdigest() != facts["sha256"]:
            return None
        hashes[name.partition("/")[2]] = facts["sha256"]
    # The inner manifest says when it was written; what the scores are, the other files say.
    return {name: digest for name, digest in hashes.items() if not name.endswith("_manifest.json")}


def copied(store: Any, folder: str, target: str) -> None:
    """Every object of a folder under another one."""
    for entry in store.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/")["Contents"]:
        key = f"{target}/{entry['Key'].removeprefix(f'{folder}/')}"
        store.copy_object(
            Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": entry["Key"]}
        )


def kills(store: Any, job: Job, times: int, lasts: float) -> Counter[str]:
    """Kill the job at random moments of its life; what stood after each, and after another run."""
    old, new = found(store, "old"), found(store, "new")
    assert None not in (old, new)
    assert old != new
    draw = random.Random(1)
    seen = Counter[str](dict.fromkeys(("old", "new", "half"), 0))
    for number in range(times):
        copied(store, "old", f"try{number}")
        here = replace(job, out=place(f"s3://{BUCKET}/try{number}"))
        child = start(here)
        time.sleep(draw.uniform(0, 1.1 * lasts))
        os.kill(child, signal.SIGKILL)
        seen["killed before it ended"] += os.waitpid(child, 0)[1] == signal.SIGKILL
        stands = found(store, f"try{number}")
        seen["old" if stands == old else "new" if stands == new else "half"] += 1
        listed = store.list_objects_v2(Bucket=BUCKET, Prefix=f"try{number}/_parts-")["Contents"]
        prefixes = {entry["Key"].split("/")[1] for entry in listed}
        seen["killed while it uploaded"] += stands == old and len(prefixes) > 1
        seen["new after a second run"] += done(here) and found(store, f"try{number}") == new
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {times}", end="", file=sys.stderr, flush=True)
    return seen


def main() -> None:
    """Publish, kill, look, finish; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    times = parser.parse_args().kills
    models = str(MODELS.resolve())
    customers = pq.read_table(SOURCE).slice(0, ROWS)
    with tempfile.TemporaryDirectory() as folder, running_s3(Path(folder)) as environment:
        os.environ |= environment  # by which jobs find the server; this process opens no store
        store = client(environment)
        os.chdir(folder)
        pq.write_table(customers, "customers.parquet")
        pq.write_table(customers.select(["customer_id"])[::10], "objected.parquet")
        job = Job(Path("customers.parquet"), place(f"s3://{BUCKET}/old"), models, None)
        job = replace(job, part_rows=PART_ROWS)
        assert done(job)
        job = replace(job, suppressions=Path("objected.parquet"))
        begun = time.perf_counter()
        assert done(replace(job, out=place(f"s3://{BUCKET}/new")))
        lasts = time.perf_counter() - begun
        seen = kills(store, job, times, lasts)
    show(
        f"{times} kills within {lasts:.1f} s, {-(-len(customers) // PART_ROWS)} parts to S3",
        pd.DataFrame({"what": list(seen), "times": list(seen.values())}),
    )
    raise SystemExit(seen["half"] > 0 or seen["new after a second run"] != times)


if __name__ == "__main__":
    main()

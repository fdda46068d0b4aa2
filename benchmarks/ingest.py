"""What ingest costs: seconds, CPU seconds and peak memory by events, under a memory limit.

    python benchmarks/ingest.py [--quick]

Each size is read from parquet, checked against the contract, sorted and stored in a process of its
own. The last column is the floor: DuckDB sorting and storing the same files without any check.
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
from pathlib import Path

import duckdb
from results import keep

MEMORY_LIMIT = "1GB"
SOURCE = """
name: shop
title: A shop
as_of: 2021-01-01
tables:
  customers: {{query: "from read_parquet('{raw}/customers.parquet')"}}
  orders: {{query: "from read_parquet('{raw}/orders.parquet')"}}
  activity: {{query: "from read_parquet('{raw}/activity.parquet')"}}
"""


def write_raw(raw: Path, events: int) -> None:
    """Half orders, half activity, ten events a customer, in no order."""
    customers, half = events // 10, events // 2
    tables = {
        "customers": f"select range as customer_id, timestamp '2015-01-01' as signed_up_at "
        f"from range({customers})",
        "orders": f"select range as order_id, hash(range) % {customers} as customer_id, "
        "timestamp '2016-01-01' + to_seconds((hash(range, 1) % 150000000)::bigint) as ordered_at, "
        f"(hash(range, 2) % 10000)::decimal(18, 2) / 100 as amount from range({half})",
        "activity": f"select hash(range, 3) % {customers} as customer_id, "
        "timestamp '2016-01-01' + to_seconds((hash(range, 4) % 150000000)::bigint) as happened_at, "
        f"if(range % 2 = 0, 'visit', 'premium') as kind from range({half})",
    }
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "threads": 1})
    connection.execute(f"set temp_directory = '{raw}/spill'")
    for name, query in tables.items():
        connection.execute(f"copy ({query}) to '{raw}/{name}.parquet'")


def ours(folder: Path) -> None:
    """Read, check, sort and store."""
    from winback.pipelines.ingest import ingest
    from winback.pipelines.settings.source_files import load_source

    source = load_source(folder / "shop.yaml")
    ingest(source, folder / "tables", truth=folder / "truth", memory_limit=MEMORY_LIMIT)


def floor(folder: Path) -> None:
    """Sort and store, no more."""
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "threads": 1})
    connection.execute(f"set temp_directory = '{folder}/spill'")
    for name, order in (
        ("customers", "customer_id"),
        ("orders", "customer_id, ordered_at, order_id"),
        ("activity", "customer_id, happened_at, kind"),
    ):
        connection.execute(
            f"copy (from '{folder}/raw/{name}.parquet' order by {order}) "
            f"to '{folder}/{name}.parquet' (format parquet, compression zstd)"
        )


def measure(way: str, folder: Path) -> dict[str, float]:
    """Wall and CPU seconds and peak memory of one way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return dict(json.loads(answer))


def run_once(way: str, folder: Path) -> None:
    """Run one way here, and print what it took."""
    begun = time.perf_counter()
    {"ours": ours, "floor": floor}[way](folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts = {
        "seconds": time.perf_counter() - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
    }
    print(json.dumps(facts), flush=True)
    os._exit(0)  # at a normal end DuckDB's bindings print lines of their own


def main() -> None:
    """Print one row for each size."""
    parser = argparse.ArgumentParser(description="seconds and memory of ingest")
    parser.add_argument("--quick", action="store_true", help="the smallest size only")
    parser.add_argument("--way", choices=("ours", "floor"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        run_once(arguments.way, arguments.folder)
        return
    print(f"ingest, 1 thread, memory limit {MEMORY_LIMIT}")
    print("events      seconds   cpu s   peak MiB   events/cpu s   floor cpu s   ratio")
    records = []
    for events in (1_000_000,) if arguments.quick else (1_000_000, 5_000_000, 20_000_000):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "raw").mkdir()
            write_raw(folder / "raw", events)
            (folder / "shop.yaml").write_text(SOURCE.format(raw=folder / "raw"))
            mine, least = measure("ours", folder), measure("floor", folder)
        ratio = mine["cpu"] / least["cpu"]
        records.append({"events": events, **mine, "times floor": ratio})
        print(
            f"{events:<11,} {mine['seconds']:7.1f} {mine['cpu']:7.1f} {mine['peak_mib']:10.0f}"
            f" {events / mine['cpu']:14,.0f} {least['cpu']:13.1f} {ratio:7.2f}"
        )
    keep("ingest", records)


if __name__ == "__main__":
    main()

"""What the whole feature table costs beside the least that anybody would compute.

Per size: CPU seconds, wall seconds and peak memory of one process that reads the same parquet
files with the same number of threads and writes its result to parquet:

floor       a hand-written DuckDB query: last event, number of events and money per customer
pandas      a plain pandas groupby of the floor's numbers, up to 10 million events
peer        Featuretools, 20 features of the same files, up to a million events, if the environment
            variable FEATURETOOLS_PYTHON names an interpreter that has it (see features_peers.py)
features    every feature of `winback.features` on DuckDB, one snapshot per customer
limited     the same under a memory limit of 1 GB

`--equal` counts the different files of 20 runs: 5 each on one thread and on two, on sorted and on
shuffled input. Run `python benchmarks/features.py --quick` for a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import keep

YEARS_SECONDS = 6 * 365 * 86_400
START = "timestamp '2018-01-01'"
AS_OF = "2023-11-01"
EVENTS_PER_CUSTOMER = 10
SHARES = {
    "orders": 0.5,
    "activity": 0.35,
    "contacts": 0.1,
    "complaints": 0.03,
    "referrals": 0.02,
}
TIMES = {
    "orders": "ordered_at",
    "activity": "happened_at",
    "contacts": "contacted_at",
    "complaints": "opened_at",
    "referrals": "referred_at",
}
WINDOWS_DAYS = (30, 90, 180, 360)


def make_tables(folder: Path, events: int, *, shuffled: bool = False) -> None:
    """Write event tables of `events` rows in all and a tenth as many customers."""
    import duckdb

    people = events // EVENTS_PER_CUSTOMER
    who = f"(hash(i * 7 + {{salt}}) % {people})::bigint"
    when = f"{START} + to_seconds((hash(i * 3 + {{salt}}) % {YEARS_SECONDS})::bigint)"
    cents = "((hash(i) % 10000) / 100)::decimal(18, 2)"
    columns = {
        "orders": f"i as order_id, {who} as customer_id, {when} as ordered_at, {cents} as amount, "
        f"{cents} as margin, if(hash(i + 5) % 4 = 0, 5, 0)::decimal(18, 2) as discount",
        "activity": f"{who} as customer_id, {when} as happened_at, ['usage', 'premium', 'support']"
        "[1 + (hash(i) % 3)::int] as kind, (hash(i) % 10)::double as quantity",
        "contacts": f"{who} as customer_id, {when} as contacted_at",
        "complaints": f"i as complaint_id, {who} as customer_id, {when} as opened_at, {when} + "
        "to_days((hash(i + 9) % 60)::int) as resolved_at, 1 + (hash(i) % 3)::int as severity, "
        "['human', 'system'][1 + (hash(i + 1) % 2)::int] as cause",
        "referrals": f"{who} as referrer_id, (hash(i) % {people})::bigint as referred_id, "
        f"{when} as referred_at, null::timestamp as converted_at",
    }
    connection = duckdb.connect()
    folder.mkdir(parents=True, exist_ok=True)
    for salt, (name, share) in enumerate(SHARES.items()):
        select = columns[name].format(salt=salt)
        order = "hash(i)" if shuffled else "2, 3" if name in ("orders", "complaints") else "1, 2"
        connection.execute(
            f"copy (select {select} from range({round(events * share)}) t(i) order by {order}) "
            f"to '{folder}/{name}.parquet'"
        )
    connection.execute(
        f"copy (select i as customer_id, {START} - to_seconds((hash(i) % 90000000)::bigint) "
        f"as signed_up_at from range({people}) t(i)) to '{folder}/customers.parquet'"
    )
    connection.execute(
        f"copy (select i * 3 as customer_id, {START} + to_seconds((hash(i) % {YEARS_SECONDS})"
        f"::bigint) as departed_at, 'price' as reason from range({people // 3}) t(i)) "
        f"to '{folder}/departures.parquet'"
    )


def run_floor(folder: Path, out: Path, threads: int) -> None:
    """Recency, frequency and money by hand."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set threads = {threads}")
    joins, columns = [], []
    for name, time_column in TIMES.items():
        who = "referrer_id" if name == "referrals" else "customer_id"
        money = ", sum(amount) as spent" if name == "orders" else ""
        columns.append(f"{name}.last_at as last_{name}, {name}.events as {name}")
        joins.append(
            f"left join (select {who} as customer_id, max({time_column}) as last_at, count(*) as "
            f"events{money} from '{folder}/{name}.parquet' where {time_column} < '{AS_OF}' "
            f"group by 1) {name} using (customer_id)"
        )
    connection.execute(
        f"copy (select customer_id, orders.spent, {', '.join(columns)} from "
        f"'{folder}/customers.parquet' {' '.join(joins)} order by customer_id) "
        f"to '{out}' (format parquet, compression zstd)"
    )


def run_features(folder: Path, out: Path, threads: int, memory_limit: str = "2500MB") -> None:
    """Every feature of every customer."""
    import narwhals as nw

    from winback.features.churn_definition import ChurnDefinition
    from winback.features.families.assemble import features
    from winback.pipelines.settings.moments import seconds
    from winback.pipelines.tables import frames
    from winback.pipelines.tables.customer_ranges import CustomerRanges
    from winback.pipelines.tables.engine import open_duckdb

    with tempfile.TemporaryDirectory(dir=folder) as spill:
        connection = open_duckdb(memory_limit, threads, spill=Path(spill))
        ranges = CustomerRanges(connection, frames.open_tables(folder, session=connection))
        as_of = nw.lit(seconds(AS_OF), dtype=nw.Int64)
        snapshots = ranges.tables["customers"].select("customer_id", as_of=as_of)
        rows = features(
            ranges.tables,
            snapshots,
            windows_days=WINDOWS_DAYS,
            definition=ChurnDefinition(),
            kinds=("premium", "support", "usage"),
            keep=ranges.keep,
        )
        ranges.write(rows, out)


def run_limited(folder: Path, out: Path, threads: int) -> None:
    """Every feature under 1 GB of engine memory."""
    run_features(folder, out, threads, memory_limit="1GB")


def run_pandas(folder: Path, out: Path, threads: int) -> None:  # noqa: ARG001
    """The floor's numbers by pandas groupby."""
    import pandas as pd

    table = pd.read_parquet(folder / "customers.parquet", columns=["customer_id"])
    table = table.set_index("customer_id")
    for name, time_column in TIMES.items():
        who = "referrer_id" if name == "referrals" else "customer_id"
        money = ["amount"] if name == "orders" else []
        events = pd.read_parquet(folder / f"{name}.parquet", columns=[who, time_column, *money])
        events = events[events[time_column] < pd.Timestamp(AS_OF)]
        what = {f"last_{name}": (time_column, "max"), name: (time_column, "size")}
        if money:
            events["amount"] = events["amount"].astype(float)
            what["spent"] = ("amount", "sum")
        table = table.join(events.groupby(who).agg(**what))
    table.to_parquet(out)


RUNS = {
    "floor": run_floor,
    "pandas": run_pandas,
    "features": run_features,
    "limited": run_limited,
}
MOST_MILLIONS = {"pandas": 10, "peer": 1}
PEER = "FEATURETOOLS_PYTHON"


def measure(run: str, folder: Path, threads: int) -> dict[str, float]:
    """CPU and wall seconds and peak MiB of one run in a process of its own."""
    command = [sys.executable, __file__, "--run", run, "--folder", str(folder)]
    command += ["--threads", str(threads)]
    if run == "peer":
        script = Path(__file__).with_name("features_peers.py")
        command = [os.environ[PEER], str(script), str(folder), AS_OF]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_one(run: str, folder: Path, threads: int) -> None:
    """Run in this process and print what it cost; imports are not counted."""
    import duckdb  # noqa: F401
    import narwhals  # noqa: F401
    import pandas  # noqa: F401

    import winback.pipelines.tables.frames  # noqa: F401

    out = folder / f"out_{run}.parquet"
    cpu, wall = time.process_time(), time.perf_counter()
    RUNS[run](folder, out, threads)
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    print(json.dumps(cost | {"mib": peak_mib()}))


def peak_mib() -> float:
    """Peak memory of this process; where Linux tells it, without what the parent used before."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare_sizes(millions: list[float], threads: int, folder: Path) -> None:
    """One line per size and run."""
    print(f"threads {threads}, one snapshot per customer, windows {WINDOWS_DAYS}")
    print(
        f"{'events':>8} {'run':>9} {'cpu s':>8} {'wall s':>8} {'MiB':>7} {'M ev/cpu s':>11} "
        f"{'x floor':>8} {'x pandas':>9}"
    )
    points, records = [], []
    for size in millions:
        events = round(size * 1e6)
        place = folder / f"events_{events}"
        make_tables(place, events)
        cpu: dict[str, float] = {}
        for run in ("floor", "pandas", "peer", "features", "limited"):
            if size > MOST_MILLIONS.get(run, size):
                continue
            if run == "peer" and PEER not in os.environ:
                print(f"{size:7g}M {run:>9} not run: {PEER} names no interpreter")
                continue
            cost = measure(run, place, threads)
            cpu[run] = cost["cpu"]
            times = {"times floor": cost["cpu"] / cpu["floor"]}
            records.append({"events": events, "run": run, **cost, **times})
            print(
                f"{size:7g}M {run:>9} {cost['cpu']:8.2f} {cost['wall']:8.2f} {cost['mib']:7.0f} "
                f"{size / cost['cpu']:11.2f} {cost['cpu'] / cpu['floor']:8.2f} "
                f"{cost['cpu'] / cpu.get('pandas', math.nan):9.2f}",
                flush=True,
            )
        points.append((events, cpu["features"]))
        shutil.rmtree(place)
    for (small, before), (large, after) in itertools.pairwise(points):
        exponent = math.log(after / before) / math.log(large / small)
        print(f"time exponent of features from {small:,} to {large:,} events: {exponent:.2f}")
    keep(f"features on {threads} threads", records)


def compare_hashes(folder: Path, runs: int, events: int) -> None:
    """One hash over runs, threads and row orders."""
    found = set()
    for shuffled in (False, True):
        place = folder / f"equal_{shuffled}"
        make_tables(place, events, shuffled=shuffled)
        for threads in (1, 2):
            for _ in range(runs):
                run_features(place, place / "out.parquet", threads)
                found.add(hashlib.sha256((place / "out.parquet").read_bytes()).hexdigest())
    print(f"{len(found)} hash of {4 * runs} runs on {events:,} events: {sorted(found)[0][:16]}")


def main() -> None:
    """Parse arguments and run what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="half a million events only")
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 10, 50])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--equal", action="store_true", help="hashes instead of sizes")
    parser.add_argument("--run", choices=sorted(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where to put the files; default temporary")
    asked = parser.parse_args()
    if asked.run:
        run_one(asked.run, asked.folder, asked.threads)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        if asked.equal:
            compare_hashes(Path(folder), 5, 200_000)
        else:
            compare_sizes([0.5] if asked.quick else asked.millions, asked.threads, Path(folder))


if __name__ == "__main__":
    main()

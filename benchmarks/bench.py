"""Every benchmark in one run, beside its peers: tables on the terminal, and one file of results.

    python benchmarks/bench.py [--full] [--only NAME ...] [--out build/bench/results.json]

`make bench` sets up the peers and calls this; `--full` takes all sizes and seeds, for hours.
Peers that cannot be installed are left out and named. The result holds the machine, the
versions of everything that was compared, and the tables of each benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from results import KEPT_IN

HERE = Path(__file__).resolve().parent
PACKAGES = (
    *("duckdb", "lightgbm", "numpy", "pandas", "scikit-learn"),
    *("causalml", "econml", "perpetual", "scikit-uplift", "lifetimes", "empulse", "pylignum"),
)
METALEARNERS = ("--peers", "causalml S", "causalml X", "causalml DR", "econml DRLearner")
FOREST = "econml CausalForestDML"
MONEY = ("--world", "earnings", "--world", "orders", "--world", "spend")
RICH = ("--world", "crossover", "--world", "harm", "--world", "small")


@dataclass(frozen=True)
class Benchmark:
    """A script, its arguments in the short run, and those with `--full`."""

    script: str
    short: tuple[str, ...]
    full: tuple[str, ...] = ()
    needs_run: bool = False


BENCHMARKS = {
    "pipeline": Benchmark("full_run", ()),
    "features": Benchmark("features", ("--millions", "1"), ("--millions", "1", "10", "50")),
    "ingest": Benchmark("ingest", ("--quick",)),
    "churn": Benchmark("churn", ("--repeats", "3")),
    "effects": Benchmark(
        "zoo",
        ("--rows", "8000", "--seeds", "3", *METALEARNERS),
        ("--rows", "8000", "--seeds", "10", *METALEARNERS),
    ),
    "sizes": Benchmark(
        "zoo",
        ("--seeds", "1", *MONEY, *METALEARNERS, FOREST),
        ("--seeds", "10", *METALEARNERS, FOREST),
    ),
    "perpetual": Benchmark(
        "zoo",
        ("--rows", "20000", "--seeds", "1", *RICH, *METALEARNERS, FOREST, "perpetual uplift"),
        (*RICH, *METALEARNERS, FOREST, "perpetual uplift"),
    ),
    "evidence": Benchmark("evidence", ("--quick",)),
    "intervals": Benchmark("effects", ("--quick",)),
    "readout": Benchmark("experiment", ("--quick",)),
    "qini": Benchmark("qini", ("--quick",)),
    "budget": Benchmark("policy", ("--quick",)),
    "memory": Benchmark(
        "memory", ("--millions", "1", "2"), ("--millions", "1", "5", "20"), needs_run=True
    ),
    "scoring": Benchmark("score", ("--rows", "200000"), (), needs_run=True),
    "decision": Benchmark("same_decision", (), (), needs_run=True),
    "pyfunc": Benchmark("pyfunc", (), (), needs_run=True),
    "store": Benchmark("s3_kills", ("--kills", "10"), (), needs_run=True),
    "serving": Benchmark("serving", ("--quick",), (), needs_run=True),
}


def run(name: str, *, full: bool, finished: Path) -> dict[str, Any]:
    """Run a benchmark, its output on the terminal, and give back its tables."""
    one = BENCHMARKS[name]
    arguments = one.full if full else one.short
    if name == "pipeline":
        arguments = (*arguments, "--keep", str(finished))
    command = [sys.executable, str(HERE / f"{one.script}.py"), *arguments]
    print(f"\n== {name}: {one.script}.py {' '.join(arguments)}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        tables = Path(scratch) / "tables.jsonl"
        begun = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=finished if one.needs_run else None,
            env=os.environ | {KEPT_IN: str(tables)},
        )
        seconds = time.perf_counter() - begun
        lines = tables.read_text().splitlines() if tables.exists() else []
    return {
        "name": name,
        "script": one.script,
        "arguments": [part for part in arguments if part != str(finished)],
        "exit_code": done.returncode,
        "seconds": round(seconds, 1),
        "tables": [json.loads(line) for line in lines],
    }


def versions() -> Iterator[tuple[str, str]]:
    """Versions of what is compared; `not installed` where it is missing."""
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"


def machine() -> dict[str, Any]:
    """The kind of machine, without its name."""
    kind = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        models = [line for line in cpu.read_text().splitlines() if line.startswith("model name")]
        kind = models[0].split(":")[1].strip() if models else kind
    return {
        "processor": kind,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def main() -> int:
    """Run what is asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all sizes, seeds and peers")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--out", type=Path, default=Path("build/bench/results.json"))
    asked = parser.parse_args()
    names = [name for name in BENCHMARKS if name in asked.only]
    if any(BENCHMARKS[name].needs_run for name in names) and "pipeline" not in names:
        names.insert(0, "pipeline")
    with tempfile.TemporaryDirectory() as scratch:
        found = [run(name, full=asked.full, finished=Path(scratch) / "run") for name in names]
    results = {"machine": machine(), "versions": dict(versions()), "benchmarks": found}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    failed = [one["name"] for one in found if one["exit_code"]]
    print(f"\n{len(found)} benchmarks in {asked.out}" + "".join(f"; {n} FAILED" for n in failed))
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())

"""The harness of the benchmarks: what it runs is there, and what it keeps can be read again."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_benchmark_leaves_its_tables_beside_the_machine_and_the_versions(tmp_path):
    out = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "bench.py", "--only", "qini", "--out", out],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert results["machine"]["cores"] >= 1
    assert results["versions"]["lightgbm"] != "not installed"
    (qini,) = results["benchmarks"]
    libraries = {
        row["library"] for table in qini["tables"] for row in table["rows"] if "library" in row
    }
    assert "winback" in libraries


def test_every_script_that_it_names_is_there(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from bench import BENCHMARKS as plan

    assert {one.script for one in plan.values()} <= {path.stem for path in BENCHMARKS.glob("*.py")}

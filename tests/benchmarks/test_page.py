"""The page of the docs on benchmarks says what the results say."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MEMORY = [
    {"customers": 1_000_000, "stage": stage, "cpu s": cpu, "peak MiB": peak}
    for stage, cpu, peak in (("recommend", 10.0, 500.0), ("report", 5.0, 600.0))
]
LARGER = [
    {"customers": 3_000_000, "stage": "recommend", "cpu s": 30.0, "peak MiB": 700.0},
    {"customers": 3_000_000, "stage": "report", "cpu s": 15.0, "peak MiB": 1_600.0},
]
RESULTS = {
    "machine": {
        **{"processor": "a processor", "cores": 2, "memory_gib": 16},
        **{"system": "Linux", "python": "3.11.7"},
    },
    "versions": {"lightgbm": "4.7.0", "econml": "not installed"},
    "benchmarks": [
        {
            **{"name": "memory", "script": "memory", "arguments": ["--millions", "1", "3"]},
            **{"exit_code": 0, "seconds": 61.0},
            "tables": [{"title": "memory by stage", "rows": [*MEMORY, *LARGER]}],
        },
        {
            **{"name": "scoring", "script": "score", "arguments": []},
            **{"exit_code": 1, "seconds": 5.0},
            "tables": [
                {
                    "title": "scoring",
                    "rows": [
                        {"rows": 1_000, "threads": 1, "work": work, "cpu": cpu, "share of bare": s}
                        for work, cpu, s in (("bare", 0.008, 1.0), ("score", 0.0432, None))
                    ],
                }
            ],
        },
    ],
}


def test_the_page_has_every_table_and_where_the_slopes_lead(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    page = tmp_path / "benchmarks.md"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "page.py", tmp_path / "results.json", page],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "a processor, 2 cores, 16 GiB, Linux, Python 3.11.7" in text
    assert "lightgbm 4.7.0, econml not installed" in text
    assert "| 3,000,000 | report | 15 | 1,600 |" in text
    assert "it ended with 1" in text
    # 43.2 us a customer; 100 MiB and 500 MiB a million customers more
    assert "| scoring | 1,000 | 1.200 |  |" in text
    assert "| recommend | 3,000,000 | 0.2778 | 10.16 |" in text
    assert "| report | 3,000,000 | 0.1389 | 48.93 |" in text
    assert "memory of report: 16 GiB are full at about 33 million customers" in text
    assert (tmp_path / "benchmark_scoring.png").exists()


def test_a_part_of_the_benchmarks_makes_a_page_too(tmp_path):
    few = RESULTS | {"benchmarks": RESULTS["benchmarks"][1:]}
    (tmp_path / "results.json").write_text(json.dumps(few))
    page = tmp_path / "benchmarks.md"
    given = [sys.executable, BENCHMARKS / "page.py", tmp_path / "results.json", page]
    assert subprocess.run(given).returncode == 0
    assert "What breaks first" not in page.read_text()

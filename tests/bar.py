"""The bar: tests of reliability and security that say how often they tried and what they found.

A test with the marker `bar("what is checked")` belongs to it; tests of one name are added up. The
fixture `figure` tells how many tries a test made and what it may find at most; without it a test is
one try that finds nothing or fails. `make bar` runs them at full count (`full`), writes
`reports/bar.json`, and `python tests/bar.py` makes docs/bar.md of it.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from winback.pipelines.storage.atomic import replace_file

ROOT = Path(__file__).parents[1]
REPORT, PAGE = Path("reports/bar.json"), Path("docs/bar.md")
SCORED = ROOT / "tests/mltest_score.yaml"
LEAST = 6.0  # points of each section
POINTS = {"automated": 1.0, "documented": 0.5, "missing": 0.0}
FULL = os.environ.get("BAR") == "full"
HEAD = """# The bar

What `make bar` tried, what it found, and the most that it may find; the machine-readable form is
`reports/bar.json`.

| check | tries | found | at most |
|---|---:|---:|---:|
"""
SCORE_HEAD = """
## ML Test Score

The rubric of Breck, Cai, Nielsen, Salib and Sculley, "The ML Test Score: A Rubric for ML
Production Readiness and Technical Debt Reduction" (IEEE Big Data, 2017): a row counts half a point
where it is done by hand and written down, one where it runs by itself. `tests/mltest_score.yaml`
names the tests of each row. Rows that only live traffic can fill run on replayed data.

| section | points of 7 |
|---|---:|
"""


def full(many, few):
    """How often to try: `many` in `make bar`, `few` in `make test`."""
    return many if FULL else few


@pytest.fixture
def figure(record_property):
    """A function that notes how many tries a test made, and fails above the limit."""

    def noted(*, tries, found=0, limit=0, about=""):
        record_property("figure", [tries, found, limit])
        assert tries > 0
        assert found <= limit, f"found {found} in {tries} tries, at most {limit} may be: {about}"

    return noted


def rows_of_score():
    """The 28 rows: section -> row -> what fills it."""
    return YAML(typ="safe").load(SCORED)


def ids_of_score():
    """Ids of the tests that the rows name, as pytest writes them without parameters."""
    return {
        test for rows in rows_of_score().values() for row in rows.values() for test in row["tests"]
    }


def points(passed=None):
    """Points of each section; if ids that passed are given, rows with others count nothing."""
    return {
        section: sum(
            POINTS[row["done"]]
            for row in rows.values()
            if passed is None or set(row["tests"]) <= passed
        )
        for section, rows in rows_of_score().items()
    }


def mark_checks(items):
    """Note the name of a test's check; tests of the ML Test Score run in `make bar` too."""
    scored = ids_of_score()
    for item in items:
        if marker := item.get_closest_marker("bar"):
            item.user_properties.append(("check", marker.args[0]))
        elif item.nodeid.partition("[")[0] in scored:
            item.add_marker(pytest.mark.bar("ML Test Score"))


class Outcomes:
    """What the tests of this session came to, gathered in the process that reports."""

    def __init__(self):
        self.checks, self.passed, self.failed = {}, set(), set()

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.partition("[")[0]
        if report.failed:
            self.failed.add(name)
        elif report.when == "call" and report.passed:
            self.passed.add(name)
        known = dict(report.user_properties)
        if "check" not in known or not (report.when == "call" or report.failed):
            return
        check = self.checks.setdefault(known["check"], {"tries": 0, "found": 0, "limit": 0})
        tries, found, limit = known.get("figure", [1, 0, 0])
        check["tries"] += tries
        check["found"] += max(found, int(report.failed and found <= limit))
        check["limit"] += limit

    def pytest_sessionfinish(self, session):
        if session.config.option.markexpr != "bar" or not FULL:
            return
        facts = {
            "checks": dict(sorted(self.checks.items())),
            "ml_test_score": points(self.passed - self.failed),
        }
        replace_file(ROOT / REPORT, (json.dumps(facts, indent=1) + "\n").encode())


def pytest_configure(config):
    """Outcomes come together in one process, however many run tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes())


def page(facts):
    """The page of the docs."""
    rows = [
        f"| {name} | {check['tries']:,} | {check['found']:,} | {check['limit']:,} |"
        for name, check in facts["checks"].items()
    ]
    score = [f"| {name} | {value:g} |" for name, value in facts["ml_test_score"].items()]
    return HEAD + "\n".join(rows) + "\n" + SCORE_HEAD + "\n".join(score) + "\n"


if __name__ == "__main__":
    facts = json.loads((ROOT / REPORT).read_text())
    replace_file(ROOT / PAGE, page(facts).encode())
    sys.stdout.write(page(facts))
    sys.exit(min(facts["ml_test_score"].values()) < LEAST)

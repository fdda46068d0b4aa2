"""The study's findings in models fitted on 2,000 simulated customers, within stated tolerances.

benchmarks/findings.py asks the same of ten worlds of full size.
"""

import importlib.util
import sys
from itertools import pairwise

import pytest
from conftest import ROOT

from winback.pipelines.settings.source_files import load_source
from winback.pipelines.tables.training_rows import training_rows

# How far an order may be missed: two arms differ here with a standard error of about .03 in
# returns, 0.8 months in second lifetimes and 35 in profit per contact.
SHARE, MONTHS, MONEY = 0.03, 1.2, 50.0


@pytest.fixture(scope="module")
def findings():
    path = ROOT / "benchmarks/findings.py"
    specification = importlib.util.spec_from_file_location("findings", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["findings"] = module  # its dataclasses look their module up
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(findings, finished):
    rows, names = training_rows(finished / "data/features", "winback")
    experiment = load_source(finished / "sources/small.yaml").experiment
    return findings.fit(rows, names, experiment, 0)


@pytest.fixture(scope="module")
def answers(findings, model):
    return findings.answers(model, 0)


def falls(numbers, tolerance):
    return all(one > other - tolerance for one, other in pairwise(numbers))


@pytest.mark.parametrize(
    ("finding", "least"),
    [
        ("referrals raise return", 0.02),
        ("complaints lower return", 0.05),
        ("resolution raises return", 0.0),
        ("resolution never more than offsets", 0.0),
        ("return: price > service", 0.02),
    ],
)
def test_signs_on_the_return_probability(answers, finding, least):
    better, worse = answers[finding]
    assert better - worse > least


def test_second_lifetimes_by_offer_and_by_reason(answers):
    assert falls(answers["second months: upgrade > discount > bundle"], MONTHS)
    assert falls(answers["second months: price > service"], MONTHS)
    longest, *_, shortest = answers["second months: upgrade > discount > bundle"]
    assert longest > shortest


def test_each_objective_picks_its_offer(findings, model):
    table = findings.by_offer(model)
    assert falls(table.loc["acceptance", ["bundle", "discount", "upgrade"]], SHARE)
    assert falls(table.loc["ROI", ["upgrade", "discount", "bundle"]], 0.0)
    assert falls(table.loc["profit per contact", ["discount", "upgrade", "bundle"]], MONEY)
    assert table.loc["ROI above no offer"].idxmax() == "upgrade"


def test_who_stated_both_price_and_service_seldom_comes_back_alone(findings, finished):
    alone = findings.own_returns(finished / "data/tables")
    assert alone["price"] > 2 * alone["both"]
    assert alone["price"] > alone["service"] - 0.02


def test_the_table_counts_the_seeds_that_agree(findings):
    shown = findings.table([{"a > b": (0.3, 0.1)}, {"a > b": (0.1, 0.2)}])
    assert shown["seeds that agree"].tolist() == ["50%"]
    assert shown["found"].tolist() == ["0.2 > 0.15"]

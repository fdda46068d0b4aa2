"""The shipped sources on real data, end to end: each figure that is known of them."""

import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, run_in, small_project

from winback.pipelines.cli import main
from winback.pipelines.settings.yaml_dataclasses import read_yaml

pytestmark = pytest.mark.slow
SHARED = ROOT.parent / "shared/data"
FILES = {
    "hillstrom": ("HILLSTROM", "hillstrom.parquet"),
    "telco": ("TELCO", "telco.parquet"),
    "online_retail": ("ONLINE_RETAIL", "online_retail"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return small_project(tmp_path_factory.mktemp("sources"))


def run_here(project, name):
    """Run the stages in this process, which spares the start of each; what they printed."""
    params = project / "params.yaml"
    named = re.sub(r"source: sources/\w+", f"source: sources/{name}", params.read_text())
    params.write_text(named)
    said = io.StringIO()
    with contextlib.chdir(project), contextlib.redirect_stderr(said):
        for stage in read_yaml(project / "dvc.yaml")["stages"].values():
            assert main(stage["cmd"].split()[1:]) == 0, said.getvalue()
    return said.getvalue()


@pytest.fixture(scope="module")
def run_source(project):
    """Run a source in one project; its folder and what was printed."""
    done = {}

    def run(name):
        if name not in done:
            variable, file = FILES[name]
            path = os.environ.get(variable, str(SHARED / file))
            if not Path(path).exists():
                pytest.skip(f"{variable} names no data")
            if name == "hillstrom":  # as the README says it
                source = f"sources/{name}.yaml"
                ran = run_in(project, "winback", "run", "--source", source, **{variable: path})
                said = ran.stdout + ran.stderr
                assert ran.returncode == 0, said
            else:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv(variable, path)
                    said = run_here(project, name)
            folder = project / f"kept_{name}"
            for part in ("data", "artifacts", "reports"):
                shutil.copytree(project / part, folder / part)
            done[name] = (folder, said)
        return done[name]

    return run


def test_hillstrom_arms_and_sizes_are_the_published_ones(run_source):
    folder, _ = run_source("hillstrom")
    levels = pd.read_csv(folder / "artifacts/winback/readout/levels.csv")
    rates = levels[levels["outcome"] == "returned"].set_index("arm")["estimate"].round(5)
    assert rates.to_dict() == {"none": 0.10617, "mens_email": 0.18276, "womens_email": 0.1514}
    spend = levels[levels["outcome"] == "value"].set_index("arm")["estimate"].round(3)
    assert spend.to_dict() == {"none": 0.653, "mens_email": 1.423, "womens_email": 1.077}
    facts = json.loads((folder / "artifacts/winback/readout/readout.json").read_text())
    assert facts["rows"] == 64_000
    assert round(facts["sample_ratio_p_value"], 2) == 0.90


def test_hillstrom_personal_offers_are_judged_against_the_mens_email(run_source):
    folder, output = run_source("hillstrom")
    table = pd.DataFrame(json.loads((folder / "reports/policies.json").read_text()))
    visits = table[table["objective"] == "returns"].set_index("policy")
    assert visits.loc["mens_email_for_all", "gain_over_best_single"] == 0
    ours = visits.loc["ours"]
    assert ours["gain_lo"] <= 0 <= ours["gain_hi"]
    assert "mens email for all" in output
    recommended = pd.read_parquet(folder / "data/recommendations.parquet")
    assert len(recommended) == 64_000
    assert (recommended["recommended_offer"] == "mens_email").all()


def test_telco_grades_churn_and_says_why_there_is_no_uplift(run_source):
    folder, output = run_source("telco")
    departures = pd.read_parquet(folder / "data/tables/departures.parquet")
    assert len(departures) == 1_869
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    assert {"winback", "policy"}.isdisjoint(metrics)
    assert metrics["fairness"]
    assert 0.8 < metrics["churn"]["churn"]["auc"] < 0.95
    assert "names no randomized experiment" in output
    page = (folder / "reports/report.html").read_text()
    assert '<section id="policies">' not in page
    assert "names no randomized experiment" in page


def test_online_retail_predicts_silence_without_an_experiment(run_source):
    folder, _ = run_source("online_retail")
    orders = pd.read_parquet(folder / "data/tables/orders.parquet")
    assert orders["order_id"].is_unique
    assert (orders["amount"] >= 0).all()
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    assert 0.65 < metrics["churn"]["churn"]["auc"] < 0.9
    parts = pd.read_csv(folder / "artifacts/churn/parts.csv").set_index("part")
    assert parts.loc["train", "last"] < parts.loc["gap", "first"]
    assert parts.loc["gap", "last"] < parts.loc["test", "first"]

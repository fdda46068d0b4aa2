"""An experiment among active customers, from raw tables to the report, against the truth."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import run_in, small_project, winback

from winback.models.evaluation.retention import BY_RISK, BY_UPLIFT, chosen_by
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import RETENTION_OFFERS, World
from winback.pipelines.settings.objectives import graded
from winback.pipelines.settings.source_files import load_source

pytestmark = pytest.mark.slow
SCALE = 0.25
TABLES = ("customers", "attributes", "orders", "activity", "complaints", "departures", "contacts")
SOURCE = """
name: small
title: A telecom that wants to keep its customers
as_of: 2015-01-01
suppressions: none
tables:
{tables}
  offers: {{query: "select * from 'raw/offers.parquet' where campaign = 'retention'"}}
churn: {{horizon_days: 180}}
retention:
  control: nothing
  offers:
    rebate: {{cost_on_acceptance: 8, contact_cost: 1}}
    call: {{contact_cost: 4}}
"""


@pytest.fixture(scope="module")
def world():
    return simulate(World(scale=SCALE, retention=True, churn_horizon_days=180), seed=0)


@pytest.fixture(scope="module")
def kept(world, tmp_path_factory):
    """A project whose source has an experiment among active customers and no other."""
    folder = small_project(tmp_path_factory.mktemp("kept") / "project")
    (folder / "raw").mkdir()
    for name in (*TABLES, "offers"):
        world.tables[name].to_parquet(folder / f"raw/{name}.parquet", index=False)
    queries = [f"  {name}: {{query: \"select * from 'raw/{name}.parquet'\"}}" for name in TABLES]
    (folder / "sources/small.yaml").write_text(SOURCE.format(tables="\n".join(queries)))
    done = run_in(folder, "winback", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def true_gain(truth, sent):
    """Customers kept, per customer, by what is sent to each; `truth` has the same rows."""
    chances = truth[[f"stay_probability_{name}" for name in RETENTION_OFFERS]].to_numpy()
    column = [RETENTION_OFFERS.index(name) for name in sent]
    return float((chances[np.arange(len(truth)), column] - chances[:, 0]).mean())


def test_chosen_by_uplift_more_stay_in_truth_than_chosen_by_risk(world, kept):
    rows = pd.read_parquet(kept / "artifacts/winback/retention/held_out.parquet")
    truth = rows[["customer_id"]].merge(world.retention, on="customer_id", validate="one_to_one")
    experiment = load_source(kept / "sources/small.yaml").retention_experiment
    judged = graded(rows, rows, experiment, "returns")
    risk = 1 - rows["stay_probability_nothing"].to_numpy()
    for share in (0.1, 0.2, 0.3):
        sent = chosen_by(judged, risk=risk, single="rebate", share=share)
        assert (sent[BY_RISK] != "nothing").sum() == (sent[BY_UPLIFT] != "nothing").sum()
        by_risk, by_uplift = (true_gain(truth, sent[name]) for name in (BY_RISK, BY_UPLIFT))
        assert by_uplift > 0.03 * share > by_risk
    # whom the offer drives away is found: a quarter of the customers hardly use the service
    harmed = truth["stay_probability_rebate"] - truth["stay_probability_nothing"] < -0.05
    assert (
        rows.loc[harmed, "uplift_rebate"].mean() < rows.loc[~harmed, "uplift_rebate"].mean() - 0.03
    )


def test_the_list_keeps_more_of_the_active_than_the_likeliest_to_leave_would(world, kept):
    listed = pd.read_parquet(kept / "data/recommendations.parquet")
    active = listed[listed["churn_probability"].notna()].reset_index(drop=True)
    truth = active[["customer_id"]].merge(world.active, on="customer_id", validate="one_to_one")
    sent = active["recommended_offer"]
    assert set(sent) <= set(RETENTION_OFFERS)
    count = int((sent != "nothing").sum())
    assert count > 100
    risky = active["churn_probability"].rank(ascending=False, method="first") <= count
    assert true_gain(truth, sent) > 2 * max(
        0, true_gain(truth, np.where(risky, "rebate", "nothing"))
    )
    lost = listed[listed["churn_probability"].isna()]
    assert lost["recommended_offer"].eq("none").all()
    assert lost["stay_probability_rebate"].isna().all()


def test_the_grades_set_uplift_beside_risk_and_hold_the_truth(world, kept):
    found = json.loads((kept / "reports/metrics.json").read_text())["retention"]["policy"]
    policies = pd.read_csv(kept / "reports/plots/retention_policies.csv")
    policies = policies[policies["objective"] == "returns"].set_index("policy")
    rows = pd.read_parquet(kept / "artifacts/winback/retention/held_out.parquet")
    assert (policies["n"] == len(rows)).all()
    truth = rows[["customer_id"]].merge(world.retention, on="customer_id")
    for name in RETENTION_OFFERS:
        policy = "treat_none" if name == "nothing" else f"{name}_for_all"
        value, half = policies.loc[policy, "value_per_customer"], policies.loc[policy, "hi"]
        error = (half - value) / 1.96
        assert abs(value - truth[f"stay_probability_{name}"].mean()) < 4 * error
    lead = found["returns"]["uplift_over_risk"]
    assert lead == pytest.approx(
        policies.loc[BY_UPLIFT, "value_per_customer"] - policies.loc[BY_RISK, "value_per_customer"]
    )
    assert found["returns"]["uplift_over_risk_lo"] > 0


def test_the_report_has_a_chapter_on_them_and_one_without_has_none(kept, finished):
    title = "Active customers: whom an offer keeps"
    page = (kept / "reports/report.html").read_text()
    assert title in page
    assert "By customers kept: uplift over risk" in page
    assert "What is sent to active customers" in page
    assert title not in (finished / "reports/report.html").read_text()
    assert "chosen by uplift, not by risk" in (kept / "reports/summary.txt").read_text()


def test_scores_and_one_customer_say_what_the_list_says(kept, capsys):
    listed = pd.read_parquet(kept / "data/recommendations.parquet").set_index("customer_id")
    code = winback(kept, "score", "--model", "artifacts", "--no-suppressions", "--out", "scored")
    assert code == 0
    scores = pd.read_parquet(kept / "scored").set_index("customer_id").loc[listed.index]
    same = [name for name in listed if name in scores and name != "model_version"]
    assert {"stay_probability_rebate", "recommended_offer", "propensity", "holdout"} <= {*same}
    pd.testing.assert_frame_equal(scores[same], listed[same], check_dtype=False)
    one = listed.index[listed["recommended_offer"] == "rebate"][0]
    capsys.readouterr()
    assert winback(kept, "customer", str(one)) == 0
    told = capsys.readouterr().out
    assert "Why this chance of staying with rebate" in told
    assert "in 100 stay instead of" in told

"""The whole job on a small world, as a stranger runs it."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import run_in, winback

from winback.models.evaluation.held_out import kept_apart

POLICY_COLUMNS = {
    "policy",
    "objective",
    "value_per_customer",
    "lo",
    "hi",
    "gain_over_best_single",
    "gain_lo",
    "gain_hi",
    "n",
    "over",
    "sent",
}
POLICIES = {
    "treat_none",
    "discount_for_all",
    "upgrade_for_all",
    "bundle_for_all",
    "random",
    "response_model",
    "tailored",
    "policy_tree",
    "before_rules",
    "ours",
}


@pytest.fixture(scope="module")
def recommendations(finished):
    return pd.read_parquet(finished / "data/recommendations.parquet")


def test_the_summary_says_what_was_found_and_where_the_report_is(finished):
    output = (finished / "output.txt").read_text()
    assert "Simulated telecom after Kumar et al. (2015)" in output
    assert re.search(r"active +[\d,]+ customers", output)
    assert re.search(r"policy +profit per customer [\d.,]+ \[[\d.,-]+, [\d.,]+\]", output)
    assert "reports/report.html" in output


def test_policies_stand_side_by_side_with_paired_intervals(finished):
    table = pd.DataFrame(json.loads((finished / "reports/policies.json").read_text()))
    assert set(table.columns) == POLICY_COLUMNS
    assert set(table.loc[table["objective"] == "profit", "policy"]) == POLICIES
    assert (table["lo"] <= table["value_per_customer"]).all()
    assert (table["value_per_customer"] <= table["hi"]).all()


def test_policies_are_graded_on_customers_that_no_model_saw(finished):
    experiment = pd.read_parquet(finished / "data/features/winback.parquet")
    held_out = pd.read_parquet(finished / "artifacts/winback/held_out.parquet")
    summary = json.loads((finished / "artifacts/winback/summary.json").read_text())
    # What ships learns from all but those kept apart, who are among those that grades are of.
    apart = kept_apart(experiment["customer_id"], share=0.2)
    assert sum(summary["rows"].values()) + apart.sum() == len(experiment)
    assert set(experiment.loc[apart, "customer_id"]) <= set(held_out["customer_id"])
    assert 0.3 < len(held_out) / len(experiment) < 0.6


def test_every_customer_but_the_suppressed_has_one_row(finished, recommendations):
    current = pd.read_parquet(finished / "data/features/current.parquet")
    suppressed = pd.read_parquet(finished / "data/tables/suppressions.parquet")["customer_id"]
    expected = set(current["customer_id"]) - set(suppressed)
    assert recommendations["customer_id"].is_unique
    assert set(recommendations["customer_id"]) == expected
    assert len(suppressed) > 0


def test_active_customers_get_a_risk_and_lost_ones_an_offer(finished, recommendations):
    population = pd.read_parquet(
        finished / "data/features/current.parquet", columns=["customer_id", "population"]
    )
    rows = recommendations.merge(population, on="customer_id")
    active = rows["population"] == "active"
    assert rows.loc[active, "churn_probability"].between(0, 1).all()
    assert rows.loc[active, "recommended_offer"].isna().all()
    assert rows.loc[~active, "return_probability_none"].between(0, 1).all()
    assert set(rows.loc[~active, "recommended_offer"]) <= {"none", "discount", "upgrade", "bundle"}


def test_the_list_says_why_and_keeps_a_random_holdout(recommendations):
    offered = recommendations[
        recommendations["recommended_offer"].isin(["discount", "upgrade", "bundle"])
    ]
    assert 0.05 < offered["holdout"].mean() < 0.15
    assert np.allclose(offered.loc[offered["holdout"].astype(bool), "propensity"], 0.1)
    assert offered["reasons"].str.len().gt(10).all()
    assert set(recommendations["priority"].dropna()) <= {"A", "B", "C"}
    assert recommendations["model_version"].nunique() == 1


def test_offers_are_worth_it_by_the_truth_that_no_stage_read(finished, recommendations):
    truth = pd.read_parquet(finished / "data/truth/customers.parquet")
    rows = recommendations.merge(truth[truth["population"] == "lost"], on="customer_id")
    sent = rows[rows["recommended_offer"].isin(["discount", "upgrade", "bundle"])]
    earned = np.array([row[f"profit_{row['recommended_offer']}"] for _, row in sent.iterrows()])
    assert (earned - sent["profit_none"]).mean() > 50


def test_leavers_outside_the_experiment_come_back_as_often_as_the_model_says(finished):
    grades = json.loads((finished / "reports/metrics.json").read_text())["leavers"]
    error = (grades["base_rate"] * (1 - grades["base_rate"]) / grades["rows"]) ** 0.5
    assert grades["base_rate"] > 0.08
    # The model learned from 240 customers who were sent nothing, so its own error is as large.
    assert abs(grades["predicted"] - grades["base_rate"]) < 4 * error + 0.02


def test_the_report_opens_offline_and_shows_every_chapter(finished):
    page = (finished / "reports/report.html").read_text()
    assert not re.search(r'(src|href)="(?!#)', page)
    chapters = "campaign policies experiment return churn definition drift data"
    for chapter in chapters.split():
        assert f'<section id="{chapter}">' in page
    assert page.count("<svg") >= 7


def test_running_again_with_nothing_changed_runs_no_stage_but_the_fingerprint(finished):
    done = run_in(finished, "winback", "run")
    assert done.returncode == 0
    assert re.findall(r"Running stage '(\w+)'", done.stdout) == ["fingerprint"]


def test_an_experiment_in_a_temporary_copy_leaves_the_workspace_alone(finished, tmp_path):
    project = shutil.copytree(finished, tmp_path / "project")
    before = (project / "params.yaml").read_text()
    option = ("-S", "report.rows=4")  # of the last stage, so that one stage runs
    done = run_in(project, "dvc", "exp", "run", "--temp", "-n", "apart", *option)
    assert done.returncode == 0, done.stderr
    assert (project / "params.yaml").read_text() == before
    queued = run_in(project, "dvc", "exp", "run", "--queue", "-n", "later", *option)
    assert queued.returncode == 0, queued.stderr
    shown = run_in(project, "dvc", "exp", "show", "--csv").stdout
    assert {"apart", "later"} <= {line.split(",")[0] for line in shown.splitlines()}


def test_to_be_offered_nothing_is_no_offer(finished):
    offers = pd.read_parquet(finished / "data/tables/offers.parquet")
    current = pd.read_parquet(finished / "data/features/current.parquet").set_index("customer_id")
    nothing = offers.loc[offers["offer"] == "none", "customer_id"]
    something = offers.loc[offers["offer"] != "none", "customer_id"]
    assert len(nothing) > 100
    assert (current.loc[nothing, "past_offers"] == 0).all()
    assert (current.loc[something, "past_offers"] == 1).all()


def test_the_readout_knows_the_plan_and_the_moments_of_return(finished):
    facts = json.loads((finished / "artifacts/winback/readout/readout.json").read_text())
    assert not [note for note in facts["notes"] if "not given" in note]


def test_each_rule_of_the_deployed_policy_has_its_price(finished):
    rules = json.loads((finished / "reports/metrics.json").read_text())["rules"]
    assert {"lost_limit", "cooldown_days", "hopeless_reasons", "do_not_disturb"} <= set(rules)
    for price in rules.values():
        assert price["lo"] <= price["cost_per_customer"] <= price["hi"]
        assert price["customers"] > 0 or price["cost_per_customer"] == 0


def test_without_a_list_of_objections_nothing_is_recommended(finished, tmp_path, capsys):
    project = shutil.copytree(
        finished, tmp_path / "project", ignore=shutil.ignore_patterns("cache")
    )
    (project / "data/tables/suppressions.parquet").unlink()
    given = "--features data/features --tables data/tables --churn artifacts/churn"
    given += " --winback artifacts/winback --decision new --recommendations new.parquet"
    assert winback(project, "recommend", *given.split()) == 7
    assert "write 'suppressions: none' where nobody can object" in capsys.readouterr().err
    assert not (project / "new").exists()
    assert not (project / "new.parquet").exists()

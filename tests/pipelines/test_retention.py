"""An experiment among active customers, from raw tables to the report, against the truth."""

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import run_in, small_project, winback

from winback.models.evaluation.retention import BY_RISK, BY_UPLIFT, chosen_by
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import RETENTION_OFFERS, World
from winback.pipelines.job.exit_codes import Refusal
from winback.pipelines.promotion_gates import Match, gates_of
from winback.pipelines.registry.opened_model import open_model
from winback.pipelines.settings.objectives import graded
from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.source_files import load_source

pytestmark = pytest.mark.slow
SCALE = 0.25
FEWER = {  # features and moments, of which these suffice for the difference that is looked for
    "  - 30\n  - 90\n  - 180\n  - 360\n": "  - 90\n  - 360\n",
    "snapshots: 5": "snapshots: 3",
}
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
    params = (folder / "params.yaml").read_text()
    for old, new in FEWER.items():
        assert params.count(old) == 1
        params = params.replace(old, new)
    (folder / "params.yaml").write_text(params)
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
    assert "there is no randomized experiment among lost customers" in page
    assert "no randomized experiment in this source" not in page
    assert title not in (finished / "reports/report.html").read_text()
    assert "chosen by uplift, not by risk" in (kept / "reports/summary.txt").read_text()


@pytest.fixture(scope="module")
def drawn(kept):
    """The folder of a campaign among active customers."""
    assert winback(kept, "campaign", "--population", "active") == 0
    return kept / "data/campaigns/2015-01-01-active"


def test_a_campaign_of_active_customers_is_what_the_list_says_of_them(kept, drawn):
    listed = pd.read_parquet(kept / "data/recommendations.parquet").set_index("customer_id")
    active = listed[listed["churn_probability"].notna()]
    steps = pd.read_csv(drawn / "funnel.csv").set_index("step")["customers"]
    assert steps["active"] == len(active) == steps.drop("active").sum()
    sheet = pd.read_parquet(drawn / "send.parquet").set_index("customer_id")
    sent = active[active["assigned_offer"].isin(["rebate", "call"])]
    assert steps["sent"] == len(sheet) == len(sent) > 100
    assert sheet["offer"].sort_index().equals(sent["assigned_offer"].rename("offer").sort_index())
    assert sheet["expected_gain"].is_monotonic_decreasing
    mine = sent.loc[sheet.index]
    without = mine["stay_probability_nothing"]
    assert sheet["stay_probability_without"].equals(without.rename("stay_probability_without"))
    earned = sheet["stay_probability"] * sheet["value_of_staying"] - sheet["expected_cost"]
    gain = earned - mine["expected_profit_nothing"]
    np.testing.assert_allclose(sheet["expected_gain"], gain, atol=1e-6)
    log = pd.read_parquet(drawn / "log.parquet")
    chances = log[[f"probability_{name}" for name in RETENTION_OFFERS]]
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert set(log.loc[~log["customer_id"].isin(sheet.index), "offer"]) == {"nothing"}


def test_the_same_campaign_stands_and_the_cooldown_and_the_other_population_are_refused(
    kept, drawn, capsys
):
    before = {path: path.read_bytes() for path in drawn.iterdir()}
    assert winback(kept, "campaign", "--population", "active") == 0
    assert "is this campaign already" in capsys.readouterr().err
    assert winback(kept, "campaign", "--population", "active", "--name", "more") != 0
    assert "in another campaign" in capsys.readouterr().err
    assert winback(kept, "campaign") != 0
    refused = capsys.readouterr().err
    assert "no experiment among lost customers" in refused
    assert "--population active" in refused
    assert winback(kept, "campaign", "--name", drawn.name) != 0
    assert [path.name for path in drawn.parent.iterdir() if path.is_dir()] == [drawn.name]
    assert {path: path.read_bytes() for path in drawn.iterdir()} == before


def test_what_a_campaign_did_is_read_out_and_among_the_rows_to_learn_from(
    kept, drawn, tmp_path, capsys
):
    folder = shutil.copytree(kept, tmp_path / "later", ignore=shutil.ignore_patterns("cache"))
    source = (folder / "sources/small.yaml").read_text().replace("2015-01-01", "2017-01-01")
    (folder / "sources/small.yaml").write_text(source + "campaigns: {folder: data/campaigns}\n")
    assert winback(folder, "ingest") == 0
    assert winback(folder, "featurize") == 0
    rows = pd.read_parquet(folder / "data/features/retention.parquet")
    log = pd.read_parquet(drawn / "log.parquet")
    of_campaign = rows[rows["campaign"] == drawn.name]
    assert 0.9 * len(log) < len(of_campaign) <= len(log)
    both = of_campaign.merge(log, on="customer_id", suffixes=("", "_logged"))
    for name in ("chosen", "offer", "propensity"):
        assert both[name].equals(both[f"{name}_logged"].rename(name))
    capsys.readouterr()
    out = folder / "readout"
    assert winback(folder, "readout", "--population", "active", "--json", "--out", str(out)) == 0
    assert "stayed" in set(pd.read_csv(out / "levels.csv")["outcome"])
    told = json.loads(capsys.readouterr().out)
    assert told["campaign"]["rows"] == len(of_campaign)
    assert told["experiment"]["rows"] == len(rows) - len(of_campaign)
    assert {"stayed", "profit"} <= {effect["outcome"] for effect in told["campaign"]["effects"]}
    assert winback(folder, "readout", "--population", "active") == 0
    shown = capsys.readouterr().out
    assert "share that stayed" in shown
    assert "winback readout --all --population active" in shown


@pytest.fixture(scope="module")
def match(kept):
    """The registered model against itself, under the gates of promote."""
    with warnings.catch_warnings(action="ignore"):  # what mlflow warns of is not ours to mend
        assert winback(kept, "register", "--allow-dirty") == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{kept}/mlflow.db")
            model = open_model("models:/winback/1")
    params = replace(read_params(kept / "params.yaml").promote, oldest_days=1e6)
    return Match(model, model, kept / "data/features", params)


def gates_over(match, source, **changed):
    """Gates by name of a challenger whose answers were changed."""
    answers = replace(match.challenger.answers, **changed)
    challenger = replace(match.challenger, answers=answers)
    return {gate.name: gate for gate in gates_of(replace(match, challenger=challenger), source)}


def without_churn(match):
    """The challenger with what it says of active customers' offers alone."""
    return replace(match.challenger, answers=replace(match.challenger.answers, churn=None))


def test_gates_let_the_same_model_pass_and_veto_one_that_keeps_fewer(kept, match):
    source = load_source(kept / "sources/small.yaml")
    answers = match.challenger.answers
    same = gates_over(match, source)
    mine = {"stay_auc", "stay_auc_over_champion", "stay_slices", "retention_policy_over_champion"}
    assert mine <= {*same}
    assert all(same[name].passed for name in mine)
    formula = answers.retention
    turned = dict(formula.expressions)
    for name in RETENTION_OFFERS:
        chance = f"stay_probability_{name}"
        turned[chance] = ["sum", [1.0, ["const", 1.0]], [-1.0, formula.expressions[chance]]]
    reversed_chances = replace(formula, expressions=turned)
    worse = gates_over(match, source, retention=reversed_chances)
    assert not worse["stay_auc"].passed
    assert not worse["stay_auc_over_champion"].passed
    assert not worse["stay_auc_over_champion"].underpowered
    decision = answers.decision.retention
    to_all = replace(decision, by_objective={"profit": {"best_single": "call"}})
    dear = gates_over(match, source, decision=replace(answers.decision, retention=to_all))
    assert not dear["retention_policy_over_champion"].passed
    assert same["parts"].passed
    without = gates_over(match, source, retention=None)
    assert "without retention, which the champion has" in without["parts"].figure
    assert not without["parts"].passed
    forgetful = replace(match.champion, evidence={})
    with pytest.raises(Refusal, match=r"which rows of retention.*unopposed"):
        gates_of(replace(match, champion=forgetful, challenger=without_churn(match)), source)


def test_promote_tells_how_those_to_keep_differ_from_the_experiment(kept, match, capsys):
    assert match.challenger.version == "winback/1"
    with warnings.catch_warnings(action="ignore"):  # of mlflow
        winback(kept, "promote", "--judge")
    told = capsys.readouterr().err
    assert "today's send list of active customers: " in told
    assert "of lost customers" not in told


def test_the_other_experiment_is_missed_by_name(kept, finished, capsys):
    assert winback(finished, "readout", "--population", "active") != 0
    assert "retention is missing" in capsys.readouterr().err
    assert winback(kept, "readout") != 0
    missed = capsys.readouterr().err
    assert "names no randomized experiment" in missed
    assert "--population active" in missed


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

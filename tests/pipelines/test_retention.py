"""An experiment among active customers, from raw tables to the report, against the truth."""

import numpy as np
import pandas as pd
import pytest
from conftest import run_in, small_project

from winback.models.evaluation.retention import BY_RISK, BY_UPLIFT, chosen_by
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import RETENTION_OFFERS, World
from winback.pipelines.settings.objectives import graded
from winback.pipelines.settings.sources import load_source

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
    (folder / "output.txt").write_text(done.stdout)
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
    effect = truth["stay_probability_rebate"] - truth["stay_probability_nothing"]
    harmed = effect < -0.05
    assert 0.15 < harmed.mean() < 0.3
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

"""Anybody's table of features, offer and outcome, in the forms in which such tables come."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from winback.pipelines.cli import main
from winback.pipelines.settings.yaml_dataclasses import read_yaml

ATTRIBUTES = "select customer_id, age, region from read_parquet('offers.parquet')"
SOURCE = {
    "customers": "select * from read_parquet('customers.parquet')",
    "attributes": ATTRIBUTES,
    "offers": "select * exclude (age, region) from read_parquet('offers.parquet')",
}


def an_experiment(*, effects, rows=3_000, seed=0):
    """Three equal arms; the effect of the gift depends on the region."""
    rng = np.random.default_rng(seed)
    offer = rng.choice(["none", "mail", "gift"], rows)
    region = rng.choice(["north", "south"], rows)
    lift = {"none": 0.0, "mail": effects[0], "gift": effects[1]}
    chance = 0.2 + pd.Series(offer).map(lift).to_numpy() * np.where(region == "north", 1.5, 0.5)
    returned = rng.random(rows) < chance
    return told(rng, offer, region, returned, earned=rng.gamma(2.0, 40.0, rows).round(2))


def told(rng, offer, region, returned, *, earned):
    """The table of an experiment with arms of equal size, as a source has it."""
    return pd.DataFrame(
        {
            "customer_id": np.arange(len(offer)),
            "offered_at": pd.Timestamp("2024-01-01"),
            "offer": offer,
            "propensity": 1 / len(np.unique(offer)),
            "returned": returned,
            "value": np.where(returned, earned, 0.0),
            "age": rng.integers(20, 80, len(offer)),
            "region": region,
        }
    )


@pytest.fixture
def run_all(tmp_path, monkeypatch):
    """Every stage of dvc.yaml on a table; what they left in the folder."""

    def run(
        offers,
        *,
        costs="{mail: {contact_cost: 1}, gift: {cost_on_acceptance: 20}}",
        control="none",
        protected="[]",
        groups=None,
        more="",
    ):
        offers.to_parquet(tmp_path / "offers.parquet", index=False)
        customers = offers[["customer_id"]]
        customers = customers if groups is None else customers.assign(group_id=groups)
        customers.to_parquet(tmp_path / "customers.parquet", index=False)
        tables = "".join(f"  {name}:\n    query: {sql}\n" for name, sql in SOURCE.items())
        (tmp_path / "source.yaml").write_text(
            "name: flat\ntitle: A flat table\nas_of: 2024-06-01\nsuppressions: none\n"
            f"protected: {protected}\ntables:\n{tables}"
            f"experiment:\n  control: '{control}'\n  offers: {costs}\n{more}"
        )
        shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
        params = (tmp_path / "params.yaml").read_text()
        (tmp_path / "params.yaml").write_text(params.replace("sources/kumar.yaml", "source.yaml"))
        monkeypatch.chdir(tmp_path)
        for stage in read_yaml(ROOT / "dvc.yaml")["stages"].values():
            code = main(stage["cmd"].split()[1:])
            assert code == 0, stage["cmd"]
        return tmp_path

    return run


def policies(folder, objective):
    table = pd.DataFrame(json.loads((folder / "reports/policies.json").read_text()))
    return table[table["objective"] == objective].set_index("policy")


def test_a_value_that_stands_only_where_somebody_returned_is_zero_elsewhere(run_all):
    offers = an_experiment(effects=(0.1, 0.3))
    folder = run_all(offers.assign(value=offers["value"].where(offers["returned"])))
    held_out = pd.read_parquet(folder / "artifacts/winback/held_out.parquet")
    assert 0.2 < held_out["returned"].mean() < 0.5
    assert held_out.loc[held_out["returned"] == 0, "value"].eq(0).all()
    # 0.2 x 80 without an offer; the mean over regions of the gift's return is 0.5.
    value = policies(folder, "profit")["value_per_customer"]
    assert value["treat_none"] == pytest.approx(16, abs=5)
    assert value["gift_for_all"] == pytest.approx(0.5 * 60, abs=6)


def test_without_value_the_campaign_is_for_returns(run_all, capfd):
    folder = run_all(an_experiment(effects=(0.1, 0.3)).drop(columns="value"))
    assert set(policies(folder, "returns").index) >= {"ours", "gift_for_all", "treat_none"}
    assert policies(folder, "profit").empty
    assert "objective returns" in capfd.readouterr().err
    recommended = pd.read_parquet(folder / "data/recommendations.parquet")
    assert (recommended["recommended_offer"] == "gift").mean() > 0.5
    # An objective that such a source cannot tell is refused.
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("  objective: ", "  objective: profit", 1))
    stage = read_yaml(ROOT / "dvc.yaml")["stages"]["recommend"]
    assert main(stage["cmd"].split()[1:]) == 3
    assert "objective 'profit' needs more than source.yaml has" in capfd.readouterr().err


def test_arms_that_are_numbers_or_hold_spaces_run_whole_without_logged_propensities(run_all):
    offers = an_experiment(effects=(0.1, 0.3)).drop(columns="propensity")
    names = {"none": "0", "mail": "1", "gift": "a big gift's card"}
    folder = run_all(
        offers.assign(offer=offers["offer"].map(names), returned=offers["returned"].astype(int)),
        costs="{'1': {contact_cost: 1}, a big gift's card: {cost_on_acceptance: 20}}",
        control="0",
    )
    held_out = pd.read_parquet(folder / "artifacts/winback/held_out.parquet")
    assert held_out["propensity"].between(0.3, 0.37).all()
    facts = json.loads((folder / "artifacts/winback/readout/readout.json").read_text())
    assert any("propensit" in note for note in facts["notes"])


def test_offers_that_do_nothing_and_cost_money_are_sent_to_nobody(run_all):
    costs = "{mail: {contact_cost: 2}, gift: {cost_on_acceptance: 20, contact_cost: 1}}"
    folder = run_all(an_experiment(effects=(0.0, 0.0)), costs=costs)
    decision = json.loads((folder / "artifacts/decision/decision.json").read_text())
    assert decision["by_objective"]["profit"]["best_single"] == "none"
    assert decision["by_objective"]["roi"]["best_single"] == "none"
    recommended = pd.read_parquet(folder / "data/recommendations.parquet")
    assert (recommended["recommended_offer"] == "none").mean() > 0.9
    assert "A flat table" in (folder / "reports/summary.txt").read_text()


def test_returns_without_a_value_beside_returns_with_one_are_refused(run_all, capfd):
    offers = an_experiment(effects=(0.1, 0.3))
    back = offers.index[offers["returned"]][:100]
    offers["value"] = offers["value"].where(offers["returned"])
    offers.loc[back, "value"] = np.nan
    with pytest.raises(AssertionError, match="train_winback"):
        run_all(offers)
    assert "'value' is empty for 100 customers who returned" in capfd.readouterr().err


def test_offers_that_reach_a_protected_group_through_another_column_are_pointed_out(run_all):
    offers = an_experiment(effects=(0.0, 0.3))
    # No model sees the region, but the age tells it, and the gift pays in the north alone.
    offers["age"] = offers["age"] % 30 + np.where(offers["region"] == "north", 50, 20)
    folder = run_all(
        offers, costs="{mail: {contact_cost: 25}, gift: {contact_cost: 25}}", protected="[region]"
    )
    names = json.loads((folder / "data/features/dictionary.json").read_text())
    assert "region" not in {entry["name"] for entry in names}
    table = pd.read_csv(folder / "reports/plots/fairness.csv").set_index("group")
    listed = pd.read_parquet(folder / "data/recommendations.parquet").merge(
        offers[["customer_id", "region"]], on="customer_id"
    )
    rates = listed["recommended_offer"].ne("none").groupby(listed["region"]).mean()
    assert table["offer_rate"].to_dict() == pytest.approx(rates.to_dict())
    assert table["candidates"].to_dict() == listed["region"].value_counts().to_dict()
    ratio = rates["south"] / rates["north"]
    assert ratio < 0.5
    figures = json.loads((folder / "reports/metrics.json").read_text())["fairness"]
    assert figures == {
        "columns": 1, "judged": 2, "alerts": 1, "lowest_ratio": pytest.approx(ratio),
    }  # fmt: skip
    page = (folder / "reports/report.html").read_text()
    assert f"a ratio of {ratio:.2f}: see the chapter on fairness" in page
    assert "Offers and risks by protected group, 1 below four fifths" in page


def test_households_stay_whole_from_the_tables_to_the_grades(run_all):
    """Three in each, drawn together, who return together; a third of the customers live alone."""
    offers = an_experiment(effects=(0.1, 0.3), rows=4_500)
    rng = np.random.default_rng(2)
    home = np.arange(len(offers)) // 3
    alone = home % 3 == 0
    drawn = home * 3
    same = offers.loc[drawn, ["offer", "returned", "region"]].reset_index(drop=True)
    copied = ~alone & (rng.random(len(offers)) < 0.8)
    offers.loc[~alone, ["offer", "region"]] = same.loc[~alone, ["offer", "region"]]
    offers.loc[copied, "returned"] = same.loc[copied, "returned"]
    offers["value"] = np.where(offers["returned"], 80.0, 0.0)
    folder = run_all(offers, groups=pd.Series(home).where(~alone).astype("Int64"))
    rows = pd.read_parquet(folder / "data/features/winback.parquet")
    assert rows["group_id"].isna().mean() == pytest.approx(1 / 3, abs=0.01)
    names = [
        one["name"] for one in json.loads((folder / "data/features/dictionary.json").read_text())
    ]
    assert "group_id" not in names
    held_out = pd.read_parquet(folder / "artifacts/winback/held_out.parquet")
    tested = rows["customer_id"].isin(held_out["customer_id"])
    assert set(tested.groupby(rows["group_id"]).nunique()) == {1}
    assert 0.3 < tested.mean() < 0.5
    facts = json.loads((folder / "artifacts/winback/readout/readout.json").read_text())
    assert any("intervals are by group" in note for note in facts["notes"])
    # Of the policy that sends everybody the gift the interval is that of means of households.
    graded = policies(folder, "returns").loc["gift_for_all"]
    assert graded["hi"] - graded["lo"] > 1.2 * 3.92 * np.sqrt(0.25 / 3 / len(held_out)) * 3


def depths(*, rows=6_000, seed=3):
    """A discount of three depths beside a call; the north needs 10, the south the deepest."""
    rng = np.random.default_rng(seed)
    offer = rng.choice(["none", "call", "off_10", "off_20", "off_30"], rows)
    region = rng.choice(["north", "south"], rows)
    lift = {
        "north": {"none": 0.0, "call": 0.05, "off_10": 0.3, "off_20": 0.3, "off_30": 0.3},
        "south": {"none": 0.0, "call": 0.05, "off_10": 0.05, "off_20": 0.2, "off_30": 0.5},
    }
    chance = 0.15 + np.array([lift[r][o] for r, o in zip(region, offer, strict=True)])
    return told(rng, offer, region, rng.random(rows) < chance, earned=100.0)


DEPTHS = {
    "costs": "{call: {contact_cost: 2}, off_10: {cost_on_acceptance: 10}, "
    "off_20: {cost_on_acceptance: 20}, off_30: {cost_on_acceptance: 30}}",
    "more": "  doses:\n    discount: {off_10: 10, off_20: 20, off_30: 30}\n",
}


def test_a_discount_of_three_depths_runs_whole_and_says_who_needs_how_much(run_all):
    offers = depths()
    folder = run_all(offers, **DEPTHS)
    table = pd.read_csv(folder / "reports/plots/doses.csv").set_index("offer")
    assert table["dose"].tolist() == [0, 10, 20, 30]
    assert table["share"].sum() == pytest.approx(1)
    assert table.loc["off_10", "share"] == pytest.approx(0.5, abs=0.1)
    assert table.loc["off_30", "share"] == pytest.approx(0.5, abs=0.1)
    # By region 0.45 x 90 in the north, 0.65 x 70 in the south; off_30 for all earns 0.55 x 70.
    assert table.loc["off_30", "value_per_customer"] == pytest.approx(38.5, abs=4)
    found = json.loads((folder / "reports/metrics.json").read_text())["doses"]["discount"]
    assert (found["best_single"], found["objective"]) == ("off_30", "profit")
    assert found["gain"] == pytest.approx(0.5 * (0.45 * 90 + 0.65 * 70) - 38.5, abs=4)
    assert found["lo"] < found["gain"] < found["hi"]
    summary = json.loads((folder / "artifacts/winback/summary.json").read_text())
    effects = [summary["average_effects"][name]["effect"] for name in table.index[1:]]
    assert effects == sorted(effects)
    page = (folder / "reports/report.html").read_text()
    assert "How deep an offer each customer needs" in page
    assert "need less than the deepest dose" in page
    # Batch scoring decides as the list does.
    listed = pd.read_parquet(folder / "data/recommendations.parquet")
    by_region = listed.merge(offers[["customer_id", "region"]], on="customer_id")
    sent = by_region.groupby("region")["recommended_offer"].agg(lambda names: names.mode()[0])
    assert sent.to_dict() == {"north": "off_10", "south": "off_30"}
    given = ("--features", "data/features/current.parquet", "--no-suppressions", "--out", "scores")
    assert main(["score", *given, "--model", "artifacts"]) == 0
    scored = pd.read_parquet(folder / "scores").set_index("customer_id")
    listed = listed.set_index("customer_id").loc[scored.index]
    assert (scored["recommended_offer"] == listed["recommended_offer"]).all()
    for name in ("uplift_off_10", "uplift_off_20", "expected_profit_off_30"):
        np.testing.assert_allclose(scored[name], listed[name], atol=1e-9)

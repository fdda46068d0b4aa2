"""`winback readout` after several campaigns: each, all together, and what is not known yet."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, winback

from winback.pipelines.featurize import featurize
from winback.pipelines.ingest import ingest
from winback.pipelines.reporting.sent_campaigns import sent_campaigns
from winback.pipelines.reporting.summary import Inputs
from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.source_files import load_source

SOURCE = """
name: shop
title: Three campaigns of a shop
currency: $
as_of: 2024-06-01
tables:
  customers: {query: "select distinct customer_id from read_parquet('offers.parquet')"}
  orders: {query: "from read_parquet('orders.parquet')"}
  offers: {query: "from read_parquet('offers.parquet')"}
experiment:
  control: none
  return_window_days: 90
  value_horizon_days: 365
  offers:
    mail: {contact_cost: 1}
    gift: {contact_cost: 1, cost_on_acceptance: 10}
suppressions: none
"""
WORTH = 50
# Name: day, share held out, rates of return without and with the offer.
CAMPAIGNS = {
    "first": ("2023-01-01", 0.1, 0.1, 0.3),
    "second": ("2023-03-01", 0.4, 0.4, 0.6),
    "third": ("2024-01-01", 0.1, 0.1, 0.3),
    "fourth": ("2024-05-01", 0.1, 0.1, 0.3),
}


def a_campaign(name, seed=0, rows=4_000):
    """Offers of a campaign, all of whom know what they were sent, and the orders after them."""
    day, held, base, rate = CAMPAIGNS[name]
    rng = np.random.default_rng([seed, [*CAMPAIGNS].index(name)])
    chosen = rng.choice(["mail", "gift"], rows)
    withheld = rng.random(rows) < held
    offers = pd.DataFrame(
        {
            "customer_id": [f"{name}-{number}" for number in range(rows)],
            "campaign": name,
            "offered_at": pd.Timestamp(day),
            "chosen": chosen,
            "offer": np.where(withheld, "none", chosen),
            "propensity": np.where(withheld, held, 1 - held),
            "every_offer_open": False,
        }
    )
    back = offers[rng.random(rows) < np.where(withheld, base, rate)]
    orders = pd.DataFrame(
        {
            "order_id": "order of " + back["customer_id"],
            "customer_id": back["customer_id"],
            "ordered_at": back["offered_at"] + pd.Timedelta(days=10),
            "amount": float(WORTH),
        }
    )
    return offers, orders


@pytest.fixture
def read_out(tmp_path, capsys):
    """Runs `winback readout` on campaigns; its output and facts."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "shop.yaml").write_text(SOURCE)

    def run(*campaigns, code=0):
        offers, orders = (pd.concat(each) for each in zip(*campaigns, strict=True))
        orders = orders[orders["customer_id"].isin(offers["customer_id"])]
        offers.to_parquet(tmp_path / "offers.parquet", index=False)
        orders.to_parquet(tmp_path / "orders.parquet", index=False)
        command = ("readout", "--source", "shop.yaml", "--out", "found")
        assert winback(tmp_path, *command) == code, capsys.readouterr().err
        output = capsys.readouterr()
        if code:
            return output.err, {}
        assert winback(tmp_path, *command, "--json") == 0
        return output.out, json.loads(capsys.readouterr().out)

    return run


def lines_of(said):
    """The lines of the output by their first column."""
    return {line.split("  ")[0]: line for line in said.splitlines() if line and line[0] != " "}


def test_a_young_campaign_does_not_hide_what_older_ones_earned(read_out, tmp_path):
    said, facts = read_out(*map(a_campaign, ["first", "third", "fourth"]))
    alone, _ = read_out(a_campaign("first"))
    earned = lines_of(alone)["first"].split("  ")[-1]
    verdict = said.splitlines()[0]
    assert f"brought {earned} profit a customer over those held out." in verdict
    assert verdict.endswith("Not known yet: what third earned and who returned of fourth.")
    shown = lines_of(said)
    assert shown["first"].endswith(earned)
    assert shown["third"].endswith(" points (17.0 to 23.8)  known from 2024-12-31")
    assert shown["fourth"].endswith("known from 2024-07-30        known from 2025-05-01")
    assert shown["all"].endswith(f"{earned}, of 4,000 customers")
    assert "read on 4,000 of 8,000 customers; of the others the value is not known yet" in said
    assert facts["verdict"] == verdict
    page = (ROOT / "docs/campaigns.md").read_text()
    assert all(shown[name] in page for name in ("campaign", "first", "third", "fourth", "all"))
    table = pd.read_csv(tmp_path / "found/campaigns.csv").set_index("campaign")
    assert table.loc["first", "profit_known_at"] == "2024-01-01"


def test_all_campaigns_together_weight_by_the_chance_of_being_held_out(read_out):
    """Of the second, where more return anyway, four times as many are held out."""
    said, facts = read_out(*map(a_campaign, ["first", "second"]))
    whole = [row for row in facts["campaign"]["effects"] if row["chosen"] == "all chosen"]
    returned = next(row for row in whole if row["outcome"] == "returned")
    profit = next(row for row in whole if row["outcome"] == "profit")
    each = pd.DataFrame(facts["campaigns"]).set_index("campaign")
    assert abs(returned["estimate"] - 0.2) < 3.5 * returned["se"]
    assert returned["estimate"] == pytest.approx(each["share_gain"].mean(), abs=0.01)
    assert profit["estimate"] == pytest.approx(each["profit_gain"].mean(), abs=0.5)
    held, sent = each["held_out"], each["sent"]
    naive = (each["share"] * sent).sum() / sent.sum()
    naive -= (each["share_held_out"] * held).sum() / held.sum()
    assert abs(naive - 0.2) > 5 * returned["se"]  # what adding up without weights would say
    assert "Not known yet" not in said


def test_a_campaign_that_is_broken_is_named(read_out):
    offers, orders = a_campaign("second")
    wrong = offers.assign(propensity=np.where(offers["offer"] == "none", 0.1, 0.9))
    said, _ = read_out(a_campaign("first"), (wrong, orders), code=4)
    assert "experiment, propensities: campaign 'second': " in said


def test_campaigns_that_say_nothing_alone_do_not_hide_the_others(read_out):
    few, no_orders = a_campaign("second", rows=150), a_campaign("third")[0]
    said, facts = read_out(
        a_campaign("first"), few, (no_orders, few[1].head(0)), a_campaign("fourth")
    )
    shown = lines_of(said)
    assert "too few customers" in shown["second"]
    assert "nobody came back" in shown["third"]
    assert "known from 2024-07-30" in shown["fourth"]
    assert [row["unread"] for row in facts["campaigns"]] == ["", "small arm", "no outcome", ""]


def test_a_campaign_without_a_holdout_is_not_pooled(read_out):
    offers, orders = a_campaign("second")
    everybody = offers["offer"] != "none"
    alone, _ = read_out(a_campaign("first"))
    said, facts = read_out(a_campaign("first"), (offers[everybody].assign(propensity=1.0), orders))
    assert "nobody was held out" in lines_of(said)["second"]
    assert facts["campaign"]["rows"] == 4_000
    assert alone.splitlines()[0] == said.splitlines()[0]


def test_a_campaign_that_goes_on_counts_those_who_may_still_answer(read_out):
    old, young = a_campaign("first"), a_campaign("fourth")
    said, facts = read_out(old, (young[0].assign(campaign="first"), young[1]))
    assert lines_of(said)["first"].split()[1:3] == ["7,163", "837"]
    (only,) = facts["campaigns"]
    assert only["share_known_at"].startswith("2024-07-30")
    assert "who returned of first" in said


def test_a_campaign_that_held_out_hardly_anybody_hides_no_other(read_out):
    offers, orders = a_campaign("second", rows=30_000)
    held = np.random.default_rng(0).random(len(offers)) < 0.004
    hardly = offers.assign(
        offer=np.where(held, "none", offers["chosen"]), propensity=np.where(held, 0.004, 0.996)
    )
    said, facts = read_out(a_campaign("first"), (hardly, orders))
    assert "too few were held out" in lines_of(said)["second"]
    assert facts["campaign"]["rows"] == 4_000


def test_of_a_campaign_that_is_too_small_no_money_is_promised(read_out):
    said, _ = read_out(a_campaign("first"), a_campaign("third", rows=150))
    assert "known from" not in lines_of(said)["third"]
    assert "Not known yet" not in said


def test_campaigns_without_a_name_hide_no_money_of_the_experiment(read_out):
    offers, orders = a_campaign("first")
    tested = offers.drop(columns="campaign").assign(chosen=None, every_offer_open=None)
    tested["propensity"] = np.where(tested["offer"] == "none", 0.1, 0.45)
    young, late = a_campaign("third")
    said, _ = read_out((tested, orders), (young.drop(columns="campaign"), late))
    assert "The experiment\n\nHonest experiment. Best profit: " in said


def test_campaigns_that_are_all_too_young_are_told_beside_an_experiment(read_out):
    offers, orders = a_campaign("first")
    rng = np.random.default_rng(5)
    tested = offers.assign(
        chosen=None, campaign=None, offer=rng.choice(["none", "mail", "gift"], len(offers))
    ).assign(propensity=1 / 3)
    said, facts = read_out((tested, orders), a_campaign("fourth"))
    assert said.startswith("Not known yet: who returned of fourth.")
    assert "known from 2024-07-30" in lines_of(said)["fourth"]
    assert "The experiment\n\nHonest experiment." in said
    assert facts["campaign"] is None


def test_an_experiment_that_goes_on_is_read_by_what_its_older_customers_earned(read_out):
    parts = []
    for name in ("first", "third"):
        offers, orders = a_campaign(name)
        offers = offers.drop(columns=["campaign", "chosen", "every_offer_open"])
        chance = np.where(offers["offer"] == "none", 0.1, 0.45)
        parts.append((offers.assign(propensity=chance), orders))
    said, facts = read_out(*parts)
    assert facts["experiment"]["outcome"] == "profit"
    assert facts["experiment"]["rows"] == 8_000
    assert "Best profit: mail, +$" in said
    assert "Note: value, profit and roi are read on 4,000 of 8,000 customers" in said
    assert facts["campaigns"] is None


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """The chapter of the report on campaigns."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(SOURCE)
    params = read_params(ROOT / "params.yaml")
    source = load_source(tmp_path / "shop.yaml")
    inputs = Inputs(tmp_path / "tables", tmp_path / "features", *[tmp_path / "none"] * 7)

    def shown(*campaigns):
        offers, orders = (pd.concat(each) for each in zip(*campaigns, strict=True))
        offers.to_parquet(tmp_path / "offers.parquet", index=False)
        orders.to_parquet(tmp_path / "orders.parquet", index=False)
        ingest(source, inputs.tables, truth=tmp_path / "truth")
        featurize(
            source, params.featurize, params.machine, tables=inputs.tables, out=inputs.features
        )
        return list(sent_campaigns(source, inputs, as_of=source.as_of, alpha=0.001))

    return shown


def test_the_report_shows_each_campaign_and_what_is_not_known_yet(chapter):
    said, chart, figures = chapter(*map(a_campaign, ("first", "third", "fourth")))
    assert "Not known yet: what third earned and who returned of fourth." in said.text
    assert "profit per customer, $, over those held out" in chart.svg
    names = [row["cells"][0]["text"] for row in figures.rows]
    assert names == ["first", "third", "fourth", "all"]


def test_a_broken_campaign_is_said_in_the_report_and_breaks_it_not(chapter):
    offers, orders = a_campaign("first")
    wrong = offers.assign(propensity=np.where(offers["offer"] == "none", 0.3, 0.7))
    (said,) = chapter((wrong, orders))
    assert said.text.startswith("Our campaigns cannot be read: experiment, propensities: campaign")


def test_offers_of_an_experiment_are_no_campaign(chapter):
    offers, orders = a_campaign("first")
    assert chapter((offers.drop(columns=["chosen", "every_offer_open"]), orders)) == []

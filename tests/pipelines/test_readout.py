"""`winback readout`: an honest experiment is shown, a broken one refused by name and exit code."""

import json
import shutil
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, winback

from winback.pipelines import readout
from winback.pipelines.cli import main

SOURCE = """
name: mail
title: An e-mail experiment
as_of: 2024-06-01
tables:
  customers:
    query: select distinct customer_id from read_parquet('offers.parquet')
  attributes:
    query: select customer_id, any_value(age) as age from read_parquet('offers.parquet') group by 1
  offers:
    query: select * exclude (age) from read_parquet('offers.parquet')
experiment:
  control: none
  offers:
    mail: {contact_cost: 1}
    gift: {contact_cost: 1, cost_on_acceptance: 10}
"""


def an_experiment(rows=6_000, seed=0):
    rng = np.random.default_rng(seed)
    offer = rng.choice(["none", "mail", "gift"], rows)
    chance = pd.Series(offer).map({"none": 0.1, "mail": 0.2, "gift": 0.3}).to_numpy()
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "offered_at": pd.Timestamp("2024-01-01"),
            "offer": offer,
            "propensity": 1 / 3,
            "returned": rng.random(rows) < chance,
            "age": rng.integers(20, 80, rows),
        }
    )


@pytest.fixture
def read_out(tmp_path, capsys):
    """Runs `winback readout` on a table of offers; its exit code, output and errors."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "mail.yaml").write_text(SOURCE)

    def run(offers, *options):
        offers.to_parquet(tmp_path / "offers.parquet", index=False)
        code = winback(tmp_path, "readout", "--source", "mail.yaml", *options)
        return code, *capsys.readouterr()

    return run


def test_an_honest_experiment_is_shown_and_written(read_out, tmp_path):
    code, output, errors = read_out(an_experiment(), "--out", "found")
    assert code == 0, errors
    assert output.startswith("Honest experiment. Best share returned: gift, +")
    assert "6,000 customers, control none" in output
    effects = pd.read_csv(tmp_path / "found/effects.csv")
    gift = effects[(effects["arm"] == "gift") & (effects["outcome"] == "returned")]
    assert (gift["lo"] < 0.2).all()
    assert (gift["hi"] > 0.2).all()
    assert gift["adjusted"].tolist() == [False, True]


def half_of_the_gifts_gone(offers):
    gifts = offers.index[offers["offer"] == "gift"]
    return offers.drop(gifts[: len(gifts) // 2])


def test_sizes_that_chance_does_not_explain_are_exit_5_unless_told_to_go_on(read_out):
    broken = half_of_the_gifts_gone(an_experiment())
    code, output, errors = read_out(broken)
    assert code == 5
    assert "sample ratio" in errors
    assert "gift" in errors
    assert output.startswith("Broken experiment: the arms have sizes that chance does not")
    code, output, _ = read_out(broken, "--allow-mismatch")
    assert code == 0
    assert output.startswith("A check failed and was overridden.")
    assert "Note: overridden: sample ratio" in output


def a_lost_arm(offers):
    return offers[offers["offer"] != "gift"]


def in_two_arms(offers):
    again = offers.head(50).assign(
        offer=offers["offer"].head(50).map({"none": "mail", "mail": "gift", "gift": "none"}),
        offered_at=pd.Timestamp("2024-01-02"),
    )
    return pd.concat([offers, again])


def chances_that_do_not_sum_to_one(offers):
    return offers.assign(propensity=0.25)


def twelve_gifts(offers):
    gifts = offers.index[offers["offer"] == "gift"]
    return offers.drop(gifts[12:])


def targeted_at_the_old(offers):
    """The offer follows the age, and the frequencies are typed in as propensities."""
    rng = np.random.default_rng(1)
    x = (offers["age"] - 50) / 17
    offered = rng.random(len(offers)) < 1 / (1 + np.exp(-3 * x))
    offer = np.where(offered, rng.choice(["mail", "gift"], len(offers)), "none")
    shares = pd.Series(offer).value_counts(normalize=True)
    return offers.assign(offer=offer, propensity=pd.Series(offer).map(shares))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (a_lost_arm, "lost arm"),
        (in_two_arms, "contamination"),
        (chances_that_do_not_sum_to_one, "propensities"),
        (twelve_gifts, "small arm"),
        (targeted_at_the_old, "balance"),
    ],
)
def test_a_broken_experiment_is_exit_4_and_says_how(read_out, fault, words):
    code, output, errors = read_out(fault(an_experiment()))
    assert code == 4, errors
    assert f"experiment, {words}" in errors
    assert output.startswith("Broken experiment: ")


def test_offers_that_the_source_calls_targeted_get_adjusted_effects_with_bounds(read_out, tmp_path):
    source = tmp_path / "mail.yaml"
    source.write_text(f"{source.read_text()}  observational: true\n")
    code, output, errors = read_out(targeted_at_the_old(an_experiment()), "--out", "found")
    assert code == 0, errors
    assert output.startswith("No experiment: offers were targeted.")
    assert "would explain its effect on the share returned away" in output
    table = pd.read_csv(tmp_path / "found/observational.csv").set_index("offer")
    assert set(table.index) == {"mail", "gift"}
    assert (table["lo_3"] < table["lo_1.5"]).all()


def test_an_outcome_before_the_offer_is_refused(read_out):
    offers = an_experiment()
    offers["returned_at"] = pd.Series(pd.NaT, index=offers.index, dtype="datetime64[us]")
    early = offers.index[offers["returned"]][:30]
    offers.loc[early, "returned_at"] = pd.Timestamp("2023-12-25")
    code, _, errors = read_out(offers.drop(columns="returned"))
    assert code in (3, 4)
    assert "returned_at" in errors


def test_the_log_of_a_campaign_is_read_on_those_chosen(read_out, tmp_path):
    """Chosen .9, held out .1, nobody else: no overlap between offers, each against nothing."""
    rng = np.random.default_rng(2)
    offers = an_experiment()
    chosen = np.where(offers["age"] > 50, "gift", "mail")
    held_out = rng.random(len(offers)) < 0.1
    offer = np.where(held_out, "none", chosen)
    rate = pd.Series(offer).map({"none": 0.1, "mail": 0.2, "gift": 0.4})
    code, output, errors = read_out(
        offers.assign(
            offer=offer,
            chosen=chosen,
            propensity=np.where(held_out, 0.1, 0.9),
            returned=rng.random(len(offers)) < rate,
        ),
        "--out",
        "found",
    )
    assert code == 0, errors
    assert output.startswith("Honest campaign. The chosen offers brought +")
    assert "6,000 customers for whom an offer was chosen" in output
    assert "the offers cannot be compared with each other: experiment, propens" in output
    effects = pd.read_csv(tmp_path / "found/chosen.csv")
    effects = effects[effects["outcome"] == "returned"].set_index("chosen")
    assert (effects.loc[["gift", "mail"], "lo"] < [0.3, 0.1]).all()
    assert (effects.loc[["gift", "mail"], "hi"] > [0.3, 0.1]).all()


def test_a_campaign_that_is_too_small_does_not_hide_the_experiment(read_out):
    few = an_experiment(60, seed=3)
    few = few.assign(
        customer_id=few["customer_id"] + 9_000,
        chosen="gift",
        offer=np.where(np.arange(60) % 10, "gift", "none"),
        propensity=np.where(np.arange(60) % 10, 0.9, 0.1),
    )
    offers = pd.concat([an_experiment().assign(chosen=None), few], ignore_index=True)
    code, output, errors = read_out(offers)
    assert code == 0, errors
    assert "Our campaigns are not read yet: experiment, small arm: at least 100 customers" in output
    assert "The experiment\n\nHonest experiment." in output
    code, output, _ = read_out(offers[offers["chosen"].notna()])
    assert code == 4


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(
        finished, tmp_path / "project", ignore=shutil.ignore_patterns(".git", "cache")
    )
    monkeypatch.chdir(folder)
    return folder


def said(capsys, *arguments):
    assert main(["readout", *arguments]) == 0
    return capsys.readouterr()


STANDING = "reading data/tables and data/features as they stand"


def test_the_tables_that_stand_are_read_and_say_what_new_ones_say(project, capsys):
    standing = said(capsys)
    assert STANDING in standing.err
    assert "simulating" not in standing.err
    anew = said(capsys, "--source", "small")
    assert "simulating" in anew.err
    assert anew.out == standing.out
    assert len(said(capsys, "--all").out) > 3 * len(standing.out)


def test_the_facts_are_those_of_the_text(project, capsys):
    text = said(capsys).out
    facts = json.loads(said(capsys, "--json").out)
    assert facts["verdict"] == text.splitlines()[0]
    assert facts["honest"]
    assert facts["exit_code"] == 0
    rows = pd.read_parquet(project / "data/features/winback.parquet")
    assert facts["experiment"]["rows"] == len(rows)


@pytest.mark.parametrize(
    ("file", "old", "new", "stands"),
    [
        ("sources/small.yaml", "cost_on_acceptance: 120", "cost_on_acceptance: 12", False),
        ("params.yaml", "seed: 0 ", "seed: 1 ", False),
        ("params.yaml", "- 360\n", "- 365\n", False),
        ("sources/small.yaml", "title: Sim", "title: A sim", True),
        ("params.yaml", "rounds: 40", "rounds: 41", True),
    ],
    ids=["another cost", "another seed", "another window", "another title", "another model"],
)
def test_what_stands_is_read_only_if_it_is_of_this_source(
    project, monkeypatch, capsys, file, old, new, stands
):
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))
    monkeypatch.setattr(readout, "ingest", made_anew := Mock(side_effect=ValueError("anew")))
    code = main(["readout"])
    assert made_anew.called == (not stands)
    assert (STANDING in capsys.readouterr().err) == stands == (code == 0)

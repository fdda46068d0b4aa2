"""Observational data are no experiment: arms that differed before the offer are refused by name."""

import numpy as np
import pandas as pd
import pytest

from winback.models.experiment.covariates import covariate_design
from winback.models.experiment.randomization import weighted_balance
from winback.models.experiment.readout import ExperimentError, readout
from winback.models.uplift.uplift import OfferUplift


def campaign(rows=4000, seed=0, targeting=0.0):
    """A gift sent with the chance sigmoid(targeting x strength); its true effect is zero."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(size=rows)
    chance = 1 / (1 + np.exp(-targeting * strength))
    gift = rng.random(rows) < chance
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "offer": np.where(gift, "gift", "none"),
            "true_propensity": np.where(gift, chance, 1 - chance),
            "returned": (rng.random(rows) < 1 / (1 + np.exp(1 - strength))).astype(int),
        }
    )
    return frame, pd.DataFrame({"strength": strength, "noise": rng.normal(size=rows)})


def read(frame, covariates, **options):
    rng = np.random.default_rng(0)
    return readout(frame, control="none", rng=rng, covariates=covariates, **options)


def typed_in(frame):
    return frame.assign(propensity=frame["offer"].map(frame["offer"].value_counts(normalize=True)))


def test_a_targeted_campaign_with_its_frequencies_as_propensities_is_refused():
    frame, covariates = campaign(targeting=3.0)
    with pytest.raises(ExperimentError, match=r"most: strength in gift, \+1\.\d+") as refusal:
        read(typed_in(frame), covariates)
    assert refusal.value.check == "balance"
    told = read(typed_in(frame), covariates, allow_mismatch=True)
    assert told.balance_p_value < 0.001
    assert any(note.startswith("overridden: balance") for note in told.notes)


def test_a_difference_that_chance_could_make_is_a_note():
    frame, covariates = campaign()
    moved = covariates.assign(strength=covariates["strength"] + 0.1 * (frame["offer"] == "gift"))
    result = read(typed_in(frame), moved)
    assert 0.001 <= result.balance_p_value < 0.01
    assert any("arms differ in what was known before the offer" in note for note in result.notes)
    honest = read(typed_in(frame), covariates)
    assert honest.balance_p_value > 0.01
    assert not any("arms differ" in note for note in honest.notes)


def test_targeting_with_its_true_chances_is_read_and_with_wrong_ones_refused():
    frame, covariates = campaign(targeting=1.0, rows=8000)
    true = frame.assign(propensity=frame["true_propensity"])
    result = read(true, covariates)
    assert result.balance_p_value > 0.01
    effect = result.effects[(result.effects["outcome"] == "returned")].iloc[0]
    assert abs(effect["estimate"]) < 3.5 * effect["se"]
    rng = np.random.default_rng(1)
    noisy = np.clip(0.5 + rng.uniform(-0.02, 0.02, len(frame)), 0, 1)
    with pytest.raises(ExperimentError, match=r"strength in (gift|none), after weighting"):
        read(frame.assign(propensity=noisy), covariates)


def test_weighted_balance_alarms_no_more_often_than_it_says():
    alarms = 0
    for seed in range(300):
        frame, covariates = campaign(rows=1500, seed=seed, targeting=1.0)
        p_value, *_ = weighted_balance(
            covariate_design(covariates),
            frame["offer"].to_numpy(),
            frame["true_propensity"].to_numpy(),
            ["gift", "none"],
        )
        alarms += p_value < 0.05
    assert alarms <= 25  # 15 expected at most


@pytest.mark.parametrize("rows", [1_100, 11_000])
@pytest.mark.parametrize("trait", ["rare", "skewed"])
def test_few_held_out_and_rare_traits_are_no_alarm(rows, trait):
    alarms = 0
    for seed in range(40):
        alarms += held_out(rows, trait, seed) < 0.001
    assert alarms == 0


def test_a_holdout_that_differs_is_found_though_few_are_held_out():
    assert held_out(1_100, "skewed", 0, moved=0.8) < 0.001
    assert held_out(11_000, "skewed", 0, moved=0.3) < 0.001


def test_a_break_is_found_where_chances_differ_among_customers():
    """Some have a chance of a hundredth, which is a large part of no sum but their own."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        facts = rng.normal(size=(4_000, 8))
        chance = np.clip(1 / (1 + np.exp(-2 * facts[:, 1])), 0.05, 0.95)
        gift = rng.random(4_000) < chance
        facts[gift, 0] += 0.4
        offers = np.where(gift, "gift", "none").astype(object)
        design = covariate_design(pd.DataFrame(facts).add_prefix("f"))
        sent = np.where(gift, chance, 1 - chance)
        assert weighted_balance(design, offers, sent, ["gift", "none"])[0] < 0.001


def held_out(rows, trait, seed, moved=0.0):
    """p-value of the balance of a tenth held out, who may be moved by so many deviations."""
    rng = np.random.default_rng(seed)
    if trait == "rare":
        facts = (rng.random((rows, 60)) < rng.uniform(0.005, 0.05, 60)).astype(float)
    else:
        facts = np.exp(1.2 * rng.normal(size=(rows, 60)))
    held = rng.random(rows) < 0.1
    facts[held, 0] += moved * facts[:, 0].std()
    design = covariate_design(pd.DataFrame(facts).add_prefix("f"))
    offers = np.where(held, "none", "mail").astype(object)
    return weighted_balance(design, offers, np.where(held, 0.1, 0.9), ["mail", "none"])[0]


def test_the_fit_refuses_propensities_that_the_offers_contradict():
    frame, covariates = campaign()
    wrong = np.where(frame["offer"] == "gift", 0.9, 0.1)
    with pytest.raises(ExperimentError, match="logged chances are not those with which") as refusal:
        OfferUplift(learners=["s"]).fit(
            covariates, frame["returned"], offer=frame["offer"], propensity=wrong
        )
    assert refusal.value.check == "propensities"

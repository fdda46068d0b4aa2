"""The log of a campaign: each offer against nothing, among those for whom it was chosen."""

import numpy as np
import pandas as pd
import pytest

from winback.models.experiment.campaign import ALL, campaign_readout
from winback.models.experiment.randomization import ExperimentError
from winback.models.intervals import holm

EFFECTS = {"gift": 0.2, "mail": 0.1}  # on those for whom a policy chooses them


def a_campaign(rows=12_000, seed=0, explore=0.0):
    """The gift for the strong, mail for the weak; held out .1, explored over both offers."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(size=rows)
    chosen = np.where(strength > 0, "gift", "mail")
    chance = {"none": 0.1, "chosen": 0.9 - explore / 2, "other": explore / 2}
    cell = rng.choice(list(chance), rows, p=list(chance.values()))
    other = np.where(chosen == "gift", "mail", "gift")
    offer = np.select([cell == "none", cell == "chosen"], ["none", chosen], other)
    effect = np.where(offer == chosen, pd.Series(chosen).map(EFFECTS), -0.1)
    rate = 0.3 + 0.1 * (strength > 0) + np.where(offer == "none", 0.0, effect)
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "offer": offer,
            "chosen": chosen,
            "propensity": pd.Series(cell).map(chance),
            "returned": (rng.random(rows) < rate).astype(int),
        }
    )
    return frame, pd.DataFrame({"strength": strength})


def returned(result, chosen):
    table = result.effects
    (row,) = table[(table["chosen"] == chosen) & (table["outcome"] == "returned")].to_dict(
        "records"
    )
    return row


@pytest.mark.parametrize("explore", [0.0, 0.2])
def test_each_offer_is_read_on_those_for_whom_it_was_chosen(explore):
    frame, covariates = a_campaign(explore=explore)
    result = campaign_readout(frame, control="none", covariates=covariates)
    for offer, truth in {**EFFECTS, ALL: 0.15}.items():
        row = returned(result, offer)
        assert abs(row["estimate"] - truth) < 3.5 * row["se"]
        assert 0 < row["se"] < 0.03
    gifts = frame[frame["chosen"] == "gift"]
    means = gifts.groupby("offer")["returned"].mean()
    assert returned(result, "gift")["estimate"] == pytest.approx(means["gift"] - means["none"])
    assert returned(result, "gift")["sent"] == (gifts["offer"] == "gift").sum()
    assert result.rows == len(frame)


def test_intervals_cover_the_effect_on_those_chosen():
    inside = 0
    for seed in range(100):
        row = returned(campaign_readout(a_campaign(3000, seed)[0], control="none"), "gift")
        inside += row["lo"] <= 0.2 <= row["hi"]
    assert inside >= 88


def test_wrong_chances_are_refused():
    frame, _ = a_campaign()
    wrong = np.where(frame["offer"] == "none", 0.3, 0.7)
    with pytest.raises(ExperimentError, match="logged chances are not those with which") as refusal:
        campaign_readout(frame.assign(propensity=wrong), control="none")
    assert refusal.value.check == "propensities"
    with pytest.raises(ExperimentError, match="column 'propensity' is missing"):
        campaign_readout(frame.drop(columns="propensity"), control="none")


def test_a_holdout_that_was_picked_is_refused():
    frame, covariates = a_campaign()
    picked = covariates.assign(strength=covariates["strength"] + 0.5 * (frame["offer"] == "none"))
    with pytest.raises(ExperimentError, match="held out differ from the others") as refusal:
        campaign_readout(frame, control="none", covariates=picked)
    assert refusal.value.check == "balance"


def test_an_offer_with_too_few_rows_is_named_and_left_out():
    frame, _ = a_campaign()
    gifts = frame.index[(frame["chosen"] == "gift")]
    some = frame.drop(gifts[150:])
    result = campaign_readout(some, control="none")
    assert set(result.effects["chosen"]) == {"mail", ALL}
    assert returned(result, ALL)["sent"] > returned(result, "mail")["sent"] + 100
    assert any(note.startswith("not read: gift: 1") for note in result.notes)
    with pytest.raises(ExperimentError, match="at least 100 customers sent and 100 held out"):
        campaign_readout(frame.head(200), control="none")


def test_customers_for_whom_nothing_was_chosen_are_left_out():
    frame, _ = a_campaign()
    nobody = frame.assign(customer_id=frame["customer_id"] + len(frame), offer="none")
    both = pd.concat([frame, nobody.assign(chosen="none", propensity=1.0)], ignore_index=True)
    one, two = (campaign_readout(rows, control="none") for rows in (frame, both))
    pd.testing.assert_frame_equal(one.effects, two.effects)


def test_money_is_read_on_rows_whose_value_is_known_and_returns_on_all():
    frame, _ = a_campaign()
    frame["value"] = 50.0 * frame["returned"]
    old = (frame["customer_id"] < 5_000).to_numpy()
    young = frame.assign(value=frame["value"].where(old), value_known=old)
    result, alone = (campaign_readout(rows, control="none") for rows in (young, frame[old]))
    whole = campaign_readout(frame, control="none")
    for outcome, same in (("returned", whole), ("value", alone)):
        for found in (result, same):
            assert found.whole(outcome)["chosen"] == ALL
        pd.testing.assert_series_equal(
            result.whole(outcome), same.whole(outcome), check_names=False
        )
    assert result.notes[-1].startswith("value, profit and roi are read on 5,000 of 12,000")
    few = young.assign(value_known=young["customer_id"] < 900)  # of whom 90 are held out
    assert campaign_readout(few, control="none").whole("value") is None


def test_offers_are_a_family_and_the_whole_campaign_is_not_of_it():
    effects = campaign_readout(a_campaign()[0], control="none").effects
    offers = effects[effects["chosen"] != ALL]
    assert offers["p_holm"].to_numpy() == pytest.approx(holm(offers["p_value"]))
    whole = effects[effects["chosen"] == ALL]
    assert whole["p_holm"].tolist() == whole["p_value"].tolist()


def test_households_are_drawn_in_each_campaign_anew():
    """Each is held out as a whole, in one campaign and not in the other, as its chance is."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        home = np.repeat(np.arange(1_000), 4)
        parts = []
        for name in ("spring", "summer"):
            held = (rng.random(1_000) < 0.2)[home]
            part = {"campaign": name, "group_id": home.astype(str), "chosen": "mail"}
            part |= {"offer": np.where(held, "none", "mail"), "customer_id": np.arange(4_000)}
            part |= {"propensity": np.where(held, 0.2, 0.8), "returned": rng.integers(0, 2, 4_000)}
            parts.append(pd.DataFrame(part))
        both = pd.concat(parts, ignore_index=True)
        assert campaign_readout(both, control="none", alpha=0.01).rows == 8_000

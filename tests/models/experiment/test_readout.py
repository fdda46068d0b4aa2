"""The readout of an experiment: levels, effects, pairs, intervals and notes."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiments import OFFERS, experiment, policy_experiment, read, row
from threadpoolctl import threadpool_limits

from winback.models.experiment.readout import readout
from winback.models.intervals import holm
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import World


def test_levels_and_effects_are_means_and_differences_of_means():
    frame, _ = experiment()
    result = read(frame)
    means = frame.groupby("offer")[["returned", "cost", "value"]].mean()
    spread = frame.groupby("offer")["returned"].agg(["var", "size"])
    for offer in OFFERS[1:]:
        level = row(result.levels, arm=offer, outcome="returned")
        assert level["estimate"] == pytest.approx(means.loc[offer, "returned"], abs=1e-12)
        effect = row(result.effects, arm=offer, outcome="returned")
        assert effect["estimate"] == pytest.approx(
            means.loc[offer, "returned"] - means.loc["none", "returned"], abs=1e-12
        )
        welch = np.sqrt(
            (spread.loc[[offer, "none"], "var"] / spread.loc[[offer, "none"], "size"]).sum()
        )
        assert effect["se"] == pytest.approx(welch, rel=2e-4)
        profit = row(result.levels, arm=offer, outcome="profit")["estimate"]
        assert profit == pytest.approx(means.loc[offer, "value"] - means.loc[offer, "cost"])
        assert row(result.levels, arm=offer, outcome="roi")["estimate"] == pytest.approx(
            profit / means.loc[offer, "cost"]
        )
        gained = row(result.effects, arm=offer, outcome="profit")["estimate"]
        assert row(result.effects, arm=offer, outcome="roi")["estimate"] == pytest.approx(
            gained / means.loc[offer, "cost"]
        )
        assert effect["relative"] == pytest.approx(
            effect["estimate"] / means.loc["none", "returned"]
        )
    control = result.levels[result.levels["arm"] == "none"]
    assert control["outcome"].tolist() == ["returned", "cost", "value", "profit"]


def test_several_arms_are_a_family_on_each_outcome():
    effects = read(experiment(effect=0.03)[0]).effects
    for _, family in effects[effects["outcome"] != "cost"].groupby("outcome"):
        assert family["p_holm"].to_numpy() == pytest.approx(holm(family["p_value"]))
        assert (family["p_holm"] > family["p_value"]).any()


def test_cost_of_contact_is_paid_by_everybody_in_the_arm():
    frame, _ = experiment()
    plain, dear = read(frame), read(frame, contact_cost={"discount": 5.0})
    for outcome, change in (("cost", 5.0), ("profit", -5.0), ("returned", 0.0)):
        where = {"arm": "discount", "outcome": outcome}
        gap = row(dear.levels, **where)["estimate"] - row(plain.levels, **where)["estimate"]
        assert gap == pytest.approx(change)
    with pytest.raises(ValueError, match=r"contact_cost: \['gift'\] are no arms or offers"):
        read(frame, contact_cost={"gift": 1.0})


def test_without_costs_there_is_no_profit_apart_from_value():
    frame, _ = experiment()
    result = read(frame.assign(cost=0.0))
    assert set(result.effects["outcome"]) == {"returned", "value"}


def test_covariates_sharpen_the_effect_and_leave_it_where_it_was():
    frame, covariates = experiment(n=8000)
    frame["value"] = frame["value"] + 300 * covariates["strength"]
    effects = read(frame, covariates=covariates).effects
    plain = row(effects, arm="discount", outcome="value", adjusted=False)
    sharp = row(effects, arm="discount", outcome="value", adjusted=True)
    assert sharp["se"] < 0.85 * plain["se"]
    assert abs(sharp["estimate"] - plain["estimate"]) < 3 * plain["se"]


def test_balance_and_power_are_reported_per_covariate_and_arm():
    frame, covariates = experiment()
    result = read(frame, covariates=covariates)
    assert len(result.balance) == 3 * 3
    assert result.balance["smd"].abs().max() < 0.12
    assert 0.001 < result.balance_p_value <= 1
    power = row(result.power, arm="discount", outcome="returned", adjusted=False)
    effect = row(result.effects, arm="discount", outcome="returned", adjusted=False)
    assert power["smallest_detectable"] == pytest.approx(2.801585 * effect["se"], rel=1e-6)
    assert power["rows_for_estimate"] == np.ceil(
        4000 * (power["smallest_detectable"] / effect["estimate"]) ** 2
    )


def test_pairs_compare_offers_with_each_other():
    frame, _ = experiment()
    pairs = read(frame).pairs
    one = row(pairs, arm="bundle", against="upgrade", outcome="returned")
    means = frame.groupby("offer")["returned"].mean()
    assert one["estimate"] == pytest.approx(means["bundle"] - means["upgrade"])
    assert (pairs["p_holm"] >= pairs["p_value"]).all()


def test_a_tailored_arm_is_read_as_an_arm_and_its_rows_are_pooled_into_their_offers():
    frame, covariates = policy_experiment()
    result = read(frame, covariates=covariates)
    control = 0.6 * 0.1 + 0.4 * 0.2
    tailored = row(result.effects, arm="tailored", outcome="returned", adjusted=False)
    assert tailored["estimate"] == pytest.approx(0.6 * 0.5 + 0.4 * 0.6 - control, abs=0.02)
    truth = {"bundle": 0.5, "discount": 0.6 * 0.5 + 0.4 * 0.2, "upgrade": 0.6 * 0.2 + 0.4 * 0.6}
    for offer, rate in truth.items():
        for adjusted in (False, True):
            pooled = row(result.offers, offer=offer, outcome="returned", adjusted=adjusted)
            assert abs(pooled["estimate"] - (rate - control)) < 3.5 * pooled["se"]
    alone = row(result.effects, arm="discount", outcome="returned", adjusted=True)
    pooled = row(result.offers, offer="discount", outcome="returned", adjusted=True)
    assert pooled["se"] < 0.97 * alone["se"]
    naive = frame.groupby("offer")["returned"].mean()
    assert abs(naive["discount"] - truth["discount"]) > 0.03
    assert any("arms of equal size are assumed" in note for note in result.notes)


def test_chances_that_differ_among_customers_are_weighted_away():
    frame, _ = policy_experiment()
    result = read(frame.drop(columns="arm"))
    discount = row(result.effects, arm="discount", outcome="returned")
    truth = 0.6 * 0.5 + 0.4 * 0.2 - (0.6 * 0.1 + 0.4 * 0.2)
    assert abs(discount["estimate"] - truth) < 3.5 * discount["se"]
    assert any("chances differ among customers" in note for note in result.notes)
    assert not result.sample_ratio.mismatch


def test_customers_with_several_rows_are_clusters():
    frame, _ = experiment()
    twice = pd.concat([frame, frame], ignore_index=True)
    once = row(read(frame).effects, arm="discount", outcome="returned")
    both = row(read(twice).effects, arm="discount", outcome="returned")
    assert both["se"] == pytest.approx(once["se"], rel=1e-3)


def test_same_bytes_for_shuffled_rows_and_any_number_of_threads():
    frame, covariates = experiment()
    frame["group_id"] = (frame["customer_id"] // 2).astype(str)
    rows = np.random.default_rng(1).permutation(len(frame))
    results = []
    for threads, order in ((1, np.arange(len(frame))), (2, rows)):
        with threadpool_limits(threads):
            results.append(read(frame.iloc[order], covariates=covariates.iloc[order]))
    for table in ("levels", "effects", "pairs", "balance", "power", "overlap"):
        one, two = (getattr(result, table).to_csv() for result in results)
        assert one == two, table
    assert results[0].balance_p_value == results[1].balance_p_value


def test_value_that_is_not_known_of_all_who_returned_is_left_out_and_said_so():
    frame, _ = experiment()
    frame.loc[frame.index[frame["returned"] == 1][:3], "value"] = np.nan
    result = read(frame)
    assert set(result.levels["outcome"]) == {"returned", "cost"}
    assert any(note.startswith("value is missing of some") for note in result.notes)
    frame["value"] = frame["value"].fillna(0.0).where(frame["returned"] == 1)
    assert "profit" in set(read(frame).levels["outcome"])


def test_the_simulated_business_is_read_as_it_was_made():
    """Effects of arms and, pooled, of offers lie where the truth of the customers says."""
    made = simulate(World(scale=0.15), seed=3)
    truth = made.truth[made.truth["population"] == "experiment"].set_index("customer_id")
    frame = made.tables["offers"].rename(columns={"offer_cost": "cost"})
    days = (frame["returned_at"] - frame["offered_at"]).dt.days
    frame["returned"] = (days < made.world.return_window_days).astype(int)
    result = read(frame, contact_cost={"tailored": 8.0})
    means = truth[[f"return_probability_{offer}" for offer in OFFERS]].mean()
    assert result.rows == len(truth) == 6000
    for table, name in ((result.effects, "arm"), (result.offers, "offer")):
        for offer in OFFERS[1:]:
            found = row(table, **{name: offer}, outcome="returned")
            expected = means[f"return_probability_{offer}"] - means["return_probability_none"]
            assert abs(found["estimate"] - expected) < 3.5 * found["se"]
    pooled = row(result.offers, offer="discount", outcome="returned")["se"]
    assert pooled < row(result.effects, arm="discount", outcome="returned")["se"]


def test_the_same_customer_may_take_part_in_two_campaigns():
    winter, spring = experiment()[0].assign(campaign="w"), experiment(seed=1)[0]
    result = read(pd.concat([winter, spring.assign(campaign="s")], ignore_index=True))
    assert result.rows == 8000
    assert "some customers have several rows: intervals are by customer" in result.notes


def hillstrom():
    root = Path(__file__).resolve().parents[4] / "shared" / "data" / "hillstrom.parquet"
    path = Path(os.environ.get("HILLSTROM", root))
    if not path.exists():
        pytest.skip("the Hillstrom file is not here: set HILLSTROM to its path")
    return pd.read_parquet(path)


def test_hillstrom_gives_its_published_figures():
    data = hillstrom()
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(len(data)),
            "offer": data["segment"],
            "propensity": 1 / 3,
            "returned": data["visit"],
            "value": data["spend"],
        }
    )
    result = readout(
        frame,
        control="No E-Mail",
        rng=np.random.default_rng(0),
        covariates=data[["recency", "history", "mens", "womens", "newbie", "zip_code"]],
    )
    published = {
        "returned": ([0.10617, 0.18276, 0.15140], 5),
        "value": ([0.653, 1.423, 1.077], 3),
    }
    for outcome, (figures, digits) in published.items():
        for arm, figure in zip(["No E-Mail", "Mens E-Mail", "Womens E-Mail"], figures, strict=True):
            level = row(result.levels, arm=arm, outcome=outcome)
            assert round(level["estimate"], digits) == figure
    assert round(result.sample_ratio.p_value, 2) == 0.90
    lift = row(result.effects, arm="Mens E-Mail", outcome="returned", adjusted=False)
    assert [round(lift[x], 4) for x in ("estimate", "lo", "hi")] == [0.0766, 0.0700, 0.0832]
    assert result.rows == 64_000
    assert result.balance_p_value > 0.05


@pytest.mark.parametrize("adjusted", [False, True])
def test_money_is_read_on_rows_whose_value_is_known_and_returns_on_all(adjusted):
    frame, covariates = experiment()
    facts = covariates if adjusted else None
    old = (frame["customer_id"] < 2_500).to_numpy()
    young = frame.assign(value=frame["value"].where(old), value_known=old)
    result, whole = read(young, covariates=facts), read(frame, covariates=facts)
    alone = read(
        frame[old].reset_index(drop=True), covariates=None if facts is None else facts[old]
    )
    for name in ("levels", "effects", "pairs", "power"):
        for outcomes, same in ((["returned", "cost"], whole), (["value", "profit", "roi"], alone)):
            tables = [getattr(one, name) for one in (result, same)]
            mine, other = (
                table[table["outcome"].isin(outcomes)].reset_index(drop=True) for table in tables
            )
            pd.testing.assert_frame_equal(mine, other)
    assert any(note.startswith("value, profit and roi are read on 2,500") for note in result.notes)

"""The simulated world: published means met, events consistent, scenarios exact, determinism."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from winback.models.simulation.experiment import choose
from winback.models.simulation.simulate import Simulation, simulate
from winback.models.simulation.world import (
    ACCEPTANCE,
    OFFER_COST,
    OFFERS,
    TAILORING_COST,
    VALUE_OF_RETURN,
    World,
)

SMALL = World(scale=0.1)
TAILORED = {"price": "discount", "service": "upgrade"}
PROBABILITIES = [f"return_probability_{offer}" for offer in OFFERS]


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(SMALL, seed=11)


def experiment(simulation: Simulation) -> pd.DataFrame:
    truth = simulation.truth
    return truth[truth["population"] == "experiment"].set_index("customer_id")


def stated_before(simulation: Simulation) -> pd.Series:
    """The reason stated at the last departure before the offer, by customer."""
    left = simulation.tables["departures"].sort_values("departed_at")
    offers = simulation.tables["offers"].sort_values("offered_at")
    joined = pd.merge_asof(
        offers, left, left_on="offered_at", right_on="departed_at", by="customer_id"
    )
    return joined.set_index("customer_id")["reason"]


def test_leavers_and_experiment_have_exactly_the_wanted_size(small: Simulation) -> None:
    first = small.tables["departures"].groupby("customer_id")["departed_at"].min()
    window = np.array([SMALL.window_starts_at, SMALL.window_ends_at]).astype("datetime64[s]")
    assert ((first >= window[0]) & (first < window[1])).sum() == 5_300
    assert len(small.tables["offers"]) == 4_000


def test_true_acceptances_are_the_published_ones(small: Simulation) -> None:
    none, *offers = experiment(small)[PROBABILITIES].mean().tolist()
    assert offers == pytest.approx([0.45, 0.41, 0.47], abs=1e-9)
    assert none == pytest.approx(0.15, abs=0.003)


def test_tailored_policy_meets_its_published_acceptance_by_stated_reason(
    small: Simulation,
) -> None:
    truth = experiment(small).join(stated_before(small))
    discount = truth["reason"].map({"price": 1.0, "service": 0.0}).fillna(0.5)
    tailored = (
        discount * truth["return_probability_discount"]
        + (1 - discount) * truth["return_probability_upgrade"]
    )
    assert tailored.mean() == pytest.approx(ACCEPTANCE["tailored"], abs=1e-9)


@pytest.mark.parametrize("offer", OFFERS[1:])
def test_true_value_of_a_return_gives_the_published_roi(small: Simulation, offer: str) -> None:
    truth = experiment(small)
    weight = truth[f"return_probability_{offer}"]
    value = np.average(truth[f"value_{offer}"], weights=weight)
    assert value == pytest.approx(VALUE_OF_RETURN[offer], rel=1e-4)


def test_profit_is_value_less_accepted_cost_less_contact(small: Simulation) -> None:
    truth = experiment(small)
    for offer in OFFERS:
        contact = 0.0 if offer == "none" else SMALL.contact_cost
        margin = truth[f"value_{offer}"] - OFFER_COST[offer]
        expected = truth[f"return_probability_{offer}"] * margin - contact
        np.testing.assert_allclose(truth[f"profit_{offer}"], expected)


def test_events_of_second_lifetimes_earn_the_true_value() -> None:
    simulation = simulate(World(scale=0.2), seed=3)
    offers = simulation.tables["offers"].dropna(subset=["returned_at"])
    orders = simulation.tables["orders"].merge(offers, on="customer_id")
    until = orders["offered_at"] + pd.Timedelta(days=730)
    left = simulation.tables["departures"].merge(offers, on="customer_id")
    left = left[left["departed_at"] > left["returned_at"]]
    ends = left.groupby("customer_id")["departed_at"].min().reindex(orders["customer_id"])
    orders = orders[
        (orders["ordered_at"] >= orders["returned_at"])
        & (orders["ordered_at"] < until)
        & ~(orders["ordered_at"].to_numpy() >= ends.to_numpy())
    ]
    earned = orders.groupby("customer_id")["margin"].sum().reindex(offers["customer_id"])
    truth = experiment(simulation).loc[offers["customer_id"]]
    expected = np.choose(
        [OFFERS.index(offer) for offer in offers["offer"]],
        [truth[f"value_{offer}"].to_numpy() for offer in OFFERS],
    )
    gap = earned.to_numpy() - expected
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
    assert gap.std() / np.sqrt(len(gap)) < 10


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    world = World(scale=0.02)
    one, two, other = (simulate(world, seed=seed) for seed in (5, 5, 6))
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(table, two.tables[name], check_exact=True)
    pd.testing.assert_frame_equal(one.truth, two.truth, check_exact=True)
    pd.testing.assert_frame_equal(one.active, two.active, check_exact=True)
    assert not one.tables["orders"].equals(other.tables["orders"])


def test_no_event_lies_outside_the_lifetimes(small: Simulation) -> None:
    """Every bill, use, complaint and message falls between a start and a departure."""
    orders, departures = small.tables["orders"], small.tables["departures"]
    ends = departures.rename(columns={"departed_at": "at"})[["customer_id", "at"]]
    for name, moment in {
        "orders": "ordered_at", "activity": "happened_at", "complaints": "opened_at",
        "contacts": "contacted_at",
    }.items():  # fmt: skip
        events = small.tables[name].rename(columns={moment: "at"})[["customer_id", "at"]]
        events = events.sort_values("at")
        bill = orders.rename(columns={"ordered_at": "billed"})[["customer_id", "billed"]]
        left = ends.assign(left=ends["at"]).sort_values("at")
        joined = pd.merge_asof(events, bill.sort_values("billed"), left_on="at",
                               right_on="billed", by="customer_id")  # fmt: skip
        joined = pd.merge_asof(joined, left, on="at", by="customer_id")
        assert joined["billed"].notna().all(), name
        assert not (joined["left"] > joined["billed"]).any(), name


def test_tables_are_clean(small: Simulation) -> None:
    tables, end = small.tables, np.datetime64(SMALL.as_of, "s")
    for name, table in tables.items():
        for column in table.select_dtypes("datetime"):
            assert (table[column].dropna() < end).all(), (name, column)
    known = set(tables["customers"]["customer_id"])
    for name in ("attributes", "orders", "activity", "complaints", "departures", "offers"):
        assert set(tables[name]["customer_id"]) <= known, name
    assert tables["customers"]["customer_id"].is_unique
    assert tables["orders"]["order_id"].is_unique
    assert tables["complaints"]["complaint_id"].is_unique
    assert not tables["referrals"].duplicated(["referrer_id", "referred_id"]).any()
    assert (tables["orders"][["amount", "discount"]] >= 0).all(axis=None)
    cents = tables["orders"][["amount", "margin", "discount"]] * 100
    np.testing.assert_allclose(cents, cents.round(), atol=1e-6)
    assert set(tables["departures"]["reason"].dropna()) == {
        "price", "service", "both", "competitor", "moved", "need_gone"
    }  # fmt: skip


def test_offers_carry_marginal_propensities_by_stated_reason(small: Simulation) -> None:
    offers = small.tables["offers"]
    either = offers["offer"].isin(["discount", "upgrade"])
    assert (offers.loc[~either, "propensity"] == 0.2).all()
    assert set(offers.loc[either, "propensity"].round(9)) == {0.2, 0.3, 0.4}
    stated = stated_before(small)
    for reason, offer in TAILORED.items():
        said = stated.reindex(offers["customer_id"]).to_numpy() == reason
        assert (offers.loc[said & (offers["offer"] == offer), "propensity"] == 0.4).all()
        assert (offers.loc[said & (offers["arm"] == "tailored"), "offer"] == offer).all()
    # Inverse propensities of any offer add up to the size of the experiment, within noise.
    for offer in OFFERS:
        total = (1 / offers.loc[offers["offer"] == offer, "propensity"]).sum()
        assert total == pytest.approx(len(offers), rel=0.07)
    assert offers["arm"].value_counts().between(700, 900).all()
    paid = offers["offer"].map(OFFER_COST).where(offers["returned_at"].notna(), 0.0)
    assert (offers["offer_cost"] == paid).all()


def test_returns_fall_within_the_return_window_and_outcomes_are_complete(
    small: Simulation,
) -> None:
    offers = small.tables["offers"]
    days = (offers["returned_at"] - offers["offered_at"]).dt.days
    asked = offers["offer"] != "none"
    assert days[asked].dropna().between(1, SMALL.return_window_days - 1).all()
    assert days[~asked].dropna().between(0, SMALL.return_window_days - 1).all()
    matured = offers["offered_at"] + pd.Timedelta(days=SMALL.value_horizon_days)
    assert (matured <= pd.Timestamp(SMALL.as_of, unit="s")).all()


def away_at(simulation: Simulation, moment: pd.Series) -> pd.Series:
    """Whether each customer (index) had left and not come back by a moment, from the tables."""
    tables = simulation.tables

    def last(name: str, time: str) -> pd.Series:
        events = tables[name][["customer_id", time]]
        at = events["customer_id"].map(moment)
        return events[events[time] < at].groupby("customer_id")[time].max().reindex(moment.index)

    return last("departures", "departed_at") > last("orders", "ordered_at")


def back_within(simulation: Simulation, moment: pd.Series, days: int) -> pd.Series:
    """Whether each customer (index) bought within so many days of a moment."""
    orders = simulation.tables["orders"]
    at = orders["customer_id"].map(moment)
    until = at + pd.Timedelta(days=days)
    bought = orders[(orders["ordered_at"] >= at) & (orders["ordered_at"] < until)]["customer_id"]
    return pd.Series(moment.index.isin(bought), index=moment.index)


def test_every_customer_is_lost_or_active_at_the_end_and_in_the_truth(small: Simulation) -> None:
    ids = small.tables["customers"]["customer_id"]
    end = pd.Series(pd.Timestamp("2015-01-01"), index=pd.Index(ids))
    away = away_at(small, end)
    lost = small.truth[small.truth["population"] == "lost"]
    assert (lost["as_of"] == pd.Timestamp("2015-01-01")).all()
    assert (small.active["as_of"] == pd.Timestamp("2015-01-01")).all()
    assert sorted(lost["customer_id"]) == sorted(away.index[away])
    assert sorted(small.active["customer_id"]) == sorted(away.index[~away])
    assert small.active["churn_probability"].between(0, 1).all()


@pytest.fixture(scope="module")
def large() -> Simulation:
    return simulate(World(scale=0.5), seed=4)


def calibration(chance: pd.Series, happened: pd.Series) -> pd.DataFrame:
    """Predicted and observed frequency by fifths of the probability, and the distance in sd."""
    frame = pd.DataFrame({"chance": chance, "seen": happened.astype(float)})
    frame["variance"] = chance * (1 - chance)
    fifths = frame.groupby(pd.qcut(frame["chance"].rank(method="first"), 5, labels=False))
    sums = fifths.sum()
    return fifths.mean().assign(z=(sums["seen"] - sums["chance"]) / np.sqrt(sums["variance"]))


def test_leavers_nobody_asked_come_back_as_often_as_the_truth_says(large: Simulation) -> None:
    """In the experiment's control arm and outside of it, by fifths of the probability."""
    truth = large.truth.set_index("customer_id")
    none = large.tables["offers"].set_index("customer_id")["offer"] == "none"
    outside = truth[truth["population"] == "outside"]
    assert not outside.index.isin(none.index).any()
    control = truth[truth["population"] == "experiment"].loc[none.index[none]]
    for rows in (outside, control):
        assert away_at(large, rows["as_of"]).all()
        back = back_within(large, rows["as_of"], 90)
        table = calibration(rows["return_probability_none"], back)
        assert table["z"].abs().max() < 3.5, table.to_string()
        # Fifths that differ: a constant would not pass.
        assert table["chance"].iloc[-1] > 4 * table["chance"].iloc[0]


def test_leavers_come_back_by_the_same_law_long_after_an_offer_was_refused(
    large: Simulation,
) -> None:
    """Half a year after an unanswered offer the law of returning unasked holds again."""
    offers = large.tables["offers"].set_index("customer_id")
    later = offers["offered_at"] + pd.Timedelta(days=180)
    still = away_at(large, later) & offers["returned_at"].isna()
    rows = experiment(large).loc[still.index[still]]
    back = back_within(large, later[still], 90)
    movable = ~rows["true_reason"].isin(["moved", "need_gone"])
    # A quarter of a year's chance falls with the lapse, by no more than the law lets it fall.
    assert 0.45 < back[movable].mean() / rows["return_probability_none"][movable].mean() < 0.9
    gone = back[~movable]
    assert abs(gone.mean() - 0.015) < 4 * np.sqrt(0.015 / len(gone))


def test_lost_twice_are_in_the_experiment_and_rarely_return(small: Simulation) -> None:
    offers = small.tables["offers"].set_index("customer_id")["offered_at"]
    left = small.tables["departures"].merge(offers, on="customer_id")
    before = left[left["departed_at"] < left["offered_at"]].groupby("customer_id").size()
    truth = experiment(small)["return_probability_discount"]
    twice = before[before == 2].index
    assert 0.01 < len(twice) / len(offers) < 0.08
    assert 0.2 < truth[twice].mean() / truth.drop(twice).mean() < 0.6


def test_active_customers_outnumber_the_leavers_of_the_window(small: Simulation) -> None:
    bill = small.tables["orders"].groupby("customer_id")["ordered_at"].max()
    left = small.tables["departures"].groupby("customer_id")["departed_at"].max()
    active = ~(left.reindex(bill.index) > bill)
    assert active.sum() >= 5_300


def test_suppressed_customers_are_never_in_the_experiment(small: Simulation) -> None:
    suppressed = set(small.tables["suppressions"]["customer_id"])
    assert suppressed
    assert not suppressed & set(small.tables["offers"]["customer_id"])


def test_without_effects_every_offer_is_exactly_like_none() -> None:
    truth = simulate(World(scale=0.02, effect_strength=0.0), seed=1).truth
    for offer in OFFERS[1:]:
        for what in ("return_probability", "value", "months"):
            np.testing.assert_array_equal(truth[f"{what}_{offer}"], truth[f"{what}_none"])


def incremental_roi(truth: pd.DataFrame, offer: str) -> float:
    back = truth[f"return_probability_{offer}"]
    gain = back * truth[f"value_{offer}"] - truth["return_probability_none"] * truth["value_none"]
    cost = back.mean() * OFFER_COST[offer]
    return float((gain.mean() - cost) / cost)


def test_high_organic_return_flips_the_order_of_incremental_roi(small: Simulation) -> None:
    usual = experiment(small)
    stress = experiment(simulate(World(scale=0.1, organic_return=0.30), seed=11))
    assert stress["return_probability_none"].mean() == pytest.approx(0.30, abs=0.01)
    assert incremental_roi(usual, "upgrade") > incremental_roi(usual, "discount")
    assert incremental_roi(stress, "upgrade") < incremental_roi(stress, "discount")


def gain_of_oracle(truth: pd.DataFrame) -> float:
    profit = truth[[f"profit_{offer}" for offer in OFFERS]]
    return float(profit.max(axis=1).mean() / profit.mean().max() - 1)


def test_heterogeneity_decides_what_an_oracle_gains(small: Simulation) -> None:
    bare = experiment(simulate(World(scale=0.1, heterogeneity="reason_only"), seed=11))
    assert 0.10 < gain_of_oracle(experiment(small)) < 0.20
    assert gain_of_oracle(bare) < 0.03
    assert not bare["do_not_disturb"].any()


def test_touchy_customers_return_less_under_any_offer(small: Simulation) -> None:
    truth = experiment(small)
    touchy = truth[truth["do_not_disturb"] & ~truth["true_reason"].isin(["moved", "need_gone"])]
    assert 0.03 <= truth["do_not_disturb"].mean() <= 0.055
    for offer in OFFERS[1:]:
        backfired = touchy[f"return_probability_{offer}"] / touchy["return_probability_none"]
        np.testing.assert_allclose(backfired, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0.0}, "'scale' must lie in"),
        ({"organic_return": 0.6}, "'organic_return' must lie in"),
        ({"effect_strength": 1.5}, "'effect_strength' must lie in"),
        ({"heterogeneity": "wild"}, "'heterogeneity' must be one of default, reason_only"),
        ({"eligible": 60_000}, "'eligible' must lie in"),
        ({"first_customer_id": 0}, "'first_customer_id' must lie in"),
        (
            {"retention": True, "churn_horizon_days": 365, "value_horizon_days": 300},
            "'churn_horizon_days' must be at most value_horizon_days",
        ),
    ],
)
def test_impossible_worlds_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(**change)  # type: ignore[arg-type]


def test_world_in_which_nobody_states_a_reason_cannot_tailor() -> None:
    silent = World(scale=0.02, stated_reason_right=0.0, stated_reason_missing=1.0)
    with pytest.raises(ValueError, match="no effects meet the published acceptances"):
        simulate(silent, seed=1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_smallest_world_works(seed: int) -> None:
    simulation = simulate(World(scale=0.002), seed=seed)
    assert len(simulation.tables["offers"]) == 80


def test_returns_so_quick_that_nobody_is_left_to_ask_are_refused() -> None:
    with pytest.raises(ValueError, match="lower 'organic_return' or raise 'return_window_days'"):
        simulate(World(scale=0.02, organic_return=0.3, return_window_days=30), seed=1)


def test_experiment_larger_than_those_who_stay_away_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 80 customers, found 79 still away when"):
        choose(np.arange(79.0), np.ones(79), World(scale=0.002))


def test_source_file_states_the_costs_and_horizons_of_the_world() -> None:
    path = Path(__file__).parents[3] / "sources" / "kumar.yaml"
    stated = YAML(typ="safe").load(path)["experiment"]
    world = World()
    costs = {name: offer["cost_on_acceptance"] for name, offer in stated["offers"].items()}
    assert costs == {offer: OFFER_COST[offer] for offer in OFFERS if offer != "none"}
    assert {offer["contact_cost"] for offer in stated["offers"].values()} == {world.contact_cost}
    assert stated["return_window_days"] == world.return_window_days
    churn = YAML(typ="safe").load(path)["churn"]
    assert churn["horizon_days"] == world.churn_horizon_days
    assert stated["value_horizon_days"] == world.value_horizon_days
    assert stated["tailoring_cost"] == TAILORING_COST
    assert stated["tailored"] == TAILORED

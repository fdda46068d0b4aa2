"""The data card: all rows hold in the default world, and each breaks where it should."""

from dataclasses import replace

import pandas as pd
import pytest

from winback.models.simulation.data_card.data_card import ROWS, card_markdown, data_card
from winback.models.simulation.data_card.finding import falls, near, widened
from winback.models.simulation.simulate import Simulation, simulate
from winback.models.simulation.world import World


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(World(scale=0.25), seed=5)


@pytest.fixture(scope="module")
def card(simulation: Simulation) -> pd.DataFrame:
    return data_card(simulation).set_index("row")


def test_card_has_the_22_rows_of_the_calibration(card: pd.DataFrame) -> None:
    kinds = "".join(card["kind"])
    assert kinds == "HHDHHHSSSSHSSSSDDSHSDD"
    assert card.index.tolist() == list(range(1, 23))
    assert len(ROWS) == 22
    assert card["holds"].dtype == bool
    assert card.notna().all(axis=None)


def test_every_row_holds_in_the_default_world(card: pd.DataFrame) -> None:
    assert card["holds"].all(), card.loc[~card["holds"], ["what", "measured"]].to_string()


def test_offers_to_active_customers_are_no_rows_of_it() -> None:
    card = data_card(simulate(World(scale=0.25, retention=True), seed=5)).set_index("row")
    assert card["holds"].all(), card.loc[~card["holds"], ["what", "measured"]].to_string()


def broken(simulation: Simulation, **changes: pd.DataFrame) -> set[int]:
    """Rows that fail after some tables were exchanged."""
    truth = changes.pop("truth", simulation.truth)
    changed = replace(simulation, tables=simulation.tables | changes, truth=truth)
    card = data_card(changed).set_index("row")
    return set(card.index[~card["holds"]])


def test_lost_experiment_rows_break_the_count(simulation: Simulation) -> None:
    offers = simulation.tables["offers"]
    assert 1 in broken(simulation, offers=offers.iloc[:-1])


def test_swapped_arms_break_acceptance_and_roi(simulation: Simulation) -> None:
    offers = simulation.tables["offers"]
    swap = {"upgrade": "bundle", "bundle": "upgrade"}
    swapped = offers.assign(arm=offers["arm"].replace(swap))
    assert {2, 5} <= broken(simulation, offers=swapped)


def test_cost_without_acceptance_breaks_the_costs(simulation: Simulation) -> None:
    offers = simulation.tables["offers"]
    assert 4 in broken(simulation, offers=offers.assign(offer_cost=120.0))


def test_margins_off_by_a_third_break_values_and_roi(simulation: Simulation) -> None:
    orders = simulation.tables["orders"]
    assert {5, 6} <= broken(simulation, orders=orders.assign(margin=orders["margin"] * 1.35))


def test_reasons_stated_at_random_break_the_interplay_with_reasons(
    simulation: Simulation,
) -> None:
    departures = simulation.tables["departures"]
    shuffled = departures["reason"].sample(frac=1, random_state=1).to_numpy()
    assert {2, 17} <= broken(simulation, departures=departures.assign(reason=shuffled))


def test_mirrored_truth_breaks_every_sign_of_returning(simulation: Simulation) -> None:
    truth = simulation.truth
    chances = [name for name in truth.columns if name.startswith("return_probability")]
    mirrored = truth.assign(**{name: 0.95 - truth[name] for name in chances})
    assert {8, 9, 10, 14, 15, 18, 21} <= broken(simulation, truth=mirrored)


def test_world_without_effects_fails_the_rows_on_effects_alone() -> None:
    card = data_card(simulate(World(scale=0.1, effect_strength=0.0), seed=1)).set_index("row")
    assert not card.loc[[2, 11, 16, 22], "holds"].any()
    assert card.loc[[1, 3, 4, 8, 14, 17, 18], "holds"].all()


def test_markdown_has_one_line_per_row_and_says_what_fails(card: pd.DataFrame) -> None:
    failing = card.assign(holds=card.index != 3).reset_index()
    lines = card_markdown(failing).splitlines()
    assert len(lines) == 24
    assert [line.endswith("| no |") for line in lines[2:]].index(True) == 2
    assert all(line.count(" | ") == 6 for line in lines[2:])


def test_tolerance_widens_with_the_root_of_the_rows_and_never_narrows() -> None:
    assert widened(0.01, 12_500) == pytest.approx(0.02)
    assert widened(0.01, 5_000_000) == 0.01


def test_order_and_nearness() -> None:
    assert falls([3.0, 2.0, 1.0])
    assert not falls([3.0, 3.0, 1.0])
    assert near({"a": 1.0, "b": 9.0}, {"a": 1.1}, 0.11)
    assert not near({"a": 1.0}, {"a": 1.2}, 0.11)

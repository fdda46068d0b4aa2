import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.drift import drift


def frame(values: object) -> pd.DataFrame:
    return pd.DataFrame({"feature": values})


def distance(before: object, after: object) -> float:
    return float(drift(frame(before), frame(after))["distance"].iloc[0])


def test_distance_of_a_flag_is_the_stability_index_by_hand() -> None:
    before, after = [0] * 500_000 + [1] * 500_000, [0] * 200_000 + [1] * 800_000
    by_hand = (0.5 - 0.2) * np.log(0.5 / 0.2) + (0.5 - 0.8) * np.log(0.5 / 0.8)
    assert distance(before, after) == pytest.approx(by_hand, abs=1e-4)


def test_shift_is_the_wasserstein_distance_in_standard_deviations() -> None:
    numbers = np.random.default_rng(1).normal(10.0, 2.0, 5_000)
    table = drift(frame(numbers), frame(numbers + 1.0))
    assert table["shift"].iloc[0] == pytest.approx(1.0 / numbers.std())


@pytest.mark.parametrize("rows", [60, 600, 6_000])
def test_a_resample_does_not_cry_wolf_at_any_size(rows: int) -> None:
    rng = np.random.default_rng(7)
    population = rng.gamma(2.0, 30.0, 20_000)
    found = [distance(population, rng.choice(population, rows)) for _ in range(40)]
    assert np.mean(np.array(found) > 0.25) <= 0.05
    assert np.mean(found) < 0.08


def test_a_jump_of_a_constant_is_an_alarm() -> None:
    assert distance([3.0] * 1_000, [4.0] * 1_000) > 1.0
    assert distance([3.0] * 1_000, [2.0] * 1_000) > 1.0
    assert distance([3.0] * 1_000, [3.0] * 10) == 0.0


def test_a_column_that_went_missing_is_an_alarm_and_says_so() -> None:
    numbers = np.arange(1_000.0)
    holes = np.where(numbers % 2 == 0, np.nan, numbers)
    row = drift(frame(numbers), frame(holes)).iloc[0]
    assert (row["level"], row["missing_reference"], row["missing_current"]) == ("alarm", 0.0, 0.5)


def test_an_unseen_category_counts() -> None:
    assert distance(["price"] * 900 + ["service"] * 100, ["moved"] * 1_000) > 1.0
    assert distance(["price", "service"] * 500, ["service", "price"] * 500) == 0.0


def test_largest_distance_comes_first_and_levels_follow_thresholds() -> None:
    rng = np.random.default_rng(3)
    before = pd.DataFrame(rng.normal(size=(4_000, 3)), columns=["same", "far", "near"])
    after = before.assign(far=before["far"] + 2.0, near=before["near"] + 0.35)
    table = drift(before, after)
    assert list(zip(table["feature"], table["level"], strict=True)) == [
        ("far", "alarm"),
        ("near", "warn"),
        ("same", "ok"),
    ]


def test_unusable_input_is_refused() -> None:
    one = frame([1.0, 2.0])
    with pytest.raises(ValueError, match="lacks 1 features: feature"):
        drift(one, pd.DataFrame({"other": [1.0]}))
    with pytest.raises(ValueError, match="both sets need rows, found 2 and 0"):
        drift(one, one.iloc[:0])

import numpy as np
import pandas as pd
import pytest

from winback.models.experiment.covariates import MOST_LEVELS, covariate_design, leading_components


def test_numbers_categories_and_gaps_become_standardized_columns():
    frame = pd.DataFrame(
        {
            "spend": [1.0, np.nan, 3.0, 8.0],
            "channel": ["web", "web", None, "phone"],
            "constant": [7, 7, 7, 7],
            "loyal": [True, False, True, False],
        }
    )
    design = covariate_design(frame)
    assert design.names == (
        "channel=web",
        "channel=phone",
        "channel missing",
        "loyal",
        "spend",
        "spend missing",
    )
    assert design.matrix.mean(axis=0) == pytest.approx(0, abs=1e-15)
    assert design.matrix.std(axis=0) == pytest.approx(1)
    raw = np.array([1.0, 3.0, 3.0, 8.0])  # the gap holds the median
    assert design.matrix[:, 4] == pytest.approx((raw - raw.mean()) / raw.std())


def test_rare_levels_are_pooled():
    frame = pd.DataFrame({"city": [f"c{i % 50}" for i in range(500)] + ["big"] * 100})
    design = covariate_design(frame)
    assert len(design.names) == MOST_LEVELS
    assert design.names[0] == "city=big"


def test_too_many_columns_become_components_that_keep_the_variance():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 1))
    frame = pd.DataFrame(common + 0.01 * rng.normal(size=(300, 6))).rename(columns=str)
    whole = covariate_design(frame)
    assert leading_components(whole, 6) is whole
    design = leading_components(whole, 2)
    assert design.matrix.shape == (300, 2)
    assert abs(np.corrcoef(design.matrix[:, 0], common[:, 0])[0, 1]) > 0.999


def test_columns_that_tell_the_same_give_no_components_of_rounding():
    facts = np.random.default_rng(0).normal(size=(300, 2))
    both = np.column_stack([facts, facts @ np.ones((2, 3)), facts])
    whole = covariate_design(pd.DataFrame(both).rename(columns=str))
    design = leading_components(whole, 5)
    assert design.names == ("component_1", "component_2")
    fit = np.linalg.lstsq(design.matrix, whole.matrix, rcond=None)[0]
    assert design.matrix @ fit == pytest.approx(whole.matrix)


def test_nothing_that_varies_is_an_empty_design():
    assert covariate_design(pd.DataFrame({"x": [1, 1]})).matrix.shape == (2, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), "'x' .* found a timestamp"),
        ([1.0, np.inf], "'x' must be finite, found infinity"),
    ],
)
def test_columns_that_are_no_facts_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        covariate_design(pd.DataFrame({"x": values}))

"""How well effects keep their word, as the benchmarks measure it."""

import numpy as np
import pytest
from uplift import calibration


def test_effects_twice_too_large_have_a_slope_of_a_half():
    true = np.random.default_rng(0).normal([0.1, -0.2], [0.05, 0.1], size=(500, 2))
    right, twice = calibration(true, true), calibration(1.0 + 2.0 * true, true)
    for figure in ("slope", "low fifth", "high fifth"):
        assert right[figure] == pytest.approx(1.0)
        assert twice[figure] == pytest.approx(0.5)
    assert twice["spread"] == pytest.approx(4 * right["spread"])


def test_a_lowest_fifth_that_loses_less_than_was_said_shows_there_alone():
    said = np.linspace(-1.0, 1.0, 1_000)[:, None]
    found = calibration(said, np.maximum(said, -0.2))
    assert found["low fifth"] < 0.6
    assert found["high fifth"] == pytest.approx(0.8, abs=0.02)  # around an average that is higher
    assert np.isnan(calibration(np.ones((100, 1)), said[:100])["slope"])

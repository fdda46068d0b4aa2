"""Targeted offers: adjusted for what was seen, bounded for what was not."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from winback.models.experiment.observational import (
    adjusted_effects,
    effect_bounds,
    explained_away_by,
)

EFFECT = 0.1


def targeted(rows=20_000, hidden=0.0, seed=0):
    """Offers that follow x and, as far as `hidden` says, something that nobody recorded."""
    rng = np.random.default_rng(seed)
    x, unseen = rng.normal(size=rows), rng.normal(size=rows)
    sent = rng.random(rows) < 1 / (1 + np.exp(-(x + hidden * unseen)))
    level = np.clip(0.3 + 0.1 * x + 0.1 * unseen, 0.02, 0.85)
    returned = (rng.random(rows) < level + EFFECT * sent).astype(float)
    return pd.DataFrame({"x": x}), np.where(sent, "gift", "none").astype(object), returned


def test_what_was_seen_is_adjusted_for():
    row = adjusted_effects(*targeted(), control="none", seed=1).iloc[0]
    assert row["unadjusted"] > EFFECT + 0.05
    assert row["lo"] < EFFECT < row["hi"]
    assert row["hi"] - row["lo"] < 0.05


def test_what_was_not_seen_lies_within_the_bounds():
    row = adjusted_effects(*targeted(hidden=0.7), control="none", seed=1).iloc[0]
    assert row["lo"] > EFFECT  # the adjusted estimate is sure of something wrong
    assert row["lo_3"] < EFFECT < row["hi_3"]
    assert 1 < row["explained_away_by"] < 20


def test_bounds_are_those_of_the_linear_program():
    """max sum(w y) with sum(w) = 1 and weights between their limits, up to a common factor."""
    rng = np.random.default_rng(2)
    y, chance = rng.random(12), rng.uniform(0.1, 0.9, 12)
    low, high = 1 + (1 / chance - 1) / 2, 1 + (1 / chance - 1) * 2
    # Charnes and Cooper: w = t x weight, so that w >= t x low and w <= t x high
    limits = np.block([[-np.eye(12), low[:, None]], [np.eye(12), -high[:, None]]])
    best = linprog(
        -np.append(y, 0), A_ub=limits, b_ub=np.zeros(24), A_eq=[[1.0] * 12 + [0.0]], b_eq=[1.0]
    )
    alone = (np.zeros(3), np.full(3, 0.5))
    _, highest = effect_bounds((y, chance), alone, factor=2.0)
    assert highest == pytest.approx(-best.fun)


def test_bounds_widen_with_the_factor_and_start_at_the_estimate():
    _, offers, outcome = targeted(2_000)
    arms = [
        (outcome[offers == name], np.full((offers == name).sum(), 0.5)) for name in ("gift", "none")
    ]
    low, high = effect_bounds(*arms, factor=1.0)
    assert low == pytest.approx(high)
    wider = effect_bounds(*arms, factor=2.0)
    assert wider[0] < low < wider[1]
    factor = explained_away_by(*arms)
    assert effect_bounds(*arms, factor=factor)[0] == pytest.approx(0, abs=1e-6)


def test_a_control_is_needed():
    frame, offers, outcome = targeted(500)
    with pytest.raises(ValueError, match="the control 'nobody'"):
        adjusted_effects(frame, offers, outcome, control="nobody", seed=0)

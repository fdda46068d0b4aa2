"""What a choice by customer gains on out-of-fold rows, and which ensemble chooses."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.personal_gain import is_evident, is_likely
from winback.models.uplift.choice import choose, mean_score, moved, pooled_scores
from winback.models.uplift.learners import Experiment
from winback.models.uplift.stacking import Stack
from winback.models.uplift.uplift import OfferUplift

STACK = Stack({"only": 1.0}, {"only": 1.0}, np.ones(2))
LEVEL = np.array([0.3, 0.4, 0.5])  # the mean of scores under each offer


def rows_of_an_experiment(rows):
    rng = np.random.default_rng(0)
    return rng, Experiment(
        columns=(),
        matrix=np.empty((rows, 0)),
        outcome=rng.normal(size=rows),
        arm=rng.integers(0, 3, rows),
        propensity=np.full(rows, 1 / 3),
        offers=3,
        weight=np.ones(rows),
        groups=None,
        seed=0,
    )


def around_level(scores):
    """Scores (rows, 3) whose means are equally far apart and known well, so that they stay."""
    return LEVEL + (scores - scores.mean(axis=0)) * 1e-3 / scores.std()


@pytest.mark.parametrize("crossing", [1.0, 0.0])
def test_the_gain_is_that_of_the_offers_chosen_by_effects_of_each_repeat(crossing):
    rng, experiment = rows_of_an_experiment(900)
    repeats = [{"only": crossing * rng.normal(size=(900, 2))} for _ in range(2)]
    scores = around_level(rng.normal(size=(900, 3)))
    found = choose([STACK], repeats, experiment, scores=scores, tempered=scores)
    assert found.single == 2
    np.testing.assert_allclose(found.averages, [0.1, 0.2], rtol=1e-3)
    by_hand = np.zeros(900)
    for repeat in repeats:
        effects = found.averages + repeat["only"] - repeat["only"].mean(axis=0)
        best = np.column_stack([np.zeros(900), effects]).argmax(axis=1)
        by_hand += (scores[np.arange(900), best] - scores[:, 2]) / 2
    assert found.gain == pytest.approx(by_hand.mean(), rel=1e-3)
    assert found.gain_se == pytest.approx(by_hand.std(ddof=1) / np.sqrt(900), rel=1e-3)
    likely = is_likely(found.gain, found.gain_se, 900)
    assert found.personalizes == likely  # where nobody is sent anything else it is 0
    if not crossing:
        assert found.gain == 0
        assert not found.evident


@pytest.mark.parametrize("sign", [1, -1])
def test_personal_offers_are_sent_where_tempered_outcomes_gain(sign):
    rng, experiment = rows_of_an_experiment(900)
    effects = rng.normal(size=(900, 2))
    lead = np.column_stack([np.zeros(900), effects - effects.mean(axis=0)])
    found = choose(
        [STACK],
        [{"only": effects}],
        experiment,
        scores=np.tile(LEVEL, (900, 1)),
        tempered=around_level(rng.normal(size=(900, 3))) + sign * lead,
    )
    assert found.personalizes == (sign > 0)
    assert not found.evident


@pytest.mark.parametrize(
    ("signals", "evident", "taken"),
    [((0.07, 0.07), True, 0), ((0.0, 0.1), True, -1), ((-0.07, 0.07), False, 0)],
)
def test_a_gain_is_evident_by_the_mean_of_both_stacks_and_the_last_chooses_where_it_must(
    signals, evident, taken
):
    rng, experiment = rows_of_an_experiment(4_000)
    stacks = [Stack({name: 1.0}, {name: 1.0}, np.ones(2)) for name in ("first", "last")]
    sides = np.sign(rng.normal(size=(2, 4_000)))
    sides -= sides.mean(axis=1, keepdims=True)
    effects = [np.column_stack([-np.ones(4_000), side]) for side in sides]
    scores = np.zeros((4_000, 3))  # the first offer does nothing, so the second is sent or not
    scores[:, 2] = rng.normal(size=4_000) + np.array(signals) @ sides
    scores -= scores.mean(axis=0)
    repeat = dict(zip(("first", "last"), effects, strict=True))
    found = choose(stacks, [repeat], experiment, scores=scores, tempered=scores)
    gained = [(moved([effect], found.single) * scores).sum(axis=1) for effect in effects]
    first, last, both = (
        is_evident(*mean_score(experiment, rows), 4_000)
        for rows in (*gained, np.mean(gained, axis=0))
    )
    assert last
    assert first == (taken == 0 and evident)
    assert (found.evident, found.stack) == (both, stacks[taken]) == (evident, stacks[taken])


def test_a_mean_that_sticks_out_by_chance_is_moved_towards_the_others_and_its_scores_with_it():
    rng, experiment = rows_of_an_experiment(3_000)
    scores = rng.normal(size=(3_000, 3)) + np.array([0.0, 0.0, 0.03])
    means, moved = pooled_scores(experiment, scores)
    np.testing.assert_allclose(moved.mean(axis=0), means)
    assert np.ptp(means) < 0.7 * np.ptp(scores.mean(axis=0))
    np.testing.assert_allclose(moved - scores, np.tile(means - scores.mean(axis=0), (3_000, 1)))


def test_where_one_threshold_decides_stumps_choose_though_the_smooth_learner_sees_too_little():
    rng = np.random.default_rng([16, 2])
    frame = pd.DataFrame(rng.normal(size=(6_000, 6))).add_prefix("x")
    frame["plan"] = rng.choice(list("abcd"), len(frame))
    mailed = rng.random(len(frame)) < 0.5
    effect = np.where(frame["x0"] > 0, 0.05, -0.05)
    chance = 0.3 + 0.05 * np.tanh(frame["x1"]) + mailed * effect
    outcome = (rng.random(len(frame)) < chance).astype(float)
    offer = np.where(mailed, "mail", "none")
    smooth, both = (
        OfferUplift(learners=learners).fit(frame, outcome, offer=offer)
        for learners in (["additive"], ["additive", "steps"])
    )
    assert not smooth.evident_
    assert both.evident_
    assert both.weights_["shared"].idxmax() == "steps"
    right = (both.recommend(frame) == "mail") == (effect > 0)
    assert right.mean() > 0.75


def test_where_the_smooth_learner_gains_evidently_it_is_kept():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(6_000, 3))).add_prefix("x")
    mailed = rng.random(len(frame)) < 0.5
    outcome = 0.3 * mailed * frame["x0"].to_numpy() + rng.normal(size=len(frame))
    model = OfferUplift(learners=["additive", "steps"])
    model.fit(frame, outcome, offer=np.where(mailed, "mail", "none"))
    assert model.evident_
    assert model.weights_["shared"].idxmax() == "additive"

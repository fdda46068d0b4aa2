"""Learners that share their work answer as each would alone."""

import numpy as np
import pandas as pd
import pytest

from winback.models.formula.formula import encode, learn_columns
from winback.models.uplift.learners import Experiment, fit_models

NAMES = ["additive", "s_small", "s"]


@pytest.fixture(scope="module", params=["chance", "amount", "often zero"])
def fitted(request):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 3))).add_prefix("x")
    arm = rng.integers(0, 3, 600)
    level = frame["x0"].to_numpy() + arm * frame["x1"].to_numpy()
    outcome = {
        "chance": (level + rng.normal(size=600) > 0.5).astype(float),
        "amount": level + rng.normal(size=600),
        "often zero": np.where(rng.random(600) < 0.5, np.exp(0.3 * level), 0.0),
    }[request.param]
    columns = learn_columns(frame)
    experiment = Experiment(
        columns=columns,
        matrix=encode(columns, frame),
        outcome=outcome,
        arm=arm,
        propensity=np.full(600, 1 / 3),
        offers=3,
        weight=np.ones(600),
        groups=None,
        seed=0,
    )
    names = [*NAMES, *(["two_part"] if experiment.two_part else [])]
    return experiment, fit_models(experiment, np.arange(600), learners=[*names, "x"]), names


def test_means_of_several_learners_are_those_of_each_alone(fitted):
    experiment, models, names = fitted
    rows = np.arange(50, 350)
    together = models.means(experiment, names, rows)
    assert list(together) == names
    for name in names:
        alone = models.means(experiment, [name], rows)[name]
        np.testing.assert_allclose(together[name], alone, rtol=1e-12, atol=1e-12)
        some = models.means(experiment, [name], rows, offers=[2, 0])[name]
        np.testing.assert_allclose(some, alone[:, [2, 0]], rtol=1e-12, atol=1e-12)
    assert len({together[name].tobytes() for name in names}) == len(names)


def test_effects_are_differences_of_means(fitted):
    experiment, models, names = fitted
    rows = np.arange(100)
    effects = models.effects(experiment, [*names, "x"], rows)
    means = models.means(experiment, names, rows)
    for name in names:
        np.testing.assert_array_equal(effects[name], means[name][:, 1:] - means[name][:, :1])
    assert effects["x"].shape == (100, 2)
    assert list(models.effects(experiment, ["x"], rows)) == ["x"]

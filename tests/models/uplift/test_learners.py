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
    models = fit_models(experiment, np.arange(600), learners=[*names, "steps", "x"])
    return experiment, models, names


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
    effects = models.effects(experiment, [*names, "steps", "x"], rows)
    means = models.means(experiment, names, rows)
    for name in names:
        np.testing.assert_array_equal(effects[name], means[name][:, 1:] - means[name][:, :1])
    for name in ("steps", "x"):
        assert effects[name].shape == (100, 2)
        assert effects[name].std() > 0
        alone = models.effects(experiment, [name], rows)
        assert list(alone) == [name]
        np.testing.assert_array_equal(alone[name], effects[name])
    assert effects["steps"].tobytes() != effects["x"].tobytes()


def test_few_stumps_find_the_one_column_that_decides_in_fewer_rows():
    correlations = {"additive": [], "steps": [], "x": []}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(rng.normal(size=(2_000, 8))).add_prefix("x")
        effect = 0.25 * np.sign(frame["x0"].to_numpy())
        arm = rng.integers(0, 2, 2_000)
        columns = learn_columns(frame)
        experiment = Experiment(
            columns=columns,
            matrix=encode(columns, frame),
            outcome=rng.normal(size=2_000) + arm * effect,
            arm=arm,
            propensity=np.full(2_000, 0.5),
            offers=2,
            weight=np.ones(2_000),
            groups=None,
            seed=0,
        )
        rows, others = np.arange(1_000), np.arange(1_000, 2_000)
        models = fit_models(experiment, rows, learners=list(correlations))
        for name, found in models.effects(experiment, list(correlations), others).items():
            spread = found[:, 0].std()
            alike = np.corrcoef(found[:, 0], effect[others])[0, 1] if spread > 1e-9 else 0.0
            correlations[name].append(alike)
    means = {name: np.mean(alike) for name, alike in correlations.items()}
    assert means["steps"] > max(means["additive"], means["x"]) + 0.05

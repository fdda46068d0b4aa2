"""The formula of a fitted uplift ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..formula.formula import Expression, Formula
from ..formula.sharing import share_parts
from .learners import X_SHAPES, Experiment, Models
from .stacking import Stack


def uplift_formula(
    experiment: Experiment,
    models: Models,
    *,
    arms: Sequence[str],
    stack: Stack,
    averages: np.ndarray,
    shares: Mapping[str, float],
) -> Formula:
    """The formula with outputs `uplift_<offer>` and `mean_<offer>`.

    Parameters
    ----------
    models
        Learners fitted on all rows.
    arms
        Names of the offers, the control first.
    averages
        (offers,) average effects around which those of customers vary.
    shares
        Share of each outcome learner in the means.
    """
    boosters: dict[str, str] = {}
    expressions: dict[str, Expression] = {}
    rows = np.arange(len(experiment.outcome))
    centres = {}
    for name in dict.fromkeys([*shares, *stack.used()]):
        parts = models.expressions(experiment, name, boosters)
        if name in X_SHAPES:
            effects = dict(zip(arms[1:], parts, strict=True))
        else:
            for arm, part in zip(arms, parts, strict=True):
                expressions[f"{name}_{arm}"] = part
            effects = {
                arm: ["sum", [1.0, ["ref", f"{name}_{arm}"]], [-1.0, ["ref", f"{name}_{arms[0]}"]]]
                for arm in arms[1:]
            }
        for arm, effect in effects.items():
            expressions[f"effect_{name}_{arm}"] = effect
    for name, fitted in models.effects(experiment, stack.used(), rows).items():
        centres[name] = np.average(fitted, axis=0, weights=experiment.weight)
    for position, offer in enumerate(arms[1:]):
        constant = float(averages[position])
        terms: list[Any] = []
        for name, centre in centres.items():
            weights = stack.learner_weights(name)[position]
            constant -= float(weights @ centre)
            for weight, other in zip(weights.tolist(), arms[1:], strict=True):
                if weight:
                    terms.append([weight, ["ref", f"effect_{name}_{other}"]])
        expressions[f"uplift_{offer}"] = ["sum", [1.0, ["const", constant]], *terms]
    expressions |= _means(arms, shares, binary=experiment.binary)
    outputs = [f"uplift_{offer}" for offer in arms[1:]] + [f"mean_{arm}" for arm in arms]
    return share_parts(
        Formula(
            columns=experiment.columns,
            expressions=expressions,
            outputs=tuple(outputs),
            boosters=boosters,
        )
    )


def _means(
    arms: Sequence[str], shares: Mapping[str, float], *, binary: bool
) -> dict[str, Expression]:
    """Expected outcomes `mean_<offer>`: that of the control plus the effect."""
    control: Expression = ["ref", f"mean_{arms[0]}"]
    means: dict[str, Expression] = {
        f"mean_{arms[0]}": [
            "sum",
            *([share, ["ref", f"{name}_{arms[0]}"]] for name, share in shares.items()),
        ]
    }
    for offer in arms[1:]:
        plain: Expression = ["sum", [1.0, control], [1.0, ["ref", f"uplift_{offer}"]]]
        means[f"mean_{offer}"] = ["clip", 0.0, 1.0, plain] if binary else plain
    return means

"""Learners of the effect of each offer, fitted on some rows and applied to others.

All of them start from one encoding, one additive basis and one binning of the rows:

* `additive`: an S- and T-learner in one, a logistic or linear additive model whose effects are
  shrunk towards what the offers share (see `additive`); on log odds, where effects depend on the
  level, a booster of the level stands beside it
* `two_part`: for amounts that are often zero, whether there is one times how much it is
* `s`: the additive model and one booster on top of it with the offer one-hot beside the columns
* `t`: the additive model and a small booster per offer on top of it
* `x`: imputed effects of the offered and of the control rows (Kunzel et al. 2019)
* `dr`: boosters of the doubly robust score (Kennedy 2023)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import lightgbm as lgb
import numpy as np

from ..formula.formula import Column, Expression
from ..regression.additive import (
    Basis,
    basis_matrix,
    fit_additive,
    learn_basis,
    offer_coding,
    offer_expressions,
)
from ..regression.boosting import BinnedRows, Shape, booster_text

OUTCOME_LEARNERS = ("additive", "two_part", "s", "t")
EFFECT_LEARNERS = ("x", "dr")

_S_CHECKPOINTS = (10, 20, 40, 80)
_S_SHAPE = Shape(trees=_S_CHECKPOINTS[-1], leaves=10, rate=0.12, leaf_share=0.002)
_T_SHAPE = Shape(trees=15, leaves=4, leaf_share=0.02, ridge=20.0)
EFFECT_CHECKPOINTS = (30, 60, 120)
_EFFECT_SHAPE = Shape(trees=EFFECT_CHECKPOINTS[-1], leaves=4, leaf_share=0.02)


@dataclass
class Experiment:
    """Rows of an experiment, ready for every learner.

    `arm` holds codes with the control at 0, `propensity` the probability of the offer sent.
    """

    columns: tuple[Column, ...]
    matrix: np.ndarray
    outcome: np.ndarray
    arm: np.ndarray
    propensity: np.ndarray
    offers: int
    binary: bool
    seed: int
    basis: tuple[Basis, ...] = ()
    design: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        self.basis = learn_basis(self.columns, self.matrix)
        self.design = basis_matrix(self.basis, self.matrix)
        self.bins = BinnedRows(self.matrix, self.columns, seed=self.seed)
        sent = np.eye(self.offers)[:, 1:]
        self.sent = sent
        self.bins_sent = BinnedRows(
            np.hstack([self.matrix, sent[self.arm]]),
            self.columns,
            seed=self.seed,
        )
        # An amount is boosted in units of its spread, so that ridges mean the same everywhere.
        self.unit = 1.0 if self.binary else max(float(self.outcome.std()), 1e-12)

    def shaped(self, shape: Shape) -> Shape:
        """The shape with the objective of the outcome."""
        return replace(shape, objective="binary" if self.binary else "regression")


def link(raw: np.ndarray, *, binary: bool) -> np.ndarray:
    """Outcome means from the link scale."""
    return 1.0 / (1.0 + np.exp(-np.clip(raw, -500.0, 500.0))) if binary else raw


@dataclass
class OutcomeModels:
    """Models of the outcome under every offer, fitted on some rows.

    `happened` and `amount` are the coefficients of the two-part model: whether the outcome is
    positive, and the logarithm of it where it is; `smear` turns the latter into a mean.
    """

    additive: np.ndarray
    level: lgb.Booster | None = None
    happened: np.ndarray | None = None
    amount: np.ndarray | None = None
    smear: float = 1.0
    s: lgb.Booster | None = None
    t: Sequence[lgb.Booster] = ()

    def means(self, experiment: Experiment, learner: str, rows: np.ndarray) -> np.ndarray:
        """E[outcome | row, offer], (rows, offers)."""
        design, unit, binary = experiment.design[rows], experiment.unit, experiment.binary
        if learner == "two_part" and self.happened is not None and self.amount is not None:
            happened = link(design @ self.happened.T, binary=True)
            return happened * self.smear * np.exp(design @ self.amount.T)
        raw = design @ self.additive.T
        if learner == "additive" and self.level is not None:
            raw = raw + experiment.bins.raw(self.level, rows)[:, None] * unit
        if learner == "s" and self.s is not None:
            added = [experiment.bins_sent.raw(self.s, rows, sent) for sent in experiment.sent]
            raw = raw + np.column_stack(added) * unit
        if learner == "t":
            added = [experiment.bins.raw(booster, rows) for booster in self.t]
            raw = raw + np.column_stack(added) * unit
        return link(raw, binary=binary)

    def expressions(
        self, experiment: Experiment, learner: str, boosters: dict[str, str]
    ) -> list[Expression]:
        """E[outcome | row, offer] of every offer as expressions; booster texts are added."""
        unit, basis = experiment.unit, experiment.basis
        if learner == "two_part" and self.happened is not None and self.amount is not None:
            return [
                ["product", ["sigmoid", one], ["exp", two], ["const", self.smear]]
                for one, two in zip(
                    offer_expressions(basis, self.happened),
                    offer_expressions(basis, self.amount),
                    strict=True,
                )
            ]
        found: list[Expression] = []
        for place, raw in enumerate(offer_expressions(basis, self.additive)):
            if learner == "additive" and self.level is not None:
                boosters["level.txt"] = booster_text(self.level)
                raw = ["sum", [1.0, raw], [unit, ["booster", "level.txt", []]]]
            if learner == "s" and self.s is not None:
                boosters["s.txt"] = booster_text(self.s)
                added: Expression = ["booster", "s.txt", experiment.sent[place].tolist()]
                raw = ["sum", [1.0, raw], [unit, added]]
            if learner == "t":
                boosters[f"t{place}.txt"] = booster_text(self.t[place])
                raw = ["sum", [1.0, raw], [unit, ["booster", f"t{place}.txt", []]]]
            found.append(["sigmoid", raw] if experiment.binary else raw)
        return found


def outcome_learners(experiment: Experiment) -> tuple[str, ...]:
    """The outcome learners that suit the outcome: two parts only for amounts that are often 0."""
    outcome = experiment.outcome
    amounts = not experiment.binary and outcome.min() >= 0
    several = min(np.bincount(experiment.arm[outcome > 0], minlength=experiment.offers)) >= 20
    if amounts and several and np.mean(outcome == 0) > 0.3:
        return OUTCOME_LEARNERS
    return tuple(name for name in OUTCOME_LEARNERS if name != "two_part")


def fit_outcome_models(
    experiment: Experiment, rows: np.ndarray, *, learners: Sequence[str], s_trees: int
) -> OutcomeModels:
    """Outcome models on those rows (ascending positions)."""
    outcome, arm, design = experiment.outcome[rows], experiment.arm[rows], experiment.design[rows]
    coding = offer_coding(experiment.offers)
    additive = fit_additive(
        design, outcome, arm, coding, family="binary" if experiment.binary else "amount"
    )
    models = OutcomeModels(additive)
    if "two_part" in learners:
        positive = outcome > 0
        models.happened = fit_additive(design, positive.astype(float), arm, coding, family="binary")
        amount, logs = design[positive], np.log(outcome[positive])
        models.amount = fit_additive(amount, logs, arm[positive], coding, family="amount")
        predicted = (amount * models.amount[arm[positive]]).sum(axis=1)
        models.smear = float(outcome[positive].sum() / np.exp(predicted).sum())
    offset = (design * additive[arm]).sum(axis=1) / experiment.unit
    target = outcome / experiment.unit
    shape = experiment.shaped(replace(_S_SHAPE, trees=s_trees))
    if "additive" in learners and s_trees and experiment.binary:
        models.level = experiment.bins.grow(rows, target, shape, offset=offset)
    if "s" in learners and s_trees:
        models.s = experiment.bins_sent.grow(rows, target, shape, offset=offset)
    if "t" in learners:
        models.t = [
            experiment.bins.grow(
                rows[arm == code],
                target[arm == code],
                experiment.shaped(_T_SHAPE),
                offset=offset[arm == code],
            )
            for code in range(experiment.offers)
        ]
    return models


def choose_s_trees(experiment: Experiment, rows: np.ndarray, held_out: np.ndarray) -> int:
    """Rounds of the S-learner at the checkpoint with the least loss on the held-out rows."""
    checkpoints = [0, *_S_CHECKPOINTS]
    models = fit_outcome_models(experiment, rows, learners=("s",), s_trees=checkpoints[-1])
    mine = models.additive[experiment.arm[held_out]]
    offset = (experiment.design[held_out] * mine).sum(axis=1)
    losses = []
    for trees in checkpoints:
        grown = models.s if trees else None
        raw = 0.0 if grown is None else experiment.bins_sent.raw(grown, held_out, trees=trees)
        mean = link(offset + raw * experiment.unit, binary=experiment.binary)
        losses.append(float(np.mean((experiment.outcome[held_out] - mean) ** 2)))
    return checkpoints[int(np.argmin(losses))]


@dataclass
class EffectModels:
    """X and DR learners of the effect of every offer, fitted on some rows."""

    x: Sequence[lgb.Booster] = ()
    dr: Sequence[lgb.Booster] = ()

    def effects(
        self, experiment: Experiment, learner: str, rows: np.ndarray, *, trees: int | None = None
    ) -> np.ndarray:
        """Effect of each offer against the control, (rows, offers - 1); of the first trees."""
        boosters = self.x if learner == "x" else self.dr
        found = [experiment.bins.raw(one, rows, trees=trees) for one in boosters]
        parts = np.column_stack(found) * experiment.unit
        if experiment.offers == 2 or learner == "x":
            return parts
        return parts[:, :1] + parts[:, 1:]

    def expressions(
        self, experiment: Experiment, learner: str, boosters: dict[str, str]
    ) -> list[Expression]:
        """The same as expressions; booster texts are added to `boosters`."""
        parts: list[Expression] = []
        for place, booster in enumerate(self.x if learner == "x" else self.dr):
            boosters[f"{learner}{place}.txt"] = booster_text(booster)
            parts.append(["booster", f"{learner}{place}.txt", []])
        if experiment.offers == 2 or learner == "x":
            return [["sum", [experiment.unit, part]] for part in parts]
        return [["sum", [experiment.unit, parts[0]], [experiment.unit, one]] for one in parts[1:]]


def fit_effect_models(
    experiment: Experiment,
    rows: np.ndarray,
    *,
    learners: Sequence[str],
    means: np.ndarray,
    scores: np.ndarray,
    trees: int,
) -> EffectModels:
    """X and DR learners on those rows, of so many trees.

    `means` and `scores` are outcome means and AIPW scores (all rows, offers).
    """
    shape = replace(_EFFECT_SHAPE, trees=trees)
    contrast = scores[:, 1:] - scores[:, :1]
    models = EffectModels()
    if "dr" in learners:
        models.dr = [
            experiment.bins.grow(rows, target[rows] / experiment.unit, shape)
            for target in _parts(contrast)
        ]
    if "x" in learners:
        models.x = _fit_x(experiment, rows, means, shape)
    return models


def _parts(effects: np.ndarray) -> list[np.ndarray]:
    shared, own = split_effects(effects)
    return [shared, *(own.T if effects.shape[1] > 1 else [])]


def _fit_x(
    experiment: Experiment, rows: np.ndarray, means: np.ndarray, shape: Shape
) -> list[lgb.Booster]:
    """Imputed effects of each offer on its own rows and those of the control.

    Each side is weighted by the frequency of the other one, as the two effects of an X-learner
    are.
    """
    arm, outcome = experiment.arm, experiment.outcome
    boosters = []
    for code in range(1, experiment.offers):
        pair = rows[(arm[rows] == 0) | (arm[rows] == code)]
        offered = arm[pair] == code
        imputed = np.where(
            offered, outcome[pair] - means[pair, 0], means[pair, code] - outcome[pair]
        )
        odds = float(offered.mean() / (1.0 - offered.mean()))
        weight = np.where(offered, 1.0 / odds, odds)
        boosters.append(
            experiment.bins.grow(
                pair, imputed / experiment.unit, shape, weight=weight / weight.mean()
            )
        )
    return boosters


def split_effects(effects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects (rows, offers) as what the offers share (rows,) and each one's own (rows, offers)."""
    shared = effects.mean(axis=1)
    return shared, effects - shared[:, None]

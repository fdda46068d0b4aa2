"""The learners of the uplift ensemble: effect of each offer, fitted on some rows.

All of them start from one encoding, one additive basis and one binning of the rows:

* `additive`: an S- and T-learner in one, a logistic or linear additive model whose effects are
  shrunk towards what the offers share (see `regression.additive`)
* `two_part`: for amounts that are often zero, whether there is one times how much it is
* `s_small`, `s`: few and many rounds of one booster on top of the additive model (of whether there
  is an amount, for those in two parts), with the offer one-hot beside the columns
* `steps`, `x`: few stumps, and many small trees, of the imputed effects of the offered and of the
  control rows (Kunzel et al. 2019); where one column decides, the stumps find it in fewer rows

Offers that are doses of one thing enter all but these two as such (see `doses`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import lightgbm as lgb
import numpy as np

from ..formula.formula import Column, Expression
from ..regression.additive import (
    Basis,
    Family,
    basis_matrix,
    fit_additive,
    learn_basis,
    offer_coding,
    offer_expressions,
)
from ..regression.amounts import Amounts, fit_amounts
from ..regression.boosting import BinnedRows, Shape, booster_text
from ..regression.level_means import level_means
from .doses import DoseFamily, sent_columns, step_coding

LEARNERS = ("additive", "two_part", "s_small", "s", "steps", "x")
S_ROUNDS = {"s_small": 40, "s": 160}
_S_SHAPE = Shape(trees=S_ROUNDS["s"], leaves=15, rate=0.12, leaf_share=0.002)
_ZEROS = 0.1  # share of zeros from which on an amount is modelled in two parts
X_SHAPES = {
    "steps": Shape(trees=8, leaves=2, rate=0.3, leaf_share=0.05),
    "x": Shape(trees=60, leaves=4, leaf_share=0.02),
}


@dataclass
class Experiment:
    """Rows of an experiment, ready for every learner.

    Attributes
    ----------
    columns, matrix
        Encoded columns, (rows, columns).
    outcome, arm, propensity
        (rows,) outcomes, codes of the offers with the control at 0, probability of the offer sent.
    offers
        Number of offers with the control.
    weight
        (rows,) how many independent rows each row stands for.
    groups
        (rows,) codes of the groups that share their fate; None: every row by itself.
    seed
        Seed of the boosters.
    families
        Offers that are doses of one thing.
    basis, design
        Additive basis of the columns, and its values (rows, 1 + basis).
    bins, bins_sent
        The rows binned, and binned with `sent`, what tells each offer (offers, ...), beside them.
    binary, two_part
        Whether the outcome is 0 or 1, and whether it is an amount that is often zero.
    unit
        What an amount is boosted in units of, so that ridges mean the same everywhere.
    """

    columns: tuple[Column, ...]
    matrix: np.ndarray
    outcome: np.ndarray
    arm: np.ndarray
    propensity: np.ndarray
    offers: int
    weight: np.ndarray
    groups: np.ndarray | None
    seed: int
    families: tuple[DoseFamily, ...] = ()
    basis: tuple[Basis, ...] = field(init=False)
    design: np.ndarray = field(init=False)
    bins: BinnedRows = field(init=False)
    sent: np.ndarray = field(init=False)
    bins_sent: BinnedRows = field(init=False)
    binary: bool = field(init=False)
    two_part: bool = field(init=False)
    unit: float = field(init=False)

    def __post_init__(self) -> None:
        self.basis = learn_basis(self.columns, self.matrix)
        self.design = basis_matrix(self.basis, self.matrix)
        self.bins = BinnedRows(self.matrix, self.columns, seed=self.seed)
        self.sent = sent_columns(self.offers, self.families)
        self.bins_sent = BinnedRows(
            np.hstack([self.matrix, self.sent[self.arm]]), self.columns, seed=self.seed
        )
        self.binary = bool(np.isin(self.outcome, (0.0, 1.0)).all())
        self.two_part = not self.binary and self._is_often_zero()
        self.unit = 1.0 if self.binary else max(float(self.outcome.std()), 1e-12)

    def _is_often_zero(self) -> bool:
        positive = np.bincount(self.arm[self.outcome > 0], minlength=self.offers)
        several = positive.min() >= 20 and float(np.mean(self.outcome == 0)) > _ZEROS
        return bool(several and self.outcome.min() >= 0)

    @property
    def units(self) -> int:
        """Rows, or groups that share their fate: what errors count."""
        return len(self.outcome) if self.groups is None else len(np.unique(self.groups))

    @property
    def base(self) -> str:
        """The default learner, used until out-of-fold rows favour another."""
        return "two_part" if self.two_part else "additive"

    @property
    def learners(self) -> tuple[str, ...]:
        """Names of the learners that suit the outcome."""
        return tuple(name for name in LEARNERS if self.two_part or name != "two_part")


def link(raw: np.ndarray, *, chance: bool) -> np.ndarray:
    """Outcome means from the link scale: log odds of a chance, amounts as they are."""
    return 1.0 / (1.0 + np.exp(-np.clip(raw, -500.0, 500.0))) if chance else raw


@dataclass(frozen=True)
class TwoParts:
    """An amount that is often zero.

    Attributes
    ----------
    happened
        Coefficients (offers, basis) of the log odds that it is positive.
    amounts
        How much it is then.
    """

    happened: np.ndarray
    amounts: Amounts


@dataclass
class Models:
    """Learners fitted on some rows.

    `basis` are all basis functions, `levels` those of them that were learned from outcomes.
    `additive` holds coefficients (offers, basis) of the outcome, `parts` those of an amount that is
    often zero, `x` the boosters of imputed effects by learner, one for each offer.
    """

    basis: tuple[Basis, ...]
    levels: tuple[Basis, ...]
    additive: np.ndarray
    parts: TwoParts | None = None
    s: lgb.Booster | None = None
    x: dict[str, list[lgb.Booster]] = field(default_factory=dict)

    def means(
        self,
        experiment: Experiment,
        learners: Sequence[str],
        rows: np.ndarray,
        *,
        offers: Sequence[int] | None = None,
    ) -> dict[str, np.ndarray]:
        """E[outcome | row, offer] by outcome learners, (rows, offers) each; of some offers only."""
        codes = list(range(experiment.offers)) if offers is None else list(offers)
        design = self._design(experiment, rows)
        found = {}
        if "additive" in learners or self.parts is None:
            additive = design @ self.additive[codes].T
            found["additive"] = link(additive, chance=experiment.binary)
        raw, unit, amounts = None, 1.0, None
        if self.parts is not None:
            raw = design @ self.parts.happened[codes].T
            amounts = self.parts.amounts.means(design)[:, codes]
            found["two_part"] = link(raw, chance=True) * amounts
        else:
            raw, unit = additive, experiment.unit
        grown = 0
        for learner, rounds in S_ROUNDS.items():  # the larger goes on where the smaller ends
            if learner in learners and self.s is not None:
                added = [
                    experiment.bins_sent.raw(
                        self.s, rows, experiment.sent[code], first=grown, trees=rounds - grown
                    )
                    for code in codes
                ]
                raw, grown = raw + unit * np.column_stack(added), rounds
                mean = link(raw, chance=experiment.binary or self.parts is not None)
                found[learner] = mean if amounts is None else mean * amounts
        return {name: found[name] for name in learners}

    def effects(
        self, experiment: Experiment, learners: Sequence[str], rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Effect of each offer against the control by learners, (rows, offers - 1) each."""
        names = [name for name in learners if name not in X_SHAPES]
        means = self.means(experiment, names, rows) if names else {}
        found = {name: mean[:, 1:] - mean[:, :1] for name, mean in means.items()}
        for name in X_SHAPES:
            if name in learners:
                raw = [experiment.bins.raw(booster, rows) for booster in self.x[name]]
                found[name] = np.column_stack(raw) * experiment.unit
        return found

    def tempered(self, experiment: Experiment, rows: np.ndarray) -> np.ndarray:
        """Outcomes (rows,) with the amount replaced by its expectation.

        The amount of a single order says little about an effect, and with a long tail its noise
        hides the effect on whether there was an order.
        """
        outcome = experiment.outcome[rows]
        if self.parts is None:
            return outcome
        amounts = self.parts.amounts.means(self._design(experiment, rows))
        return np.where(outcome > 0, amounts[np.arange(len(rows)), experiment.arm[rows]], 0.0)

    def expressions(
        self, experiment: Experiment, learner: str, boosters: dict[str, str]
    ) -> list[Expression]:
        """Means of every offer, or effects, as expressions; the texts of boosters are added."""
        if learner in X_SHAPES:
            texts = [booster_text(booster) for booster in self.x[learner]]
            files = {f"{learner}{position}.txt": text for position, text in enumerate(texts)}
            boosters |= files
            return [["sum", [experiment.unit, ["booster", file, []]]] for file in files]
        parts = self.parts if learner != "additive" else None
        coefficients = parts.happened if parts else self.additive
        unit = 1.0 if parts else experiment.unit
        expressions: list[Expression] = []
        amounts = parts.amounts.expressions(self.basis) if parts else []
        for code, raw in enumerate(offer_expressions(self.basis, coefficients)):
            if learner in S_ROUNDS and self.s is not None:
                file = f"{learner}.txt"
                boosters[file] = booster_text(self.s, rounds=S_ROUNDS[learner])
                added: Expression = ["booster", file, experiment.sent[code].tolist()]
                raw = ["sum", [1.0, raw], [unit, added]]
            mean: Expression = ["sigmoid", raw] if parts or experiment.binary else raw
            if parts:
                mean = ["product", mean, amounts[code]]
            expressions.append(mean)
        return expressions

    def _design(self, experiment: Experiment, rows: np.ndarray) -> np.ndarray:
        if not self.levels:
            return experiment.design[rows]
        added = basis_matrix(self.levels, experiment.matrix[rows])[:, 1:]
        return np.hstack([experiment.design[rows], added])


def fit_models(experiment: Experiment, rows: np.ndarray, *, learners: Sequence[str]) -> Models:
    """The named learners, and those that they build on, on those rows (ascending positions)."""
    outcome, arm, weight = experiment.outcome[rows], experiment.arm[rows], experiment.weight[rows]
    happened = (outcome > 0).astype(float) if experiment.two_part else outcome
    levels, added = level_means(experiment.columns, experiment.matrix[rows], happened)
    design = np.hstack([experiment.design[rows], added]) if levels else experiment.design[rows]
    coding = step_coding(offer_coding(experiment.offers), experiment.families)
    family: Family = "binary" if experiment.binary else "amount"
    models = Models(
        basis=(*experiment.basis, *levels),
        levels=levels,
        additive=fit_additive(design, outcome, arm, coding, family=family, weight=weight),
    )
    if experiment.two_part:
        positive = outcome > 0
        models.parts = TwoParts(
            fit_additive(design, happened, arm, coding, family="binary", weight=weight),
            fit_amounts(
                design[positive], outcome[positive], arm[positive], coding, weight=weight[positive]
            ),
        )
    if {"s_small", "s", "x"} & set(learners):
        linear = models.additive if models.parts is None else models.parts.happened
        unit = experiment.unit if models.parts is None else 1.0
        shape = replace(
            _S_SHAPE,
            trees=S_ROUNDS["s" if "s" in learners else "s_small"],
            objective="binary" if experiment.binary or experiment.two_part else "regression",
        )
        offset = (design * linear[arm]).sum(axis=1) / unit
        models.s = experiment.bins_sent.grow(
            rows, happened / unit, shape, offset=offset, weight=weight
        )
    for name in X_SHAPES:
        if name in learners:
            models.x[name] = _fit_x(experiment, rows, models, name)
    return models


def _fit_x(
    experiment: Experiment, rows: np.ndarray, models: Models, learner: str
) -> list[lgb.Booster]:
    """Imputed effects of each offer on its own rows and those of the control.

    Each side is weighted by the frequency of the other one, as the two effects of an X-learner
    are. The means are those of few rounds or none, which hardly follow the noise of these rows.
    """
    imputed_by = "s_small" if learner == "x" else experiment.base
    arm = experiment.arm[rows]
    control, others = np.flatnonzero(arm == 0), np.flatnonzero(arm > 0)
    codes = range(1, experiment.offers)
    outcome = models.tempered(experiment, rows)
    gained = np.empty((len(rows), len(codes)))  # by each offer; of an offered row, by its own
    with_each = models.means(experiment, [imputed_by], rows[control], offers=codes)[imputed_by]
    without = models.means(experiment, [imputed_by], rows[others], offers=[0])[imputed_by]
    gained[control] = with_each - outcome[control, None]
    gained[others] = outcome[others, None] - without
    boosters = []
    for code in codes:
        pair = np.flatnonzero((arm == 0) | (arm == code))
        offered = arm[pair] == code
        imputed = gained[pair, code - 1]
        odds = float(offered.mean() / (1.0 - offered.mean()))
        weight = np.where(offered, 1.0 / odds, odds) * experiment.weight[rows[pair]]
        boosters.append(
            experiment.bins.grow(
                rows[pair],
                imputed / experiment.unit,
                X_SHAPES[learner],
                weight=weight / weight.mean(),
            )
        )
    return boosters


def split_effects(effects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects (rows, offers) as what the offers share (rows,) and each one's own (rows, offers)."""
    shared = effects.mean(axis=1)
    return shared, effects - shared[:, None]

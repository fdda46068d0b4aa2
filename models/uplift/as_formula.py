"""Writes the learners of an uplift ensemble down as one formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..formula.formula import Expression, Formula
from ..formula.sharing import share_parts
from .best_offer_ahead import Lead
from .learners import EffectModels, Experiment, OutcomeModels
from .stacking import Stack


class UpliftFormula:
    """Collects learners as named expressions and combines them into one formula."""

    def __init__(self, experiment: Experiment, arms: Sequence[str]) -> None:
        self.experiment = experiment
        self.arms = arms
        self.rows = np.arange(len(experiment.outcome))
        self.boosters: dict[str, str] = {}
        self.expressions: dict[str, Expression] = {}
        self.centres: dict[str, np.ndarray] = {}

    def add_outcome_learner(self, name: str, models: OutcomeModels) -> None:
        """Write the means as `<learner>_<offer>` and the effects as `effect_<learner>_<offer>`."""
        parts = models.expressions(self.experiment, name, self.boosters)
        for arm, part in zip(self.arms, parts, strict=True):
            self.expressions[f"{name}_{arm}"] = part
        for arm in self.arms[1:]:
            plus, minus = ["ref", f"{name}_{arm}"], ["ref", f"{name}_{self.arms[0]}"]
            self.expressions[f"effect_{name}_{arm}"] = ["sum", [1.0, plus], [-1.0, minus]]
        means = models.means(self.experiment, name, self.rows)
        self.centres[name] = (means[:, 1:] - means[:, :1]).mean(axis=0)

    def add_effect_learner(self, name: str, models: EffectModels) -> None:
        """Write the effects as `effect_<learner>_<offer>`."""
        parts = models.expressions(self.experiment, name, self.boosters)
        for arm, part in zip(self.arms[1:], parts, strict=True):
            self.expressions[f"effect_{name}_{arm}"] = part
        self.centres[name] = models.effects(self.experiment, name, self.rows).mean(axis=0)

    def finish(
        self,
        stack: Stack,
        averages: np.ndarray,
        base: dict[str, float],
        *,
        single: int,
        leads: Mapping[int, Lead],
    ) -> Formula:
        """The formula with outputs `uplift_<offer>` and `mean_<offer>`.

        `leads` keep the offer of code `single` ahead (see `leads`); empty: effects as they are.
        """
        offers = self.arms[1:]
        for place, offer in enumerate(offers):
            constant = float(averages[place])
            terms: list[Any] = []
            for name in stack.used():
                weights = stack.learner_weights(name)[place]
                constant -= float(weights @ self.centres[name])
                for weight, other in zip(weights.tolist(), offers, strict=True):
                    if weight:
                        terms.append([weight, ["ref", f"effect_{name}_{other}"]])
            self.expressions[f"raw_{offer}"] = ["sum", [1.0, ["const", constant]], *terms]
        self._keep_ahead(single, leads)
        control = self.arms[0]
        mean: Expression = [
            "sum",
            *([weight, ["ref", f"{name}_{control}"]] for name, weight in base.items() if weight),
        ]
        self.expressions[f"mean_{control}"] = mean
        for offer in offers:
            plain: Expression = [
                "sum",
                [1.0, ["ref", f"mean_{control}"]],
                [1.0, ["ref", f"uplift_{offer}"]],
            ]
            binary = self.experiment.binary
            self.expressions[f"mean_{offer}"] = ["clip", 0.0, 1.0, plain] if binary else plain
        outputs = [f"uplift_{offer}" for offer in offers] + [f"mean_{arm}" for arm in self.arms]
        return share_parts(
            Formula(
                columns=self.experiment.columns,
                expressions=self.expressions,
                outputs=tuple(outputs),
                boosters=self.boosters,
            )
        )

    def _keep_ahead(self, single: int, leads: Mapping[int, Lead]) -> None:
        """Name the effects `uplift_<offer>`, with the leads of one offer mapped."""
        raw: list[Expression] = [["const", 0.0], *(["ref", f"raw_{arm}"] for arm in self.arms[1:])]
        if not leads:
            for arm, effect in zip(self.arms[1:], raw[1:], strict=True):
                self.expressions[f"uplift_{arm}"] = ["sum", [1.0, effect]]
            return
        mapped: dict[int, Expression] = {
            code: [
                "interp",
                list(lead.xs),
                list(lead.ys),
                ["sum", [1.0, raw[single]], [-1.0, raw[code]]],
            ]
            for code, lead in leads.items()
        }
        best: Expression = ["ref", f"uplift_{self.arms[single]}"] if single else raw[0]
        for code, arm in enumerate(self.arms[1:], start=1):
            own = mapped[0] if code == single else ["sum", [1.0, best], [-1.0, mapped[code]]]
            self.expressions[f"uplift_{arm}"] = own

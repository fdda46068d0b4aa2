"""An experiment of a source file in the words of `models.evaluation.graded`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from ...models.evaluation.graded import Graded, grade_rows
from .experiments import Experiment
from .sources import Source


def objectives(experiment: Experiment, outputs: Collection[str]) -> tuple[str, ...]:
    """What a policy can be graded by here: money needs a value, a return on money needs costs."""
    if f"expected_profit_{experiment.control}" not in outputs:
        return ("returns",)
    spends = all(
        offer.cost_on_acceptance + offer.contact_cost > 0 for offer in experiment.offers.values()
    )
    return ("profit", "returns", "roi") if spends else ("profit", "returns")


def graded(
    rows: pd.DataFrame, predictions: pd.DataFrame, experiment: Experiment, objective: str
) -> Graded:
    """Rows of the experiment, with predictions that did not learn from them, ready to grade by."""
    return grade_rows(
        rows,
        predictions,
        offers=experiment.offers,
        control=experiment.control,
        objective=objective,
        rule=experiment.tailored,
        rule_cost=experiment.tailoring_cost,
    )


def chosen_objective(source: Source, requested: str | None, evidence: Mapping[str, Any]) -> str:
    """What the campaign shall maximize: what params.yaml asks for, else the source, else profit.

    `evidence` is what the experiment says of its offers; empty without one.

    Raises
    ------
    ValueError
        If this source's experiment does not support it.
    """
    if not evidence:
        return requested or "profit"
    named = source.experiment.objective if source.experiment else None
    objective = requested or named or str(evidence["objective"])
    if objective not in evidence["by_objective"]:
        raise ValueError(
            f"recommend: objective '{objective}' needs more than {source.path} has; its experiment "
            f"supports {', '.join(evidence['by_objective'])}. Profit needs what a return is worth "
            "(orders, or offers.value), roi costs as well"
        )
    return objective

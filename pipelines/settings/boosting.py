"""The boosting of the churn model, from its section of params.yaml."""

from __future__ import annotations

from ...models.regression.blend import Boosting
from .params import TrainChurn


def boosting(params: TrainChurn) -> Boosting:
    """The settings of the boosting."""
    return Boosting(
        learning_rate=params.learning_rate,
        num_leaves=params.num_leaves,
        rounds=params.rounds,
        least_rows_in_leaf=params.least_rows_in_leaf,
    )

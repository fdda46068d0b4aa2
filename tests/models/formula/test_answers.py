"""Which model answers for whom: the active, the others, or all where nobody says who is active."""

import numpy as np
import pandas as pd
import pytest

from winback.models.formula.answers import Answers, forecasts
from winback.models.formula.formula import Formula

MODELS = Answers(
    churn=Formula((), {"churn_probability": ["const", 0.2]}, ("churn_probability",)),
    winback=Formula((), {"value": ["const", 9.0]}, ("value",)),
)


@pytest.mark.parametrize("dtype", ["object", "str", "string", "category"])
def test_whoever_is_not_known_to_be_active_is_answered_for_as_lost(dtype):
    frame = pd.DataFrame({"population": pd.Series(["active", "lost", None], dtype=dtype)})
    found = forecasts(MODELS, frame)
    np.testing.assert_array_equal(found["churn_probability"], [0.2, np.nan, np.nan])
    np.testing.assert_array_equal(found["value"], [np.nan, 9.0, 9.0])


def test_without_a_population_every_model_answers_for_all():
    found = forecasts(MODELS, pd.DataFrame({"x": [1.0, 2.0]}))
    assert found.to_numpy().tolist() == [[0.2, 9.0]] * 2

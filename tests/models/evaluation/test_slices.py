"""Slices: texts as they are, numbers in quarters of the training rows."""

import numpy as np
import pandas as pd

from winback.models.evaluation.slices import levels, slice_levels


def test_numbers_are_sliced_in_quarters_of_the_training_rows():
    reference = pd.Series(np.arange(101.0))
    found = levels(reference, pd.Series([0.0, 25.0, 26.0, 500.0, np.nan]))
    assert list(found) == ["up to 25", "up to 25", "25 to 50", "above 75", None]
    assert list(levels(pd.Series([0, 1, 1]), pd.Series([1, 0]))) == [1, 0]


def test_the_usual_columns_are_sliced_as_far_as_they_are_there():
    rows = pd.DataFrame({"departure_reason": ["price", None], "spend": [1.0, 2.0]})
    assert list(slice_levels(rows, rows)) == ["departure_reason"]
    assert list(slice_levels(rows, rows, ["spend"])) == ["spend"]

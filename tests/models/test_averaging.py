import numpy as np
import pytest

from winback.models.averaging import likelihood_mean


def test_a_model_twice_as_likely_counts_twice_whatever_the_constant_in_the_logs():
    found = [np.array([0.0, 3.0]), np.array([3.0, 0.0])]
    for constant in (0.0, -2_000.0, 2_000.0):
        mean = likelihood_mean(found, [constant, constant + np.log(2.0)])
        assert mean == pytest.approx([2.0, 1.0])

"""Figures in words."""

import pytest

from winback.pipelines.reporting.words import more_or_less


@pytest.mark.parametrize(
    ("gain", "told"),
    [((5.2, -1.0, 11.0), (5.2, -1.0, 11.0, "more")), ((-5.2, -9.0, -1.0), (5.2, 1.0, 9.0, "less"))],
)
def test_a_loss_is_so_much_less_with_its_interval_turned_round(gain, told):
    assert more_or_less(*gain) == told

"""Figures in words."""

import pytest

from winback.pipelines.reporting.words import customers, more_or_less


@pytest.mark.parametrize(
    ("gain", "told"),
    [((5.2, -1.0, 11.0), (5.2, -1.0, 11.0, "more")), ((-5.2, -9.0, -1.0), (5.2, 1.0, 9.0, "less"))],
)
def test_a_loss_is_so_much_less_with_its_interval_turned_round(gain, told):
    assert more_or_less(*gain) == told


def test_one_customer_is_no_customers():
    assert [customers(count) for count in (0, 1, 2)] == ["customers", "customer", "customers"]

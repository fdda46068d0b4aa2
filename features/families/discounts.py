"""Discounts: the share of orders and of money that a customer buys at a discount."""

from __future__ import annotations

import narwhals as nw

from ..expressions import ratio
from ..windows import within
from .family import Family, Feature, Inputs, count_if, currency, sum_if


def discounts(inputs: Inputs) -> Family:
    """Share of orders at a discount, and money taken off by discounts (`orders.discount`)."""
    if not inputs.has("orders", "discount"):
        return Family("discounts", ())
    days = inputs.trend_days
    is_discounted = nw.col("discount") > 0
    recent, total = f"discounted_orders_{days}d", "discounted_orders_total"
    given = nw.col("discount_total")
    return Family(
        "discounts",
        (
            Feature(
                f"discounted_share_{days}d", "share",
                f"share of the orders of the last {days} days bought at a discount",
                ratio(nw.col(recent), nw.col(f"orders_{days}d")),
            ),
            Feature(
                "discounted_share_total", "share", "share of all orders bought at a discount",
                ratio(nw.col(total), nw.col("orders_total")),
            ),
            Feature("discount_total", "currency", "discounts given so far", currency(given)),
            Feature(
                "discount_depth_total", "share",
                "discounts given over what the orders would have cost without them",
                ratio(given, given + nw.col("spend_total")),
            ),
        ),
        {
            "orders": (
                count_if(recent, is_discounted & within(days)),
                count_if(total, is_discounted),
                sum_if("discount_total", "discount"),
            )
        },
    )  # fmt: skip

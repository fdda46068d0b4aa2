"""Money: what a customer spends, its trend, and the margin earned."""

from __future__ import annotations

import narwhals as nw

from ..expressions import ratio
from ..windows import between, within
from .family import Family, Feature, Inputs, currency, sum_if, trend


def money(inputs: Inputs) -> Family:
    """Spend per window and in total, the mean order, its trend, and margin where it is known."""
    if not inputs.has("orders"):
        return Family("money", ())
    days = inputs.trend_days
    sums = [sum_if(f"spend_{d}d", "amount", within(d)) for d in inputs.windows_days]
    sums += [
        sum_if("spend_total", "amount"),
        sum_if(f"spend_before_{days}d", "amount", between(days, 2 * days)),
    ]
    features = [
        Feature(f"spend_{d}d", "currency", f"spent in the last {d} days",
                currency(nw.col(f"spend_{d}d")))
        for d in inputs.windows_days
    ]  # fmt: skip
    features += [
        Feature("spend_total", "currency", "spent so far", currency(nw.col("spend_total"))),
        Feature(
            "mean_order_amount", "currency", "mean amount of an order so far",
            ratio(currency(nw.col("spend_total")), nw.col("orders_total")),
        ),
        Feature(
            f"spend_trend_{days}d", "ratio",
            f"change of spend between the last {days} days and the {days} before, over their sum",
            trend(nw.col(f"spend_{days}d"), nw.col(f"spend_before_{days}d")),
        ),
    ]  # fmt: skip
    if inputs.has("orders", "margin"):
        longest = max(inputs.windows_days)
        for name, condition, when in (
            (f"margin_{longest}d", within(longest), f"in the last {longest} days"),
            ("margin_total", None, "so far"),
        ):
            sums.append(sum_if(name, "margin", condition))
            features.append(
                Feature(name, "currency", f"margin earned {when}", currency(nw.col(name)))
            )
    return Family("money", tuple(features), {"orders": tuple(sums)})

"""Additive and boosted regressions that the churn, return and uplift models share."""

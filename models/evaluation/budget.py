"""Gain over sending nothing against money spent or customers asked, on held-out customers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..offers import Offer, expected_costs
from .graded import Graded
from .qini import average_qini, multi_armed_qini
from .qini_bootstrap import bootstrap

PERSONAL, UNIFORM = "personal offers", "the same for everybody"


def budget_curve(
    judged: Graded,
    *,
    offers: Mapping[str, Offer],
    points: int = 41,
    replicates: int = 200,
    level: float = 0.95,
    seed: int,
) -> pd.DataFrame:
    """Gain against spend per customer, for personal offers and for the same offer to everybody.

    Where some offer costs nothing, what is spent is contacts.

    Parameters
    ----------
    judged
        Held-out rows, see `policies.grade_rows`; the unit of the gain is that of its scores.
    offers
        Costs of each offer but the control, in the order of `judged.names`.
    points
        Budgets, from nothing to what the dearer of the two spends.

    Returns
    -------
    DataFrame
        The columns of `qini_bootstrap.QiniBootstrap.curve`, and policy.
    """
    chance = judged.response[:, 1:]
    spend = expected_costs(offers, chance)
    if not (spend > 0).all():
        spend = np.ones_like(chance)
    effects = judged.expected[:, 1:] - judged.expected[:, :1]
    scores = judged.scores[:, 1:] - judged.scores[:, :1]
    curves = {
        PERSONAL: multi_armed_qini(effects, spend, scores),
        UNIFORM: average_qini(effects, spend, scores),
    }
    most = max(float(curve.spend[-1]) for curve in curves.values())
    if most == 0:  # no offer is worth sending: whatever the budget, nothing is gained
        most = float(spend.min(axis=1).mean())
    budgets = np.linspace(0.0, most, points)
    rng = np.random.default_rng(seed)
    drawn = bootstrap(curves, budgets, rng=rng, replicates=replicates, groups=judged.groups)
    return pd.concat(
        [drawn.curve(name, level=level).assign(policy=name) for name in curves], ignore_index=True
    )


def qini_curves(
    judged: Graded, *, points: int = 21, replicates: int = 200, level: float = 0.95, seed: int
) -> pd.DataFrame:
    """Gain of each offer by the share of customers asked, the largest predicted effects first.

    Whoever the offer is expected to harm is never asked.

    Returns
    -------
    DataFrame
        share, gain, lo, hi, se, offer; the unit of the gain is that of the scores.
    """
    effects = judged.expected[:, 1:] - judged.expected[:, :1]
    scores = judged.scores[:, 1:] - judged.scores[:, :1]
    one = np.ones((len(effects), 1))
    curves = {
        name: multi_armed_qini(effects[:, [place]], one, scores[:, [place]])
        for place, name in enumerate(judged.names[1:])
    }
    shares = np.linspace(0.0, 1.0, points)
    rng = np.random.default_rng(seed)
    drawn = bootstrap(curves, shares, rng=rng, replicates=replicates, groups=judged.groups)
    return pd.concat(
        [
            drawn.curve(name, level=level).rename(columns={"budget": "share"}).assign(offer=name)
            for name in curves
        ],
        ignore_index=True,
    )

"""Decisions by hand: predictions of a few customers, and what is decided on them."""

import numpy as np
import pandas as pd

from winback.models.decision.draws import Draws
from winback.models.decision.eligibility import Rules
from winback.models.decision.learn import Limits, OfferEvidence, learn_decision
from winback.models.decision.reasons import sentences
from winback.models.decision.recommend import (
    recommend,
    weigh,
)
from winback.models.decision.strategy import lapse_discount
from winback.models.offers import Offer

OFFERS = {
    "discount": Offer(120.0, 1.0),
    "upgrade": Offer(105.0, 1.0),
}


def predicted(rows):
    """Each row: p_none, p_discount, p_upgrade, value; profit as the data contract says."""
    frame = pd.DataFrame(rows, columns=["p_none", "p_discount", "p_upgrade", "value"])
    out = pd.DataFrame({"customer_id": np.arange(len(frame)), "as_of": pd.Timestamp("2026-01-01")})
    costs = {"none": (0, 0), "discount": (120, 1), "upgrade": (105, 1)}
    for name, (paid, contact) in costs.items():
        chance = frame[f"p_{name}"]
        out[f"return_probability_{name}"] = chance
        if name != "none":
            out[f"uplift_{name}"] = chance - frame["p_none"]
        out[f"expected_profit_{name}"] = chance * (frame["value"] - paid) - contact
    return out


def facts_of(predictions, **columns):
    base = pd.DataFrame({"customer_id": predictions["customer_id"], "population": "lost"})
    return base.assign(**columns)


def learn(predictions, facts=None, *, part_rows=10_000, **changes):
    arguments = {
        "control": "none",
        "offers": OFFERS,
        "objective": "profit",
        "personalize": True,
        "best_single": "discount",
        "holdout_share": 0.0,
        "exploration_share": 0.0,
        "budget": None,
        "capacity": None,
        "seed": 0,
        **changes,
    }
    rows = facts_of(predictions) if facts is None else facts
    told = {name: arguments[name] for name in ("personalize", "best_single")}
    return learn_decision(
        [
            (rows.iloc[first : first + part_rows], predictions.iloc[first : first + part_rows])
            for first in range(0, len(rows), part_rows)
        ],
        experiment=OfferEvidence(
            arguments["control"],
            arguments["offers"],
            {arguments["objective"]: told} if arguments["offers"] else {},
            arguments.get("tested"),
        ),
        objective=arguments["objective"],
        rules=Rules(),
        limits=Limits(arguments["budget"], arguments["capacity"]),
        draws=Draws(
            arguments["holdout_share"], arguments["exploration_share"], str(arguments["seed"])
        ),
        new_days=90,
        high_risk=0.1,
        retention=arguments.get("retention"),
    )


def decide(predictions, facts=None, **changes):
    rows = facts_of(predictions) if facts is None else facts
    decision = learn(predictions, rows, **changes)
    table = pd.concat([predictions, recommend(decision, rows, predictions)], axis=1)
    risk = predictions.get("churn_probability", pd.Series(np.nan, index=table.index))
    lapsed = rows.get("days_since_last_order", np.full(len(rows), np.nan))
    percent = lapse_discount(lapsed, days=[90, 180, 360], percent=[10, 15, 20])
    weighed = weigh(decision, rows, predictions)
    return table.assign(
        reasons=sentences(
            decision,
            weighed,
            risk=risk.to_numpy(),
            percent=percent,
            strategy=table["strategy"].to_numpy(),
        )
    )


# discount is best for 0, upgrade for 1; 2 is hurt by both; 3 gains too little to pay
FOUR = predicted(
    [[0.1, 0.5, 0.2, 900], [0.1, 0.3, 0.4, 900], [0.3, 0.2, 0.1, 900], [0.1, 0.11, 0.1, 900]]
)


def many(rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.02, 0.3, rows)
    lift = rng.normal(0.15, 0.12, (rows, 2))
    chance = np.clip(base[:, None] + lift, 0.01, 0.99)
    return predicted(np.column_stack([base, chance, rng.gamma(3, 300, rows)]))

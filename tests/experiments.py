"""Simulated experiments of four or five arms, and their readout."""

import numpy as np
import pandas as pd

from winback.models.experiment.readout import readout

OFFERS = ["none", "bundle", "discount", "upgrade"]

REASONS = {
    "price": {"none": 0.2, "bundle": 0.2, "discount": 0.4, "upgrade": 0.2},
    "service": {"none": 0.2, "bundle": 0.2, "discount": 0.2, "upgrade": 0.4},
}


def experiment(n=4000, seed=0, effect=0.2):
    """Four equal arms; the discount works better for those who left for the price."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    offer = rng.choice(OFFERS, n)
    rate = np.clip(0.2 + 0.08 * x + effect * (offer != "none"), 0, 1)
    returned = (rng.random(n) < rate).astype(int)
    cost = {"none": 0.0, "bundle": 225.0, "discount": 120.0, "upgrade": 105.0}
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(n),
            "as_of": pd.Timestamp("2024-01-01"),
            "offer": offer,
            "propensity": 0.25,
            "returned": returned,
            "value": returned * rng.gamma(4, 200, n),
            "cost": returned * np.array([cost[name] for name in offer]),
        }
    )
    covariates = pd.DataFrame({"strength": x, "region": rng.choice(["n", "s"], n)})
    return frame, covariates


def policy_experiment(n=60_000, seed=1):
    """Five equal arms, the fifth tailored by the reason; the truth per offer is known."""
    rng = np.random.default_rng(seed)
    arm = rng.choice([*OFFERS, "tailored"], n)
    reason = rng.choice(["price", "service"], n, p=[0.6, 0.4])
    chosen = np.where(reason == "price", "discount", "upgrade")
    offer = np.where(arm == "tailored", chosen, arm)
    rates = {
        "price": {"none": 0.1, "bundle": 0.5, "discount": 0.5, "upgrade": 0.2},
        "service": {"none": 0.2, "bundle": 0.5, "discount": 0.2, "upgrade": 0.6},
    }
    rate = np.array([rates[r][o] for r, o in zip(reason, offer, strict=True)])
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(n),
            "offer": offer,
            "arm": arm,
            "propensity": [REASONS[r][o] for r, o in zip(reason, offer, strict=True)],
            "returned": (rng.random(n) < rate).astype(int),
        }
    )
    return frame, pd.DataFrame({"reason": reason})


def read(frame, **options):
    return readout(frame, control="none", rng=np.random.default_rng(0), **options)


def row(table, **where):
    for name, wanted in where.items():
        table = table[table[name] == wanted]
    assert len(table) == 1
    return table.iloc[0]

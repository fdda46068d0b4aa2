"""What chance decides in a campaign: who is held out, and who explores, by a keyed hash of the id.

A campaign that sends everybody the offer that looks best learns nothing about the others. A share
of the customers gets nothing, and of the rest a share gets an offer drawn from all; the logged
probabilities make what comes back comparable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

_HALF = 2.0**-64


@dataclass(frozen=True)
class Draws:
    """Shares that chance decides, and the key that draws.

    The same key draws the same on every machine and whatever the order of the rows; another key
    draws anew.

    Attributes
    ----------
    holdout_share
        Of the customers with a recommended offer: they get nothing.
    exploration_share
        Of the others: they get an offer drawn from all, each with the same chance.
    key
        Of the hash.
    offers
        Names of the offers that are explored. An offer with a limit is not.
    """

    holdout_share: float
    exploration_share: float
    key: str
    offers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("holdout_share", "exploration_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), found {getattr(self, name)}")

    @property
    def exploration(self) -> float:
        """Share that explores: none without an offer to explore."""
        return self.exploration_share if self.offers else 0.0


def draw(draws: Draws, customer_id: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Who is held out, and who explores which offer.

    Returns
    -------
    held_out
        (n,) object: True or False, None where the id is missing. Each customer has the same
        chance `holdout_share`, independent of everything else.
    explored
        (n,) index into `draws.offers`, -1 for customers who do not explore. Independent of the
        holdout: it holds for those who are not held out.
    """
    uniform = _uniform(draws, customer_id)
    has_id = ~np.isnan(uniform[:, 0])
    held_out = np.full(len(uniform), None, dtype=object)
    held_out[has_id] = uniform[has_id, 0] < draws.holdout_share
    explored = np.full(len(uniform), -1)
    exploring = uniform[:, 1] < draws.exploration if draws.offers else np.zeros(len(has_id), bool)
    position = uniform[exploring, 1] / draws.exploration * len(draws.offers)
    explored[exploring] = position.astype(np.int64)
    return held_out, explored


def offer_probabilities(draws: Draws, chosen: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(n, options) probability with which each option is sent; rows add to 1.

    Parameters
    ----------
    draws
        The shares.
    chosen
        (n,) column of the recommended option; 0, the control, is sent for certain.
    names
        The options, the control first.
    """
    sent = 1.0 - draws.holdout_share
    table = np.zeros((len(chosen), len(names)))
    table[:, 0] = draws.holdout_share
    for name in draws.offers:
        table[:, list(names).index(name)] += sent * draws.exploration / len(draws.offers)
    table[np.arange(len(chosen)), chosen] += sent * (1.0 - draws.exploration)
    table[chosen == 0] = np.eye(len(names))[0]
    return table


def _uniform(draws: Draws, customer_id: pd.Series) -> np.ndarray:
    """(n, 2) independent uniform numbers in [0, 1) by id, NaN where it is missing."""
    drawn = np.full((len(customer_id), 2), np.nan)
    ids = customer_id.tolist()
    key = hashlib.sha256(draws.key.encode()).digest()
    for row in np.flatnonzero(customer_id.notna().to_numpy()):
        digest = hashlib.blake2b(_id_text(ids[row]).encode(), key=key, digest_size=16).digest()
        drawn[row] = [int.from_bytes(part, "big") * _HALF for part in (digest[:8], digest[8:])]
    return np.minimum(drawn, np.nextafter(1.0, 0.0))


def _id_text(customer: object) -> str:
    """An id as text; JSON and missing ids beside it turn whole numbers into floats."""
    if isinstance(customer, float) and customer.is_integer():
        return str(int(customer))
    return str(customer)

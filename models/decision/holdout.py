"""Who of a campaign gets nothing, at random: by a keyed hash of the customer id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Holdout:
    """Share of the customers left without an offer, and the key that draws them.

    The same key holds out the same customers on every machine and whatever the order of the rows;
    another key holds out others.
    """

    share: float
    key: str

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"holdout_share must lie in [0, 1), found {self.share}")


def in_holdout(holdout: Holdout, customer_id: pd.Series) -> np.ndarray:
    """(n,) object: True or False, None where the id is missing.

    Each customer has the same chance `share`, independent of everything else about the customer.
    """
    held = np.full(len(customer_id), None, dtype=object)
    known = customer_id.notna().to_numpy()
    ids = customer_id.tolist()
    key = hashlib.sha256(holdout.key.encode()).digest()
    limit = int(holdout.share * 2**64)
    for row in np.flatnonzero(known):
        text = _id_text(ids[row]).encode()
        drawn = hashlib.blake2b(text, key=key, digest_size=8).digest()
        held[row] = int.from_bytes(drawn, "big") < limit
    return held


def _id_text(customer: object) -> str:
    """An id as text; JSON and missing ids beside it turn whole numbers into floats."""
    if isinstance(customer, float) and customer.is_integer():
        return str(int(customer))
    return str(customer)

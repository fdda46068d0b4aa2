"""A row of the data card: what is claimed, what was measured, and whether the two agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from ..world import OFFERS


@dataclass(frozen=True)
class Finding:
    """What a row claims and what was measured.

    Attributes
    ----------
    kind
        H, S or D.
    what, target, tolerance
        The claim, its number or sign, and how far the run may be off.
    measured
        What the run gave, in words.
    holds
        Whether that is within the tolerance.
    """

    kind: str
    what: str
    target: str
    tolerance: str
    measured: str
    holds: bool


def widened(tolerance: float, rows: int) -> float:
    """A tolerance stated for 50,000 rows, for fewer of them; it never narrows."""
    return float(tolerance * max(1.0, np.sqrt(50_000 / max(rows, 1))))


def said(numbers: Mapping[str, float], digits: int = 3) -> str:
    """Names and numbers in one line."""
    return ", ".join(f"{name} {number:.{digits}f}" for name, number in numbers.items())


def near(measured: Mapping[str, float], wanted: Mapping[str, float], tolerance: float) -> bool:
    """Whether every wanted number is met within the tolerance."""
    return all(abs(measured[name] - wanted[name]) <= tolerance for name in wanted)


def by_level(values: pd.Series) -> dict[str, float]:
    """A series as names and numbers."""
    return {str(level): float(value) for level, value in values.items()}


def falls(numbers: Sequence[float]) -> bool:
    """Whether each number is below the one before."""
    return all(before > after for before, after in pairwise(numbers))


def chance(people: pd.DataFrame, offer: str) -> pd.Series:
    """True probability of returning under an offer."""
    return people[f"return_probability_{offer}"]


def given_return(people: pd.DataFrame, name: str, offer: str) -> float:
    """Mean over returners of an expectation given return, under the same offer for all."""
    return float(np.average(people[f"{name}_{offer}"], weights=chance(people, offer)))


def over_offers(people: pd.DataFrame, name: str) -> float:
    """Mean over the offers (none left out) of an expectation given return."""
    return float(np.mean([given_return(people, name, offer) for offer in OFFERS[1:]]))

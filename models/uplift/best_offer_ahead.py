"""Effects adjusted so that the best single offer stays first where personalizing does not gain.

When a choice by customer does not gain on held-out rows, the customers for whom another offer
looks better are most likely noise, and whoever picks the greatest effect would follow it (the
maximum over noisy effects picks noise). Small and negative leads of the best offer are then pressed
together into small positive ones. Their order stays, so that rankings lose nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_PRESSED = 0.1  # leads below this part of the average one are pressed together
_LEAST = 1e-3  # what is left of the smallest, in parts of that
_BEYOND = 1e3  # how far, in greatest leads, a lead may grow


class Lead(NamedTuple):
    """Piecewise linear map of a lead, as in the expression ``interp``."""

    xs: tuple[float, float, float]
    ys: tuple[float, float, float]


def learn_leads(effects: np.ndarray, single: int) -> dict[int, Lead]:
    """Maps of the leads of one offer over each other one, by code (the control is 0).

    Parameters
    ----------
    effects : (rows, offers) of every offer against the control.
    single : code of the best offer for all, 0 if that is the control.
    """
    values = np.column_stack([np.zeros(len(effects)), effects])
    leads = {}
    for code in range(values.shape[1]):
        if code == single:
            continue
        lead = values[:, single] - values[:, code]
        pressed = max(_PRESSED * float(lead.mean()), 1e-9 * float(np.abs(lead).max()), 1e-300)
        low = 2.0 * min(float(lead.min()), 0.0) - pressed
        high = pressed + _BEYOND * float(np.abs(lead).max())
        leads[code] = Lead((low, pressed, high), (_LEAST * pressed, pressed, high))
    return leads


def keep_ahead(effects: np.ndarray, single: int, leads: dict[int, Lead]) -> np.ndarray:
    """Effects (rows, offers) with the leads mapped."""
    values = np.column_stack([np.zeros(len(effects)), effects])
    mapped = {
        code: np.interp(values[:, single] - values[:, code], lead.xs, lead.ys)
        for code, lead in leads.items()
    }
    best = mapped[0] if single else np.zeros(len(effects))
    kept = [best if code == single else best - mapped[code] for code in range(1, values.shape[1])]
    return np.column_stack(kept)

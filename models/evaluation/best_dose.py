"""How deep an offer each customer needs: offers that are doses of one thing, on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..intervals import mean_estimate, paired_difference
from .graded import Graded


def by_dose(
    graded: Graded, doses: Mapping[str, float], *, level: float = 0.95
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What each dose earns for all, for whom it is the best, and what the best for each gains.

    The best dose of a customer, and the best single one, are those that promise most; the control
    is dose 0. Neither saw these rows' outcomes.

    Parameters
    ----------
    graded
        Held-out rows.
    doses
        Dose by offer of one family.

    Returns
    -------
    pandas.DataFrame
        By dose, from 0: offer, dose, share (of the customers, whose best dose it is),
        value_per_customer if all were sent it, lo, hi, n, in the unit of the scores.
    dict
        best_single, and the gain of the best dose for each over it, paired: gain, lo, hi, n.
    """
    names = [graded.names[0], *sorted(doses, key=lambda name: doses[name])]
    columns = [graded.names.index(name) for name in names]
    expected, scores = graded.expected[:, columns], graded.scores[:, columns]
    best = expected.argmax(axis=1)
    single = int(expected.mean(axis=0).argmax())
    rows = []
    for position, name in enumerate(names):
        earns = mean_estimate(scores[:, position], clusters=graded.groups, level=level)
        rows.append(
            {
                "offer": name,
                "dose": float(doses.get(name, 0.0)),
                "share": float((best == position).mean()),
                "value_per_customer": earns.value,
                "lo": earns.lo,
                "hi": earns.hi,
                "n": earns.n,
            }
        )
    personal = scores[np.arange(len(scores)), best]
    gain = paired_difference(personal, scores[:, single], clusters=graded.groups, level=level)
    found = {"best_single": names[single], "gain": gain.value, "lo": gain.lo, "hi": gain.hi}
    return pd.DataFrame(rows), found | {"n": gain.n}

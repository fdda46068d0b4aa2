"""Why a customer gets what she gets, in a sentence that a marketer can read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Forecast:
    """Per customer and option, control first: (rows, options) each."""

    names: tuple[str, ...]
    probability: np.ndarray
    uplift: np.ndarray
    gain: np.ndarray
    cost: np.ndarray


def sentences(
    forecast: Forecast,
    allowed: np.ndarray,
    chosen: np.ndarray,
    asked: np.ndarray,
    barred: np.ndarray,
    *,
    risk: np.ndarray,
    percent: np.ndarray,
    objective: str,
    personalize: bool,
) -> list[str]:
    """One sentence per customer: the rule that applied, or the forecast behind the offer."""
    lines = []
    for row, option in enumerate(chosen):
        if not asked[row]:
            line = "" if np.isnan(risk[row]) else f"leaves with probability {risk[row]:.2f}"
        elif barred[row]:
            line = str(barred[row])
        elif option:
            line = _praise(forecast, row, int(option), objective)
            line += "" if personalize else "; the best single offer, personal ones did not beat it"
        elif forecast.gain.shape[1] == 1:
            line = "no experiment says what to offer"
            line += f"; rule of thumb by lapse: {percent[row]:g}% off" if percent[row] else ""
        elif allowed[row, 1:].any():
            line = "worth an offer, but beyond the budget or the capacity"
        elif not personalize:
            line = "no offer to all: none beat it"
        elif (forecast.uplift[row, 1:] < 0).all():
            line = "do not disturb: every offer makes a return less likely"
        else:
            best = 1 + int(np.argmax(forecast.gain[row, 1:]))
            gain = _amount(forecast.gain[row, best], objective)
            line = f"not worth it: {forecast.names[best]} would gain {gain}"
        lines.append(line)
    return lines


def _praise(forecast: Forecast, row: int, option: int, objective: str) -> str:
    before, after = forecast.probability[row, 0], forecast.probability[row, option]
    gain = _amount(forecast.gain[row, option], objective)
    return (
        f"{forecast.names[option]}: returns with {after:.2f} instead of {before:.2f}, gain {gain}"
    )


def _amount(gain: float, objective: str) -> str:
    return f"{gain:+.3f} returns" if objective == "returns" else f"{gain:+.2f}"

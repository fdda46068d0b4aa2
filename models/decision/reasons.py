"""The sentence that tells a marketer why a customer gets an offer, or none."""

from __future__ import annotations

import numpy as np

from .decision import Decision
from .eligibility import Rules
from .recommend import Forecast, Weighed


def sentences(
    decision: Decision,
    weighed: Weighed,
    *,
    risk: np.ndarray,
    percent: np.ndarray,
    strategy: np.ndarray,
) -> list[str]:
    """One sentence per customer: the rule that applied, or the forecast behind the offer.

    Parameters
    ----------
    decision, weighed
        See `recommend.weigh`.
    risk
        (rows,) churn probability, NaN where it does not apply.
    percent
        (rows,) discount by rule of thumb, named where no experiment says what to offer.
    strategy
        (rows,) what `strategy.strategies` says; the sentence never speaks against it.
    """
    forecast, objective = weighed.forecast, decision.objective
    rules = _words(decision.rules)
    lines = []
    for row, option in enumerate(weighed.chosen):
        if not weighed.candidate[row]:
            line = _risk(risk[row])
            if strategy[row] == "harvest" and risk[row] >= decision.strategy.high_risk:
                line += "; among the less valuable, so no money is spent on keeping it"
        elif weighed.excluded_by[row]:
            line = rules[weighed.excluded_by[row]]
        elif option:
            line = _praise(forecast, row, int(option), objective)
            if not decision.personalize:
                line += "; the best single offer, personal ones are not expected to earn more"
        elif not decision.offers:
            line = "no experiment says what to offer"
            if strategy[row] == "end":
                line += "; others come first"
            elif percent[row]:
                line += f"; rule of thumb by lapse: {percent[row]:g}% off"
        elif weighed.allowed[row, 1:].any():
            line = "worth an offer, but beyond the budget or the capacity"
        elif not decision.personalize:
            line = "no offer to all: none beat it"
        elif (forecast.uplift[row, 1:] < 0).all():
            line = "do not disturb: every offer makes a return less likely"
        else:
            best = 1 + int(np.argmax(forecast.gain[row, 1:]))
            gain = _amount(forecast.gain[row, best], objective)
            line = f"not worth it: {forecast.names[best]} would gain {gain}"
        lines.append(line)
    return lines


def _words(rules: Rules) -> dict[str, str]:
    return {
        "lost_limit": f"lost {rules.lost_limit or 0:g} times or more: not won back again",
        "cooldown_days": f"contacted less than {rules.cooldown_days or 0:g} days ago: wait",
        "hopeless_reasons": "left for a reason that no offer mends",
        "least_experiment_rows": "too few customers like this one in the experiment",
    }


def _risk(risk: float) -> str:
    return "" if np.isnan(risk) else f"{100 * risk:.0f} in 100 like this one leave"


def _praise(forecast: Forecast, row: int, option: int, objective: str) -> str:
    before, after = forecast.probability[row, 0], forecast.probability[row, option]
    gain = _amount(forecast.gain[row, option], objective)
    return (
        f"{forecast.names[option]}: {100 * after:.0f} in 100 return instead of {100 * before:.0f}, "
        f"gain {gain}"
    )


def _amount(gain: float, objective: str) -> str:
    return f"{gain:+.3f} returns" if objective == "returns" else f"{gain:+.2f}"

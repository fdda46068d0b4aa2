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
    forecast = weighed.forecast
    rules = _words(decision.rules)
    lines = []
    for row, option in enumerate(weighed.chosen):
        if not weighed.candidate[row]:
            line = _risk(risk[row])
            harvest = strategy[row] == "harvest" and decision.retention is None
            if harvest and risk[row] >= decision.strategy.high_risk:
                line += "; among the less valuable, so no money is spent on keeping it"
        elif weighed.excluded_by[row]:
            line = rules[weighed.excluded_by[row]]
        elif option:
            line = _praise(decision, forecast, row, int(option))
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
            outcome = "staying" if decision.population == "active" else "a return"
            line = f"do not disturb: every offer makes {outcome} less likely"
        else:
            best = 1 + int(np.argmax(forecast.gain[row, 1:]))
            gain = _amount(forecast.gain[row, best], decision)
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


def _praise(decision: Decision, forecast: Forecast, row: int, option: int) -> str:
    before, after = forecast.probability[row, 0], forecast.probability[row, option]
    gain = _amount(forecast.gain[row, option], decision)
    act = "stay" if decision.population == "active" else "return"
    return (
        f"{forecast.names[option]}: {100 * after:.0f} in 100 {act} instead of {100 * before:.0f}, "
        f"gain {gain}"
    )


def _amount(gain: float, decision: Decision) -> str:
    outcome = "customers kept" if decision.population == "active" else "returns"
    return f"{gain:+.3f} {outcome}" if decision.objective == "returns" else f"{gain:+.2f}"

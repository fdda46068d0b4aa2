"""The first screen: five questions of a marketer, each answered in words, figures and intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...models.evaluation.policies import WITHIN_LIMITS
from ...models.intervals import count_reach, mean_estimate
from ..storage.stage_outputs import read_meanings
from ..tables.list_rows import GAIN, RISK
from ..tables.safe_csv import read_table
from . import words
from .html import Card
from .listed import REASON, past_of
from .phrasing import raising
from .summary import Findings, Inputs, decided_for, ours_of, sent

LEAST_LEAN = 0.05  # of the share of a reason, from which an offer leans on it


def cards(findings: Findings, inputs: Inputs) -> list[Card]:
    """The five cards, in the order in which a campaign is planned."""
    return [
        _leaving(findings, inputs),
        _returning(findings, inputs),
        _worth(findings, inputs),
        _offers(findings),
        _policy(findings),
    ]


def _leaving(findings: Findings, inputs: Inputs) -> Card:
    question = "Who is about to leave?"
    cells = findings.listed.cells
    if RISK not in cells or findings.source.churn is None:
        why = findings.skipped.get(
            "churn", "this source does not say when a customer counts as lost"
        )
        return Card(question, "Not known", f"No churn model: {why}.")
    active, leaving = cells["at_risk"].sum(), cells[RISK].sum()
    held = findings.listed.top_tenth / leaving if leaving else 0.0
    reach = count_reach(cells["risk_variance"].sum(), level=findings.level)
    mean = leaving / active if active else float("nan")
    answer = (
        f"of {active:,} active customers ({mean:.1%}) are expected to leave "
        f"{findings.source.churn.within} ({leaving - reach:,.0f} to {leaving + reach:,.0f} "
        f"by chance alone). The tenth at highest risk holds {held:.0%} of them: start there."
    )
    grades = read_table(inputs.churn / "metrics.csv")
    of_all = (grades["model"] == "churn") & (grades["slice"] == "all")
    auc = grades[of_all & (grades["metric"] == "auc")].iloc[0]
    bins = read_table(inputs.plots / "churn_reliability.csv")
    predicted = np.average(bins["predicted"], weights=bins["rows"])
    came = np.average(bins["observed"], weights=bins["rows"])
    where = "On later dates" if _later(inputs) else "On customers held out"
    return Card(
        question,
        f"{leaving:,.0f} customers",
        answer,
        (
            *_signs(inputs),
            f"{where} it predicted {predicted:.1%}, and {came:.1%} left.",
            f"A leaver ranks above a stayer {auc['value']:.0%} of the time (AUC {auc['value']:.3f}"
            + (f", {auc['lo']:.3f} to {auc['hi']:.3f}" if auc["lo"] == auc["lo"] else "")
            + ").",
        ),
    )


def _signs(inputs: Inputs) -> Iterator[str]:
    """What marks those who leave, in words."""
    drivers = read_table(inputs.churn / "importance.csv")
    drivers = drivers[(drivers["importance"] > 0) & (drivers["direction"] != 0)].head(4)
    said = raising(drivers, read_meanings(inputs.features))
    if said:
        yield f"Typical of who leaves: {', '.join(dict.fromkeys(said))}."


def _later(inputs: Inputs) -> bool:
    parts = read_table(inputs.churn / "parts.csv").set_index("part")
    return bool(parts["first"]["test"] > parts["last"]["train"])


def _returning(findings: Findings, inputs: Inputs) -> Card:
    question = "Will they come back?"
    if not findings.decision or findings.source.experiment is None:
        return Card(question, "Not known", f"{_no_experiment(findings)}.", (_lost_alone(findings),))
    experiment = findings.source.experiment
    levels = read_table(inputs.winback / "readout" / "levels.csv")
    rates = levels[levels["outcome"] == "returned"].set_index("arm")
    alone = rates.loc[experiment.control]
    arms = rates.drop(index=experiment.control)
    best = str(arms["estimate"].idxmax())
    with_best = arms.loc[best]
    doing = "return" if experiment.outcome == "returned" else f"reach '{experiment.outcome}'"
    days = experiment.return_window_days
    details = []
    offers = sent(findings)
    if len(offers):
        chances = _with_own_offer(offers, "return_probability_")
        own = offers[f"return_probability_{experiment.control}"].sum() / offers["answered"].sum()
        details.append(
            f"The customers on the list: {own:.1%} alone, {chances:.1%} with the offer we send "
            "(predicted)."
        )
    return Card(
        question,
        f"{alone['estimate']:.1%} alone, {with_best['estimate']:.1%} with {words.plain(best)}",
        f"So many {doing} within {days} days in the experiment: without an offer "
        f"{alone['estimate']:.1%} ({alone['lo']:.1%} to {alone['hi']:.1%}), with "
        f"{words.plain(best)} {with_best['estimate']:.1%} ({with_best['lo']:.1%} to "
        f"{with_best['hi']:.1%}).",
        tuple(details),
    )


def _no_experiment(findings: Findings) -> str:
    where = "in this source" if findings.kept is None else "among lost customers"
    return f"Nobody can tell: there is no randomized experiment {where}"


def _of_active(findings: Findings) -> tuple[str, ...]:
    """Where the same is answered for active customers, if it is."""
    if findings.kept is None:
        return ()
    return ("There is one among active customers: see the chapter 'Active customers'.",)


def _lost_alone(findings: Findings) -> str:
    cells = findings.listed.cells
    lost = cells["customers"].sum() - cells["at_risk"].sum()
    if past_of(cells) is None:
        return f"{lost:,} customers count as lost; nothing tells what they were worth."
    return f"{lost:,} customers count as lost; the list orders them by what they were worth."


def _worth(findings: Findings, inputs: Inputs) -> Card:
    question = "For how long, and worth what?"
    if not findings.decision or findings.source.experiment is None:
        return Card(question, "Not known", f"{_no_experiment(findings)}.")
    horizon = findings.source.experiment.value_horizon_days
    rows = pd.read_parquet(
        inputs.features / "winback.parquet",
        columns=["offer", "returned", "value", "second_days", "second_ended"],
    )
    back = rows[rows["returned"] == 1]
    money = back["value"].dropna()
    lines = []
    if len(money) > 1:
        mean = mean_estimate(money.to_numpy(float), level=findings.level)
        worth = words.amount(mean.value, findings.source)
        between = words.interval(
            words.amount(mean.lo, findings.source), words.amount(mean.hi, findings.source)
        )
        lines.append(f"{worth} each ({between}) within {horizon} days, before the cost")
    months = ""
    lived = back[back["second_days"].notna() & back["second_ended"].notna()]
    if len(lived) > 1:
        from ...models.evaluation.survival import MONTH_DAYS, survival

        stay = survival(
            lived["second_days"].to_numpy(), lived["second_ended"].to_numpy(), limit_days=horizon
        )
        limit = horizon / MONTH_DAYS
        reach = 1.96 * stay.se
        months = f"{stay.mean_months:.1f} months"
        lines.append(
            f"they stayed {months} of {limit:.0f} on average ({stay.mean_months - reach:.1f} to "
            f"{stay.mean_months + reach:.1f})"
        )
    details = tuple(_worth_on_the_list(findings))
    if not lines:
        return Card(
            question, "Not known", "The experiment tells neither value nor length of a return."
        )
    figure = " and ".join(filter(None, [months, worth if len(money) > 1 else ""]))
    shown = "; ".join(lines)
    return Card(question, figure, f"Of the {len(back):,} who came back: {shown}.", details)


def _worth_on_the_list(findings: Findings) -> Iterator[str]:
    """What the forecasts say of those who are sent an offer, should they return with it."""
    offers = sent(findings)
    said = []
    months = _with_own_offer(offers, "months_")
    if months == months:
        said.append(f"{months:.1f} months")
    worth = _with_own_offer(offers, "value_")
    if worth == worth:
        said.append(words.amount(worth, findings.source))
    if said:
        yield (
            f"The customers on the list, should they return with the offer we send: "
            f"{' and '.join(said)} each (predicted)."
        )


def _with_own_offer(offers: pd.DataFrame, stem: str) -> float:
    """Mean of a forecast over customers, each with the offer that they are sent; NaN if unknown."""
    total = 0.0
    for name, rows in offers.groupby("recommended_offer"):
        if f"{stem}{name}" not in rows:
            return float("nan")
        total += float(rows[f"{stem}{name}"].sum())
    return total / offers["customers"].sum() if len(offers) else float("nan")


def _offers(findings: Findings) -> Card:
    question = "Which offer for whom, at what cost?"
    offers, experiment = sent(findings), findings.source.experiment
    if not findings.decision or experiment is None:
        return Card(
            question,
            "No offer",
            f"{_no_experiment(findings)}, so no offer is recommended. {_lost_alone(findings)}",
            _of_active(findings),
        )
    if not len(offers):
        return Card(question, "No offer", "Under the rules no customer is worth an offer.")
    cost = 0.0
    parts = []
    given = _given_reasons(offers)
    for name, rows in offers.groupby("recommended_offer"):
        terms = experiment.offers[str(name)]
        customers = rows["customers"].sum()
        paid = float(terms.expected_cost(rows[f"return_probability_{name}"].sum() / customers))
        cost += paid * customers
        each = f" at {words.amount(paid, findings.source)} each" if paid else ""
        parts.append((customers, f"{words.plain(name)} to {customers:,}{each}{given[str(name)]}"))
    listed = "; ".join(said for _, said in sorted(parts, reverse=True))
    count, gain = offers["customers"].sum(), float(offers[GAIN].sum())
    details = []
    if cost:
        details.append(
            f"Expected cost {words.amount(cost, findings.source)}, "
            f"{words.amount(cost / count, findings.source)} per customer."
        )
    if gain == gain and gain:
        details.append(
            f"Expected gain over sending nothing {words.amount(gain, findings.source)}, net of "
            "costs."
        )
    cells = findings.listed.cells
    held = cells.loc[cells["holdout"], "customers"].sum()
    details.append(f"{held:,} more get nothing, at random, to measure the campaign by.")
    return Card(question, f"{count:,} offers", f"{listed[0].upper()}{listed[1:]}.", tuple(details))


def _given_reasons(offers: pd.DataFrame) -> dict[str, str]:
    """For each offer the stated reason that is most overrepresented among those who get it."""
    told = dict.fromkeys(offers["recommended_offer"].unique(), "")
    if REASON not in offers:
        return told
    usual = _shares(offers)
    for name, mine in offers.groupby("recommended_offer"):
        own = _shares(mine)
        more = (own - usual).dropna()
        if len(more) and more.max() > LEAST_LEAN:
            reason = str(more.idxmax())
            told[name] = f" ({own[reason]:.0%} of them left over {words.plain(reason)})"
    return told


def _shares(offers: pd.DataFrame) -> pd.Series:
    """Share of each reason among the customers who stated one."""
    counts = offers.groupby(REASON)["customers"].sum()
    return counts / counts.sum()


def _policy(findings: Findings) -> Card:
    question = "Which policy earns most, and how sure is that?"
    if not findings.decision:
        return Card(
            question,
            "Not known",
            f"{_no_experiment(findings)}, so no policy can be graded.",
            _of_active(findings),
        )
    ours, decision = ours_of(findings), decided_for(findings)

    def shown(number: float) -> str:
        return words.measured(number, findings.objective, findings.source)

    best = words.plain(decision["best_single"])
    earned = (
        f"{shown(ours['value_per_customer'])} ({shown(ours['lo'])} to {shown(ours['hi'])}) "
        f"{_per(findings)} on {ours['n']:,.0f} customers whom the graded models have not seen"
    )
    if not decision["personalize"]:
        return Card(
            question,
            f"{best[0].upper()}{best[1:]} for all",
            f"Under the rules it earns {earned}. An offer per customer is not expected to earn "
            "more, so everybody who is sent one gets the same.",
        )
    gain, low, high, more = words.more_or_less(
        ours["gain_over_best_single"], ours["gain_lo"], ours["gain_hi"]
    )
    sure = "within noise" if low <= 0 <= high else "beyond noise"
    return Card(
        question,
        "The offer that suits each customer",
        f"It earns {earned}.",
        (
            f"{shown(gain)} ({shown(low)} to {shown(high)}) {more} than "
            f"{words.policy_name(ours['over'])}{_reach(findings, ours['over'])}: {sure}.",
            f"Intervals cover {findings.level:.0%}; both policies are graded on the same "
            "customers.",
        ),
    )


def _reach(findings: Findings, policy: str) -> str:
    """To how many an offer goes that limits do not let go to all."""
    if not policy.endswith(WITHIN_LIMITS):
        return ""
    rows = findings.policies[findings.policies["objective"] == findings.objective]
    (sent,) = rows.loc[rows["policy"] == policy, "sent"]
    return f" (as many as what is sent uses up: {sent:.1%} of them)"


def _per(findings: Findings) -> str:
    return {
        "profit": "profit per customer",
        "returns": "of customers",
        "roi": "gained per unit of money spent",
    }[findings.objective]

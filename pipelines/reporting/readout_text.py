"""The readout of an experiment or a campaign for a terminal: verdict, short tables, all tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...models.experiment.campaign import ALL, CampaignReadout
from ...models.experiment.randomization import ExperimentError
from ...models.experiment.readout import Readout
from ..job.progress import presentable
from ..job.terminal import columns, paint
from ..settings.sources import Source
from ..tables.campaigns_read import CampaignsRead
from . import words

DIFFERENT = 0.05  # adjusted p-value below which two arms differ
SHARES = {"returned": "share returned", "stayed": "share that stayed"}  # of the lost, the active
UNREAD = {  # why a campaign by itself tells nothing
    "small arm": "too few customers",
    "no outcome": "nobody came back",
    "lost arm": "nobody was held out",
    "overlap": "too few were held out",
}
NAMELESS = "(no name)"  # a campaign of which the table offers does not tell it
SHOWN = 3  # names of campaigns in a sentence
BROKEN = {
    "sample ratio": "the arms have sizes that chance does not explain",
    "lost arm": "an arm that was planned has no customers",
    "small arm": "an arm has too few customers",
    "unknown arm": "offers were sent that were not planned",
    "contamination": "the arms are not kept apart",
    "timing": "outcomes came before the offers",
    "propensities": "the logged chances are not those with which the offers were drawn",
    "overlap": "some customers could hardly be sent some of the offers",
    "balance": "the arms differed before anything was offered",
    "missing values": "values are missing without which nothing can be compared",
    "columns": "columns are missing without which nothing can be compared",
}


def verdict_of_broken(error: ExperimentError) -> str:
    """What is wrong with an experiment, in one sentence."""
    why = BROKEN.get(error.check, error.check)
    return f"Broken experiment: {why}, so no effect of it can be trusted and none is shown."


def verdict(found: Readout, source: Source) -> str:
    """Whether the experiment is honest, which arm is best, and what cannot be told apart."""
    outcome = leading_outcome(found.effects)
    effects = leading_effects(found)
    best = effects.iloc[0]
    overridden = any(note.startswith("overridden") for note in found.notes)
    honest = "A check failed and was overridden." if overridden else "Honest experiment."
    lead = f"{words.plain(best['arm'])}, {_change(best, outcome, source)}"
    if best["p_holm"] < DIFFERENT and best["estimate"] > 0:
        told = f"Best {_noun(outcome)}: {lead} a customer over no offer"
    else:
        told = f"No arm is known to beat no offer; the highest {_noun(outcome)}: {lead}"
    alike = not_told_apart(found, outcome)
    if len(alike) > 1 and len(alike) == (found.pairs["outcome"] == outcome).sum():
        told += "; no two arms can be told apart"
    elif alike:
        told += "; " + ", ".join(f"{one} and {other}" for one, other in alike)
        told += " cannot be told apart"
    return f"{honest} {told}."


def not_told_apart(found: Readout, outcome: str) -> list[tuple[str, str]]:
    """Pairs of arms that cannot be told apart by an outcome, the better arms first."""
    order = leading_effects(found)["arm"].tolist()
    pairs = found.pairs
    if pairs.empty:
        return []
    alike = pairs[(pairs["outcome"] == outcome) & ~(pairs["p_holm"] < DIFFERENT)]
    named = zip(alike["arm"].astype(str), alike["against"].astype(str), strict=True)
    better = [(a, b) if order.index(a) < order.index(b) else (b, a) for a, b in named]
    return sorted(better, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))


def leading_outcome(effects: pd.DataFrame) -> str:
    """Profit where it is known, else the share that returned, or stayed."""
    return "profit" if (effects["outcome"] == "profit").any() else leading_share(effects)


def leading_share(effects: pd.DataFrame) -> str:
    """The outcome that is no amount: lost customers returned, active ones stayed."""
    return "stayed" if (effects["outcome"] == "stayed").any() else "returned"


def leading_effects(found: Readout, outcome: str = "") -> pd.DataFrame:
    """Effects of the arms on an outcome, adjusted where they are, the greatest first."""
    effects = found.effects[found.effects["outcome"] == (outcome or leading_outcome(found.effects))]
    if effects["adjusted"].any():
        effects = effects[effects["adjusted"]]
    return effects.sort_values("estimate", ascending=False, kind="stable", ignore_index=True)


def short_text(found: Readout, source: Source) -> str:
    """The verdict, and what each arm brought by the outcomes that decide."""
    lines = [paint(verdict(found, source), "bold"), ""]
    lines.append(
        f"{found.rows:,} customers, control {found.control}; 95% intervals, p by Holm over the arms"
    )
    for outcome in dict.fromkeys([leading_outcome(found.effects), leading_share(found.effects)]):
        lines += ["", *_arms(found, outcome, source)]
    return "\n".join([*lines, *_notes(found.notes)])


def _notes(notes: Sequence[str]) -> list[str]:
    return ["", *(presentable(f"Note: {note}") for note in notes)] if notes else []


def _arms(found: Readout, outcome: str, source: Source) -> list[str]:
    """One line an arm: customers, what it brought, and how much more than the control."""
    levels = found.levels[found.levels["outcome"] == outcome].set_index("arm")
    header = ("arm", "customers", _noun(outcome), f"over {found.control}", "p")
    control = levels.loc[found.control]
    first = (found.control, f"{control['rows']:,}", _level(control, outcome, source), "", "")
    rows = [header, first]
    for effect in leading_effects(found, outcome).to_dict("records"):
        level = levels.loc[effect["arm"]]
        rows.append(
            (
                str(effect["arm"]),
                f"{level['rows']:,}",
                _level(level, outcome, source),
                _change(effect, outcome, source),
                words.p_value(effect["p_holm"]),
            )
        )
    return columns(rows, right=(1, 4))


def _noun(outcome: str) -> str:
    return SHARES.get(outcome, outcome)


def _level(row: Any, outcome: str, source: Source) -> str:
    shown = words.share if outcome in SHARES else lambda value: words.amount(value, source)
    return f"{shown(row['estimate'])} ({shown(row['lo'])} to {shown(row['hi'])})"


def _change(row: Any, outcome: str, source: Source) -> str:
    def shown(value: float) -> str:
        return f"{100 * value:.1f}" if outcome in SHARES else words.amount(value, source)

    unit = " points" if outcome in SHARES else ""
    sign = "+" if row["estimate"] >= 0 else ""
    return f"{sign}{shown(row['estimate'])}{unit} ({shown(row['lo'])} to {shown(row['hi'])})"


def campaign_verdict(found: CampaignReadout, source: Source) -> str:
    """What the chosen offers added, and which of them."""
    outcome = leading_outcome(found.effects)
    row = found.whole(outcome)
    assert row is not None
    what = "The chosen offers" if row["chosen"] == ALL else words.plain(row["chosen"])
    sure = row["p_value"] < DIFFERENT
    told = "brought" if sure else "are not known to bring more than no offer:"
    return (
        f"Honest campaign. {what} {told} {_change(row, outcome, source)} {_noun(outcome)} a "
        "customer over those held out."
    )


def campaigns_verdict(found: CampaignsRead, source: Source, share: str) -> str:
    """What the chosen offers added, and what is not known yet.

    `share` is "returned" of lost customers, "stayed" of active ones.
    """
    lines = [campaign_verdict(found.whole, source)] if found.whole else []
    return " ".join([*lines, *filter(None, [_not_known_yet(found, share)])])


def campaigns_text(found: CampaignsRead, source: Source, share: str) -> str:
    """The verdict, a line for each campaign, and every chosen offer on every outcome.

    `share` is "returned" of lost customers, "stayed" of active ones.
    """
    lines = [paint(campaigns_verdict(found, source, share), "bold"), ""]
    if found.error:
        lines += [f"Our campaigns are not read yet: {found.error}", ""]
    lines.append("Per customer, 95% intervals:")
    lines += columns(campaign_lines(found, source, share), right=(1, 2))
    if whole := found.whole:
        lines += [
            "",
            f"{whole.rows:,} customers for whom an offer was chosen",
            "",
            "Chosen offers against no offer, among those for whom they were chosen, Holm over the "
            "offers, 95% intervals:",
            _table(whole.effects.drop(columns=["se", "adjusted"])),
            *_notes(whole.notes),
        ]
    return "\n".join(lines).strip()


def _not_known_yet(found: CampaignsRead, share: str) -> str:
    """What later data will tell of campaigns, in a sentence; empty if nothing is open."""
    each = found.each
    open_share = each["share_known_at"] > found.now
    open_profit = ~open_share & (each["profit_known_at"] > found.now) & found.has_money
    open_profit &= each["profit_gain"].isna() & (each["unread"] == "")
    told = [f"what {_some(each[open_profit])} earned"] if open_profit.any() else []
    told += [f"who {share} of {_some(each[open_share])}"] if open_share.any() else []
    return f"Not known yet: {' and '.join(told)}." if told else ""


def campaign_lines(found: CampaignsRead, source: Source, share: str) -> list[list[str]]:
    """Header, a line for each campaign, and one for all of them together where there are several.

    `share` is "returned" of lost customers, "stayed" of active ones.
    """
    header = ["campaign", "sent", "held out", f"{share} (held out)", "over held out"]
    rows = [header + ["profit over held out"] * found.has_money]
    for line in found.each.to_dict("records"):
        shares = [line["share"], line["share_held_out"]]
        told = "" if np.isnan(shares).any() else "{:.1%} ({:.1%})".format(*shares)
        name = presentable(str(line["campaign"] or NAMELESS))
        cells = [name, f"{line['sent']:,}", f"{line['held_out']:,}", told]
        cells.append(_gain(line, "returned", "share", source, found.now))
        profit = [_gain(line, "profit", "profit", source, found.now)] * found.has_money
        rows.append(cells + profit)
    if found.whole and len(found.each) > 1:
        rows.append(_together(found.whole, source))
    return [row + [""] * (len(header) + found.has_money - len(row)) for row in rows]


def _together(whole: CampaignReadout, source: Source) -> list[str]:
    """The line of all campaigns: profit is of fewer customers where some are too young."""
    returned, profit = whole.whole(leading_share(whole.effects)), whole.whole("profit")
    if profit is None:
        profit = whole.whole("value")  # the same where nothing costs
    assert returned is not None
    cells = ["all", f"{returned['sent']:,}", f"{returned['held_out']:,}", ""]
    cells.append(_change(returned, str(returned["outcome"]), source))
    if profit is None:
        return cells
    rows = [int(row["sent"] + row["held_out"]) for row in (returned, profit)]
    of = f", of {rows[1]:,} customers" if rows[1] < rows[0] else ""
    return [*cells, _change(profit, "profit", source) + of]


def _gain(
    line: Mapping[Any, Any], outcome: str, begins: str, source: Source, now: pd.Timestamp
) -> str:
    """A gain with its interval; else from when it is known, or why it is not."""
    gain = {"estimate": line[f"{begins}_gain"], "lo": line[f"{begins}_lo"]}
    if not np.isnan(gain["estimate"]):
        return _change({**gain, "hi": line[f"{begins}_hi"]}, outcome, source)
    known_at = line[f"{begins}_known_at"]
    if known_at > now and (begins == "share" or not line["unread"]):
        return f"known from {known_at.ceil('D'):%Y-%m-%d}"
    return UNREAD.get(line["unread"], "not known")


def _some(campaigns: pd.DataFrame) -> str:
    """The names of the first campaigns in words."""
    names = [str(name or NAMELESS) for name in campaigns["campaign"]]
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN + 1 else []
    shown = names[:SHOWN] + more if more else names
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def observational_text(effects: pd.DataFrame, rows: int) -> str:
    """Adjusted effects of targeted offers, what would explain them away, and the bounds."""
    lines = [
        paint(
            "No experiment: offers were targeted. These are adjusted estimates, not proof.", "bold"
        ),
        f"{rows:,} customers. What was recorded before the offer is adjusted for; what was not, is",
        "not. No list is made from these effects: hold out customers at random to learn more.",
    ]
    for outcome in effects["outcome"].unique():
        table = effects[effects["outcome"] == outcome]
        lines += ["", f"{_noun(outcome)}, per customer against no offer, 95% intervals:"]
        lines.append(_table(table[["offer", "rows", "unadjusted", "estimate", "lo", "hi"]]))
        lines += ["", "If an unseen cause changed the odds of being sent the offer by a factor:"]
        bounds = [name for name in map(str, table.columns) if name.startswith(("lo_", "hi_"))]
        lines.append(_table(table[["offer", *bounds, "explained_away_by"]]))
    lines += [
        "",
        *(
            f"{row.offer}: an unseen cause of factor {row.explained_away_by:.2f} would explain its "
            f"effect on the {_noun(str(row.outcome))} away; {row.hardly_possible:.0%} of the "
            "customers could hardly have been sent it, or nothing."
            for row in effects.itertuples()
        ),
    ]
    return "\n".join(map(presentable, lines))


def full_text(found: Readout, source: Source) -> str:
    """The verdict and every table: is it honest, what did each arm bring, what did each add."""
    ratio = found.sample_ratio
    lines = [
        paint(verdict(found, source), "bold"),
        "",
        f"{found.rows:,} customers, control {found.control}",
        "",
        f"Sizes of the arms against the plan: p = {ratio.p_value:.3f} "
        f"(alarm below {ratio.alpha:g}); a loss of {ratio.detectable_loss:.1%} of an arm "
        "would have been noticed",
        _table(ratio.arms[["arm", "planned_share", "expected", "rows", "difference"]]),
    ]
    if not np.isnan(found.balance_p_value):
        lines += ["", f"Arms predicted from what was known before: p = {found.balance_p_value:.3f}"]
    levels = found.levels.drop(columns="se")
    lines += ["", "Per customer in each arm, 95% intervals:", _table(levels)]
    effects = found.effects.drop(columns="se")
    lines += ["", f"Against {found.control}, Holm over the arms:", _table(effects)]
    if len(found.offers):
        offers = found.offers.drop(columns="se")
        lines += ["", "By the offer really sent, arms pooled:", _table(offers)]
    if len(found.pairs):
        pairs = found.pairs.drop(columns="se")
        lines += ["", "Offers against each other, Holm over the pairs:", _table(pairs)]
    share = leading_share(found.effects)
    alike = [f"{one} and {other}" for one, other in not_told_apart(found, share)]
    if alike:
        lines += [
            "",
            f"These offers cannot be told apart by the {_noun(share)}: {'; '.join(alike)}",
        ]
    return "\n".join([*lines, *_notes(found.notes)])


def _table(table: pd.DataFrame) -> str:
    shown = table.to_string(index=False, float_format=lambda value: f"{value:.5g}", na_rep="")
    return presentable(shown)

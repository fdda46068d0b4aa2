"""Chapter of the report on offers that are doses of one thing: how deep an offer each needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pandas as pd

from ..tables.safe_csv import read_table
from . import charts, words
from .html import Block, picture, table, text
from .summary import Findings, Inputs


def depth(inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """By dose: the average effect, whose best dose it is, and what a dose for each gains."""
    file = inputs.plots / "doses.csv"
    if not file.exists():
        return
    by_dose = read_table(file)
    effects = read_table(inputs.winback / "readout" / "effects.csv")
    effects = effects[(effects["outcome"] == "returned") & ~effects["adjusted"]]
    pairs = read_table(inputs.winback / "readout" / "pairs.csv")
    summary = json.loads((inputs.winback / "summary.json").read_text())
    smooth = {name: of["effect"] for name, of in summary["average_effects"].items()}
    for family, rows in by_dose.groupby("family", sort=False):
        found = findings.metrics["doses"][family]
        shown = rows.merge(
            effects[["arm", "estimate", "lo", "hi"]],
            how="left",
            left_on="offer",
            right_on="arm",
            suffixes=("_value", ""),
        )
        shown["offer"] = [
            f"{words.plain(name)}, dose {dose:g}"
            for name, dose in zip(shown["offer"], shown["dose"], strict=True)
        ]
        sent = shown[shown["dose"] > 0]
        yield picture(
            charts.intervals(
                sent, label="offer", value="estimate", lo="lo", hi="hi", unit="effect on the return"
            ),
            f"{words.plain(family).capitalize()}: what each dose changes, on average",
            "Effect against no offer on the share that returns, with its interval, from the arms "
            "as they are.",
        )
        yield picture(
            charts.bars(
                shown["offer"].tolist(),
                (100 * shown["share"]).tolist(),
                unit="percent of the customers",
            ),
            _who(rows),
            "Held-out customers by the dose that is expected to earn most with them, before rules "
            "and limits; 0 is no offer.",
        )
        yield text(_gain(found, family, findings))
        doses = dict(zip(rows["offer"], rows["dose"], strict=True))
        for line in falls(pairs, doses, level=findings.level):
            yield text(line)
        objective = found["objective"]
        money = ",.4f" if objective == "returns" else ",.2f"
        yield table(
            pd.DataFrame(
                {
                    "offer": shown["offer"],
                    "effect": shown["estimate"],
                    "low": shown["lo"],
                    "high": shown["hi"],
                    "smoothed": rows["offer"].map(smooth).to_numpy(),
                    "best for": shown["share"],
                    f"{objective} if sent to all": shown["value_per_customer"],
                    "its low": shown["lo_value"],
                    "its high": shown["hi_value"],
                }
            ),
            title=f"{words.plain(family).capitalize()} by dose, in figures",
            formats={
                **dict.fromkeys(("effect", "low", "high", "smoothed"), "+.1%"),
                "best for": ".1%",
                **dict.fromkeys((f"{objective} if sent to all", "its low", "its high"), money),
            },
            folded=True,
        )


def falls(pairs: pd.DataFrame, doses: Mapping[str, float], *, level: float) -> Iterator[str]:
    """A sentence for each deeper dose that brought fewer back than a shallower one, beyond noise.

    Parameters
    ----------
    pairs
        Differences of offers as the readout has them: arm, against, outcome, estimate, p_holm.
    doses
        Dose by offer of one family.
    """
    for row in pairs[pairs["outcome"] == "returned"].to_dict("records"):
        arm, against, estimate = str(row["arm"]), str(row["against"]), float(row["estimate"])
        if not {arm, against} <= {*doses} or row["p_holm"] > 1.0 - level:
            continue
        deeper, other = (arm, against) if doses[arm] > doses[against] else (against, arm)
        if (estimate if deeper == arm else -estimate) < 0:
            yield (
                f"{words.plain(deeper)} brought fewer customers back than {words.plain(other)}, "
                f"beyond noise (p = {words.p_value(row['p_holm'])}): the response does not rise "
                "with the dose. Take this family out of doses: in the source."
            )


def _who(rows: pd.DataFrame) -> str:
    """Whom less than the deepest dose is enough for."""
    deepest = rows["dose"] == rows["dose"].max()
    none = rows["dose"] == 0
    less = float(rows.loc[~deepest & ~none, "share"].sum())
    return (
        f"{less:.0%} need less than the deepest dose, {rows.loc[none, 'share'].sum():.0%} are best "
        f"sent nothing of it, {rows.loc[deepest, 'share'].sum():.0%} are worth the deepest"
    )


def _gain(found: dict[str, object], family: object, findings: Findings) -> str:
    gain, lo, hi, more = words.more_or_less(*(float(str(found[k])) for k in ("gain", "lo", "hi")))
    shown, low, high = (
        words.measured(one, str(found["objective"]), findings.source) for one in (gain, lo, hi)
    )
    verdict = "within noise" if lo <= 0 <= hi else "beyond noise"
    return (
        f"The best dose of {words.plain(family)} for each customer earns {shown} {more} per "
        f"customer than {words.plain(found['best_single'])} for all "
        f"({findings.level:.0%} interval {words.interval(low, high)}, {verdict}), on customers "
        "whom the graded models have not seen. Averages are smoothed over the doses and taken to "
        "rise with the dose; a customer's own response has no prescribed shape."
    )

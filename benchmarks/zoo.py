"""Effects on experiments of many kinds, drawn with their truth, beside the same peers.

    python benchmarks/zoo.py [--quick] [--seeds N] [--rows N] [--world NAME] [--peers ...]

The experiments are those of `worlds`. Half of the rows are learned from, half are scored (see
`uplift`). The last three tables hold, per world, our figures beside those of whichever peer did
best at each, and how our effects keep their word (see `kept_word`), and, per peer, how often ours
earned more and how much of what the best possible choice gains (see `standing`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from results import show
from uplift import KEPT, PEERS, SLOW, compare, gap_to_ours, mean_and_reach
from worlds import WORLDS, table


def beside_best(frame: pd.DataFrame, peers: Sequence[str]) -> dict[str, float | str]:
    """Means of ours, of the best peer at each figure, and of the best offer for all."""
    qinis = [column for column in frame if column.startswith("qini ")]
    frame = frame.assign(qini=1000 * frame[qinis].mean(axis=1))
    means = frame.groupby("method")[["rmse", "value", "qini"]].mean()
    found: dict[str, float | str] = {}
    for figure, best in (("rmse", "idxmin"), ("value", "idxmax"), ("qini", "idxmax")):
        found[figure] = means.loc["winback", figure]
        theirs = means.loc[[peer for peer in peers if peer in means.index], figure]
        if len(theirs):
            found[f"peer {figure}"] = theirs.agg(best[3:])
            found[f"its name ({figure})"] = getattr(theirs, best)()
        if figure == "value":
            found["single value"] = means.loc["best single offer", figure]
    return found


def kept_word(frame: pd.DataFrame) -> dict[str, float]:
    """Slope and fifths of our effects (see `uplift.calibration`), 1 is right, over all tables.

    Tables count by the effects they tell, so one that tells hardly any says hardly anything. Each
    figure has half of its 95% interval beside it, by the jackknife over the tables; none where
    fewer than three tell any effects.
    """
    ours = frame[(frame["method"] == "winback") & (frame["spread"] > 0)]
    found: dict[str, float] = {"tables": len(ours)}
    for figure, power in (("slope", 1.0), ("low fifth", 0.5), ("high fifth", 0.5)):
        weight = ours["spread"] ** power
        total, all_weight = (ours[figure] * weight).sum(), weight.sum()
        found[figure] = total / all_weight if len(ours) else np.nan
        without = (total - ours[figure] * weight) / (all_weight - weight)
        values = len(ours) * found[figure] - (len(ours) - 1) * without
        reach = mean_and_reach(values.to_frame(figure))[1][figure] if len(ours) > 2 else np.nan
        found[f"{figure} +-"] = reach
    return found


def standing(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Ours beside each method over all worlds, from their frames (see `uplift.compare`).

    Worlds are counted by the mean value over the seeds; `surely` is where a paired 95% interval
    leaves out zero. `share` is the gain over sending nothing as a share of what the best possible
    choice gains, averaged over the worlds where there is any to gain; `more` is what ours has more,
    paired by seeds, with a 95% interval. `cpu` is our time to fit in units of theirs, geometric
    mean over the worlds, `cpu in all` that of all worlds together.
    """
    rows = (
        pd.concat(frames, names=["world"]).droplevel(1).set_index(["seed", "method"], append=True)
    )
    ours = rows.xs("winback", level="method")
    paired = rows.join(ours.add_suffix(" of ours"), on=["world", "seed"])
    paired = paired.drop(index=["winback", "random"], level="method", errors="ignore")
    paired["more"] = paired["gain over none of ours"] - paired["gain over none"]
    of_gain = ["gain over none of ours", "gain over none", "more"]
    by_seed = paired[of_gain].dropna().groupby(["seed", "method"], sort=False).mean()
    found = by_seed[of_gain[:2]].groupby("method", sort=False).mean()
    found = found.set_axis(["our share", "share"], axis=1)
    found["more"], found["+-"] = mean_and_reach(by_seed["more"].unstack("method"))
    gaps = pd.concat(
        [pd.concat(gap_to_ours(frame, "value"), axis=1) for frame in frames.values()]
    ).set_axis(["gap", "reach"], axis=1)
    for name, counted in (
        ("first", gaps["gap"] < 0),
        ("level", gaps["gap"] == 0),
        ("behind", gaps["gap"] > 0),
        ("surely first", gaps["gap"] < -gaps["reach"]),
        ("surely behind", gaps["gap"] > gaps["reach"]),
    ):
        found[name] = counted.groupby(level=0).sum()
    seconds = paired.groupby(["method", "world"])[["fit s of ours", "fit s"]].mean()
    ratio = np.log(seconds["fit s of ours"] / seconds["fit s"])
    found["cpu"] = np.exp(ratio.groupby("method").mean())
    total = seconds.groupby("method").sum()
    found["cpu in all"] = total["fit s of ours"] / total["fit s"].where(total["fit s"] > 0)
    return found


def main() -> None:
    """Parse the arguments, print a table per world and two of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, one seed")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--world", choices=WORLDS, action="append")
    parser.add_argument("--peers", nargs="*", default=[one for one in PEERS if one not in SLOW])
    parser.add_argument("--kept", type=Path, default=KEPT, help="where the peers' answers are kept")
    asked = parser.parse_args()
    frames, found, kept = {}, {}, {}
    for world in asked.world or WORLDS:
        # Where chances differ from row to row, only S, T and X do without them.
        without = [one for one in asked.peers if one in PEERS[:3]]
        peers = without if world == "logged" else asked.peers
        frame = compare(
            world,
            partial(table, world, asked.rows or (10_000 if asked.quick else None)),
            seeds=asked.seeds or (1 if asked.quick else 3),
            peers=peers,
            each=False,
            kept=asked.kept,
        )
        frames[world] = frame
        found[world], kept[world] = beside_best(frame, peers), kept_word(frame)
    for title, rows in (
        ("ours, and the best peer at each figure", found),
        ("how our effects keep their word", kept),
    ):
        show(f"all worlds: {title}", pd.DataFrame(rows).T.infer_objects().rename_axis("world"))
    show("all worlds: ours beside each method", standing(frames))


if __name__ == "__main__":
    main()

"""Effects on experiments of many kinds, drawn with their truth, beside the same peers.

    python benchmarks/zoo.py [--quick] [--seeds N] [--rows N] [--world NAME] [--peers ...]

The experiments are those of `worlds`. Half of the rows are learned from, half are scored (see
`uplift`). The last table holds, per world, our figures beside those of whichever peer did best at
each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from results import show
from uplift import KEPT, PEERS, compare
from worlds import WORLDS, table


def beside_best(frame: pd.DataFrame, peers: Sequence[str]) -> dict[str, float | str]:
    """Means of ours, of the best peer at each figure, and of the best offer for all.

    Slope and fifths say how ours keep their word (see `uplift.calibration`): 1 is right.
    """
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
    ours = frame[(frame["method"] == "winback") & (frame["spread"] > 0)]
    for figure, power in (("slope", 1.0), ("low fifth", 0.5), ("high fifth", 0.5)):
        weight = ours["spread"] ** power
        found[figure] = (ours[figure] * weight).sum() / weight.sum() if len(ours) else np.nan
    return found


def main() -> None:
    """Parse the arguments, print a table per world and one of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, one seed")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--world", choices=WORLDS, action="append")
    parser.add_argument("--peers", nargs="*", default=[one for one in PEERS if "Forest" not in one])
    parser.add_argument("--kept", type=Path, default=KEPT, help="where the peers' answers are kept")
    asked = parser.parse_args()
    found = {}
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
        found[world] = beside_best(frame, peers)
    table_of_all = pd.DataFrame(found).T.infer_objects().rename_axis("world")
    show("all worlds: ours, and the best peer at each figure", table_of_all)


if __name__ == "__main__":
    main()

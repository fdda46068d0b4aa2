"""The multi-armed Qini against a linear programme, the clock, and other libraries' Qini.

    python benchmarks/qini.py [--quick]

causalml and scikit-uplift are compared where they can be imported. All runs are on one thread.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show
from scipy.optimize import linprog
from uplift_curve import uplift_curve

from winback.models.evaluation.qini import gain_at, multi_armed_qini
from winback.models.evaluation.qini_bootstrap import bootstrap


def seconds(run: Callable[[], Any], repeats: int = 5) -> float:
    """Processor seconds on one thread, best of several runs: what an idle machine would take."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def largest_gap_to_linear_programme(cases: int) -> float:
    """Largest difference to linprog over ten budgets, costs of any sign."""
    worst = 0.0
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(10, 60)), int(rng.integers(1, 6))
        effects = rng.normal(0.2, 1, (n, k)).round(int(rng.integers(1, 8)))
        costs = rng.uniform([0.1, 0.0, -0.5][seed % 3], 2, (n, k)).round(int(rng.integers(1, 8)))
        curve = multi_armed_qini(effects, costs, effects)
        for budget in np.linspace(max(curve.spend[0], 0), max(curve.spend[-1] * 1.05, 0.1), 10):
            solved = linprog(
                -effects.ravel() / n,
                A_ub=np.vstack([np.kron(np.eye(n), np.ones(k)), costs.reshape(1, -1) / n]),
                b_ub=np.append(np.ones(n), budget),
                bounds=(0, 1),
                method="highs",
            )
            worst = max(worst, abs(float(gain_at(curve, budget)) + solved.fun))
    return worst


def clock(rows: int, rows_bootstrap: int) -> list[tuple[str, float]]:
    """Seconds of the curve with costs per customer and per offer, and of paired bootstraps."""
    rng = np.random.default_rng(0)
    effects = rng.normal(0.1, 1, (rows, 4))
    costs = rng.uniform(0.1, 2, (rows, 4))
    scores = effects + rng.normal(0, 1, (rows, 4))
    flat = np.array([1.2, 1.05, 2.25, 1.1])
    part = slice(0, rows_bootstrap)
    curves = {
        "ours": multi_armed_qini(effects[part], costs[part], scores[part]),
        "other": multi_armed_qini(effects[part, ::-1], costs[part], scores[part]),
    }
    budgets = np.linspace(0, 0.5, 101)

    def paired() -> None:
        bootstrap(curves, budgets, rng=np.random.default_rng(1), replicates=200)

    return [
        (
            f"curve, {rows:,} x 4, a cost per customer",
            seconds(lambda: multi_armed_qini(effects, costs, scores)),
        ),
        (
            f"curve, {rows:,} x 4, a cost per offer",
            seconds(lambda: multi_armed_qini(effects, flat, scores)),
        ),
        (f"200 paired bootstraps of two curves, {rows_bootstrap:,} x 4", seconds(paired)),
    ]


def peers(rows: int) -> pd.DataFrame:
    """One ranking under every library's definition, with seconds."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=rows)
    offered = rng.random(rows) < 0.5
    outcome = (rng.random(rows) < 0.2 + offered * 0.05 * (1 + np.tanh(x))).astype(int)
    score = x + rng.normal(0, 1, rows)
    frame = pd.DataFrame({"score": score, "w": offered.astype(int), "y": outcome})
    ours = uplift_curve(score, offered, outcome)
    took = seconds(lambda: uplift_curve(score, offered, outcome), 3)
    table = [
        ("winback", "qini, normalized", ours.qini_score_normalized, took),
        ("winback", "AUUC, normalized", ours.auuc_normalized, took),
        ("winback", "qini, plain, per customer", ours.qini_score / rows, took),
    ]
    try:
        from causalml.metrics import auuc_score, qini_score

        for name, metric in (("qini, normalized", qini_score), ("AUUC, normalized", auuc_score)):
            table.append(
                (
                    "causalml",
                    name,
                    float(metric(frame)["score"]),
                    seconds(lambda metric=metric: metric(frame), 3),
                )
            )
    except ImportError as error:
        table.append(("causalml", f"cannot be imported: {error}", np.nan, np.nan))
    try:
        from sklift.metrics import qini_auc_score

        warnings.simplefilter("ignore", FutureWarning)  # of scikit-learn, about scikit-uplift

        def lift() -> float:
            return float(qini_auc_score(outcome, score, offered.astype(int)))

        table.append(
            ("scikit-uplift", "qini over that of a perfect model", lift(), seconds(lift, 3))
        )
    except ImportError as error:
        table.append(("scikit-uplift", f"cannot be imported: {error}", np.nan, np.nan))
    return pd.DataFrame(table, columns=["library", "figure", "value", "seconds"])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    quick = parser.parse_args().quick
    cases = 6 if quick else 60
    gap = largest_gap_to_linear_programme(cases)
    print(f"largest gap to the linear programme, {cases} cases x 10 budgets: {gap:.1e}")
    took = clock(100_000 if quick else 1_000_000, 5_000 if quick else 50_000)
    show("seconds", pd.DataFrame(took, columns=["what", "seconds"]).set_index("what"), decimals=3)
    show("one Qini, three libraries", peers(10_000 if quick else 100_000), decimals=6)


if __name__ == "__main__":
    main()

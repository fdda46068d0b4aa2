"""How often the readout errs: on thousands of experiments drawn over simulated customers.

    python benchmarks/experiment.py [--quick]

The customers, and what each would do under every offer, come from the simulated world; each
experiment draws some of them, randomizes offers, and draws outcomes. So the truth is known.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show

from winback.models.evaluation.offpolicy import offer_scores
from winback.models.experiment.covariates import covariate_design
from winback.models.experiment.effects import arm_scores, estimate_row
from winback.models.experiment.randomization import detectable_losses, sample_ratio
from winback.models.experiment.readout import readout
from winback.models.intervals import holm, mean_estimate
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import World

OFFERS = ("none", "discount", "upgrade", "bundle")


@dataclass(frozen=True)
class Customers:
    """Leavers with what they would do: chance to return and profit of a return, per offer."""

    chance: np.ndarray
    profit: np.ndarray
    facts: np.ndarray
    reason: np.ndarray


def customers(scale: float) -> Customers:
    """The experiment's customers of one simulated business."""
    world = simulate(World(scale=scale), seed=0)
    truth = world.truth[world.truth["population"] == "experiment"]
    chance = truth[[f"return_probability_{name}" for name in OFFERS]].to_numpy()
    profit = truth[[f"profit_{name}" for name in OFFERS]].to_numpy() / chance
    stated = world.tables["departures"].drop_duplicates("customer_id", keep="last")
    stated = truth[["customer_id"]].merge(stated, on="customer_id", how="left")["reason"]
    orders = world.tables["orders"].groupby("customer_id")["amount"].agg(["size", "mean"])
    spent = orders.reindex(truth["customer_id"]).fillna(0).reset_index(drop=True)
    facts = covariate_design(spent.assign(reason=stated.to_numpy())).matrix
    return Customers(chance, profit, facts, truth["true_reason"].astype(str).to_numpy())


def false_alarms(people: Customers, runs: int, rows: int) -> pd.DataFrame:
    """Share of experiments without any effect in which an effect or a mismatch is found."""
    rng = np.random.default_rng(1)
    arms = [f"arm {at}" for at in range(5)]
    found = {(what, adjusted): [] for what in ("returned", "profit") for adjusted in (False, True)}
    family, mismatches = [], 0
    for _ in range(runs):
        drawn = rng.integers(0, len(people.chance), rows)
        labels = np.array(arms)[rng.integers(0, 5, rows)]
        mismatches += sample_ratio(labels, dict.fromkeys(arms, 0.2)).mismatch
        returned = (rng.random(rows) < people.chance[drawn, 0]).astype(float)
        earned = returned * people.profit[drawn, 0] * rng.lognormal(-0.125, 0.5, rows)
        outcomes = np.column_stack([returned, earned])
        for adjusted in (False, True):
            facts = people.facts[drawn] if adjusted else None
            scores = arm_scores(outcomes, labels, arms, design=facts)
            for at, what in enumerate(("returned", "profit")):
                tests = [
                    estimate_row(scores[k, :, at] - scores[0, :, at], None)["p_value"]
                    for k in range(1, 5)
                ]
                found[what, adjusted].append(tests[0] < 0.05)
                if what == "returned" and not adjusted:
                    family.append((holm(tests) < 0.05).any())
    table = [
        (f"effect on {what}, {'adjusted' if adjusted else 'plain'}, at 5%", np.mean(hits))
        for (what, adjusted), hits in found.items()
    ]
    table += [
        ("any of four effects on returned, Holm, at 5%", np.mean(family)),
        ("sample ratio mismatch, at 0.1%", mismatches / runs),
    ]
    return pd.DataFrame(table, columns=[f"found without cause in {runs} runs", "share"])


def losses(runs: int) -> pd.DataFrame:
    """Share of experiments that lost a tenth of one arm in five in which it is noticed."""
    rng = np.random.default_rng(2)
    arms = np.array(list("abcde"))
    table = []
    for rows in (5_000, 10_000, 20_000, 50_000):
        caught = 0
        for _ in range(runs):
            counts = rng.multinomial(rows, [0.2] * 5)
            counts[3] = rng.binomial(counts[3], 0.9)
            caught += sample_ratio(np.repeat(arms, counts), dict.fromkeys(arms, 0.2)).mismatch
        smallest = detectable_losses(np.full(5, 0.2), rows)[0]
        table.append((rows, caught / runs, smallest))
    return pd.DataFrame(table, columns=["rows", "10% loss noticed", "loss noticed at 80%"])


def predictions(people: Customers, drawn: np.ndarray, log: dict, rng: np.random.Generator):
    """Cross-fitted linear predictions of profit under every offer, in two folds."""
    facts = np.column_stack([np.ones(len(drawn)), people.facts[drawn]])
    fold = rng.integers(0, 2, len(drawn))
    predicted = np.empty((len(drawn), len(OFFERS)))
    for part in (0, 1):
        for at, offer in enumerate(OFFERS):
            learn = (fold != part) & (log["sent"] == offer)
            fit = np.linalg.lstsq(facts[learn], log["outcome"][learn], rcond=None)[0]
            predicted[fold == part, at] = facts[fold == part] @ fit
    return predicted


def coverage(people: Customers, runs: int, rows: int) -> pd.DataFrame:
    """Share of 95% intervals of the value of a policy that hold the truth, and their variance."""
    rng = np.random.default_rng(3)
    tailored = np.where(np.char.find(people.reason.astype(str), "price") >= 0, 1, 2)
    half = np.full((len(tailored), len(OFFERS)), 0.1)
    half[np.arange(len(tailored)), tailored] += 0.6
    policies = {
        "discount for all": np.eye(4)[np.ones(len(tailored), dtype=int)],
        "tailored by reason": np.eye(4)[tailored],
        "drawing lots": half,
    }
    chances = np.where(tailored[:, None] == np.arange(4), 0.4, 0.2)
    results: dict[tuple[str, str, str], list[tuple[bool, float]]] = {}
    for _ in range(runs):
        drawn = rng.integers(0, len(tailored), rows)
        chance = chances[drawn]
        sent = (rng.random((rows, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(0, 3)
        returned = (rng.random(rows) < people.chance[drawn, sent]).astype(float)
        earned = returned * people.profit[drawn, sent] * rng.lognormal(-0.125, 0.5, rows)
        for outcome, seen, expected in (
            ("returned", returned, people.chance),
            ("profit", earned, people.chance * people.profit),
        ):
            log = {
                "sent": np.array(OFFERS)[sent],
                "outcome": seen,
                "propensity": chance[np.arange(rows), sent],
                "offers": OFFERS,
            }
            predicted = predictions(people, drawn, log, rng)
            for name, policy in policies.items():
                truth = float((policy * expected).sum(axis=1).mean())
                for method, scores in policy_scores(policy[drawn], log, predicted).items():
                    estimate = mean_estimate(scores)
                    held = estimate.lo <= truth <= estimate.hi
                    results.setdefault((outcome, name, method), []).append((held, estimate.se**2))
    table = []
    for (outcome, name, method), seen in results.items():
        held, variance = np.mean(seen, axis=0)
        base = np.mean(results[outcome, name, "ipw"], axis=0)[1]
        table.append((outcome, name, method, held, variance / base))
    columns = ["outcome", "policy", "method", f"coverage in {runs}", "variance over IPW"]
    return pd.DataFrame(table, columns=columns)


def policy_scores(policy: np.ndarray, log: dict, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Scores whose mean is the value of a policy (n, offers): IPW, self-normalized IPW, AIPW.

    The self-normalized ones (Hájek 1971; Swaminathan & Joachims 2015) are its linearization.
    """
    weight = (policy * (log["sent"][:, None] == np.array(OFFERS))).sum(axis=1) / log["propensity"]
    normalized = (weight * log["outcome"]).sum() / weight.sum()
    return {
        "ipw": (policy * offer_scores(**log)).sum(axis=1),
        "snipw": normalized + weight * (log["outcome"] - normalized) / weight.mean(),
        "dr": (policy * offer_scores(**log, predictions=predicted)).sum(axis=1),
    }


def whole_businesses(runs: int, effect_strength: float) -> pd.DataFrame:
    """Readouts of whole simulated businesses: how often intervals hold the true effects."""
    held, found = {"arm": [], "offer, pooled": []}, {"arm": [], "offer, pooled": []}
    alarms = 0
    for seed in range(runs):
        made = simulate(World(scale=0.1, effect_strength=effect_strength), seed=1000 + seed)
        truth = made.truth[made.truth["population"] == "experiment"]
        chance = truth[[f"return_probability_{name}" for name in OFFERS]].mean().to_numpy()
        frame = made.tables["offers"]
        days = (frame["returned_at"] - frame["offered_at"]).dt.days
        frame["returned"] = (days < made.world.return_window_days).astype(int)
        rng = np.random.default_rng(seed)
        result = readout(frame, control="none", rng=rng, allow_mismatch=True)
        alarms += result.sample_ratio.mismatch
        for name, table in (("arm", result.effects), ("offer, pooled", result.offers)):
            table = table[(table["outcome"] == "returned") & (table.iloc[:, 0] != "tailored")]
            expected = chance[[OFFERS.index(x) for x in table.iloc[:, 0]]] - chance[0]
            held[name].extend((table["lo"] <= expected) & (expected <= table["hi"]))
            found[name].extend(table["p_value"] < 0.05)
    table = [(name, np.mean(held[name]), np.mean(found[name]), alarms / runs) for name in held]
    columns = ["holds truth", "found at 5%", "mismatch alarms"]
    name = f"{runs} businesses, strength {effect_strength:g}: effect of"
    return pd.DataFrame(table, columns=[name, *columns])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, a smaller world")
    quick = parser.parse_args().quick
    people = customers(0.1 if quick else 1.0)
    businesses = 3 if quick else 100
    for make in (
        lambda: false_alarms(people, 100 if quick else 1000, 2_000),
        lambda: losses(100 if quick else 1000),
        lambda: coverage(people, 60 if quick else 500, 4_000),
        lambda: whole_businesses(businesses, effect_strength=0.0),
        lambda: whole_businesses(businesses, effect_strength=1.0),
    ):
        table = make()
        show(str(table.columns[0]), table.set_index(table.columns[0]))


if __name__ == "__main__":
    main()

"""How often personal offers are claimed where there is nothing, and found where there is something.

    python benchmarks/evidence.py [--quick] [--only NAME ...] [--runs N]

Seven questions, each asked of `OfferUplift` on experiments drawn with their truth:

* shuffled: the offers of a zoo world are dealt out anew, so that none does anything. How often is
  a personal choice called evident (wanted: at most 5%)?
* uncrossed: offers work, but the same one is best for everybody. How often (at most 5%)?
* planted: the best possible choice gains three standard errors over the best offer for all, those
  of that very difference on these rows. How often is the learned choice called evident (wanted: at
  least 80%)? Once the mail helps most and harms one plan, and once half and half by a column,
  where on average it does nothing and the two offers for all are equal.
* seeds: the same rows, other fold seeds. How often does the decision agree with that of most
  seeds (wanted: at least 95% where the gain is clear)?
* forecast: the gain that is told from half of the customers stands with a 95% interval. How often
  does the true gain among the other half lie in it?
* households: four customers share their fate and their offer, which does nothing. How often is a
  personal choice called evident, with `groups=` and without?
* rare: an offer of 60 rows among thousands, no effect anywhere. How often is it the best single?

Shares stand beside 95% intervals (Wilson).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from results import show
from uplift_tables import CONTROL
from worlds import table

from winback.models.evaluation.personal_gain import is_evident
from winback.models.intervals import mean_estimate, normal_reach, wilson_interval
from winback.models.uplift.uplift import OfferUplift

SHUFFLED = ("harm", "spend", "small", "crossover")
UNCROSSED = ("alike", "waning")
SEEDS = ("crossover", "corners", "small", "harm")
FOLD_SEEDS = 8
Record = dict[str, object]


def shuffled(runs: int) -> Iterator[Record]:
    """Worlds of the zoo, 4,000 rows, with the offers dealt out anew."""
    for world in SHUFFLED:
        claims = []
        for seed in range(max(1, runs // len(SHUFFLED))):
            drawn = table(world, 8_000, seed)
            offer = np.random.default_rng([seed, 1]).permutation(drawn.offer)
            model = OfferUplift(control=CONTROL).fit(drawn.train, drawn.outcome, offer=offer)
            claims.append(model.evident_)
        yield _share("shuffled", world, "evident", claims)


def uncrossed(runs: int) -> Iterator[Record]:
    """Worlds of the zoo in which nobody is better off with another offer, 4,000 rows."""
    for world in UNCROSSED:
        claims = []
        for seed in range(max(1, runs // 4)):
            drawn = table(world, 8_000, seed)
            model = OfferUplift(control=CONTROL).fit(
                drawn.train, drawn.outcome, offer=drawn.offer, propensity=drawn.propensity
            )
            claims.append(model.evident_)
        yield _share("uncrossed", world, "evident", claims)


def planted(runs: int) -> Iterator[Record]:
    """6,000 rows, a mail or none; what can be known of the gain, and what is found of it.

    "By the truth" is the best possible choice against the offer that truly is best for all;
    "by the truth, best picked" against the one that these rows make the best, as it has to be.
    """
    for world, effects in (("harms one plan", _harms_one), ("half and half", _half_and_half)):
        said: dict[str, list[bool]] = {}
        for seed in range(max(1, runs // 10)):
            rng = np.random.default_rng([seed, 2])
            X = pd.DataFrame(rng.normal(size=(6_000, 6))).add_prefix("x")
            X["plan"] = rng.choice(list("abcd"), len(X))
            effect = effects(X)
            sent = rng.random(len(X)) < 0.5
            chance = 0.3 + 0.05 * np.tanh(X["x1"]) + np.where(sent, effect, 0.0)
            outcome = (rng.random(len(X)) < chance).astype(float)
            offer = np.where(sent, "mail", CONTROL)
            model = OfferUplift(control=CONTROL).fit(X, outcome, offer=offer)
            for name, best in (
                ("by the truth", effect.mean() > 0),
                ("by the truth, best picked", model.best_single_ == "mail"),
            ):
                chosen = (effect > 0).astype(float) - float(best)
                gain = mean_estimate(chosen * (model.scores_[:, 1] - model.scores_[:, 0]))
                said.setdefault(f"evident {name}", []).append(
                    is_evident(gain.value, gain.se, gain.units)
                )
            said.setdefault("evident", []).append(model.evident_)
            said.setdefault("personalizes", []).append(model.personalizes_)
        for what, answers in said.items():
            yield _share("planted", world, what, answers)


def _harms_one(X: pd.DataFrame) -> np.ndarray:
    """The mail helps three of four plans, and harms the fourth by three errors of that."""
    return np.where(X["plan"] == "a", _three_errors(len(X) / 4, -1.0), 0.05)


def _half_and_half(X: pd.DataFrame) -> np.ndarray:
    """The mail helps one half by three errors of its effect on that half, and harms the other."""
    return np.where(X["x0"] > 0, 1.0, -1.0) * _three_errors(len(X) / 2, 1.0)


def _three_errors(rows: float, sign: float) -> float:
    """An effect on a chance of 0.3 of three of its errors, a half of the rows with the mail."""
    effect = 0.0
    for _ in range(20):
        chance = 0.3 + effect
        effect = sign * 3.0 * np.sqrt(2 * (0.3 * 0.7 + chance * (1 - chance)) / rows)
    return float(effect)


def seeds(runs: int) -> Iterator[Record]:
    """Worlds of the zoo with something to find, 6,000 rows, eight fold seeds each."""
    for world in SEEDS:
        agrees, personalized = [], []
        for draw in range(max(1, runs // 200)):
            drawn = table(world, 12_000, draw)
            said = [
                OfferUplift(control=CONTROL, seed=seed)
                .fit(drawn.train, drawn.outcome, offer=drawn.offer, propensity=drawn.propensity)
                .personalizes_
                for seed in range(FOLD_SEEDS)
            ]
            most = 2 * sum(said) >= len(said)
            agrees += [one == most for one in said]
            personalized += said
        yield _share("seeds", world, "agrees with most", agrees)
        yield _share("seeds", world, "personalizes", personalized)


def forecast(runs: int) -> Iterator[Record]:
    """Whether the gain told from 6,000 rows, with its 95% interval, holds for new customers."""
    for world in (*SEEDS, "alike", "nothing"):
        held = []
        for draw in range(max(1, runs // 50)):
            drawn = table(world, 12_000, draw)
            model = OfferUplift(control=CONTROL)
            model.fit(drawn.train, drawn.outcome, offer=drawn.offer, propensity=drawn.propensity)
            effects = model.predict(drawn.score).to_numpy()
            truth = drawn.truth[[CONTROL, *model.offers_]].to_numpy()
            chosen = np.column_stack([np.zeros(len(effects)), effects]).argmax(axis=1)
            gained = truth[np.arange(len(truth)), chosen] - drawn.truth[model.best_single_]
            held.append(abs(gained.mean() - model.gain_) <= normal_reach(0.95) * model.gain_se_)
        yield _share("forecast", world, "inside its interval", held)


def households(runs: int) -> Iterator[Record]:
    """1,500 households of four, one offer each that does nothing, shared chances of return."""
    for spread, name in ((1.5, "spread 1.5"), (2.2, "spread 2.2")):
        claims: dict[str, list[bool]] = {"groups": [], "rows": []}
        for seed in range(max(1, runs // 10)):
            rng = np.random.default_rng([seed, 3])
            home = np.repeat(np.arange(1_500), 4)
            shared = rng.normal(size=1_500)[home]
            X = pd.DataFrame(rng.normal(size=(len(home), 4))).add_prefix("x")
            X["x0"] = rng.normal(size=1_500)[home]
            X["x1"] = rng.normal(size=1_500)[home]
            offer = np.where(rng.random(1_500) < 0.5, "mail", CONTROL)[home]
            chance = 1.0 / (1.0 + np.exp(0.5 - spread * shared))
            outcome = (rng.random(len(home)) < chance).astype(float)
            for way, groups in (("groups", home), ("rows", None)):
                model = OfferUplift(control=CONTROL).fit(X, outcome, offer=offer, groups=groups)
                claims[way].append(model.evident_)
        for way, said in claims.items():
            yield _share("households", f"{name}, {way}", "evident", said)


def rare(runs: int) -> Iterator[Record]:
    """Two common offers and one of 60 rows, none of which does anything."""
    chosen = []
    for seed in range(max(1, runs // 5)):
        rng = np.random.default_rng([seed, 4])
        X = pd.DataFrame(rng.normal(size=(4_000, 3))).add_prefix("x")
        offer = rng.choice(np.array([CONTROL, "mail", "call"], dtype=object), len(X))
        offer[rng.choice(len(X), 60, replace=False)] = "gift"
        outcome = (rng.random(len(X)) < 0.2).astype(float)
        model = OfferUplift(control=CONTROL, learners=["additive"])
        chosen.append(model.fit(X, outcome, offer=offer).best_single_ == "gift")
    yield _share("rare", "60 of 4,000 rows", "best single", chosen)


QUESTIONS: dict[str, Callable[[int], Iterator[Record]]] = {
    "shuffled": shuffled,
    "uncrossed": uncrossed,
    "planted": planted,
    "seeds": seeds,
    "forecast": forecast,
    "households": households,
    "rare": rare,
}


def _share(question: str, world: str, said: str, answers: list[bool]) -> Record:
    share = sum(answers) / len(answers)
    low, high = wilson_interval(share, len(answers))
    return {
        "question": question,
        "world": world,
        "said": said,
        "share": share,
        "lo": float(low),
        "hi": float(high),
        "of": len(answers),
    }


def main() -> None:
    """Parse the arguments, ask, and print one row per world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs")
    parser.add_argument("--only", choices=QUESTIONS, nargs="+", default=list(QUESTIONS))
    parser.add_argument("--runs", type=int, help="shuffled experiments; the others in proportion")
    asked = parser.parse_args()
    runs = asked.runs or (40 if asked.quick else 1_000)
    records = [record for name in asked.only for record in QUESTIONS[name](runs)]
    show("personal offers claimed and found", pd.DataFrame(records).set_index("question"))


if __name__ == "__main__":
    main()

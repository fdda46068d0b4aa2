"""Experiments of many kinds, drawn with their truth.

Each world is a kind of experiment that has been published or run by many a shop, at its usual
size, with invented numbers: sizes of arms, rates, columns and the kind of effect are what one
meets. A world says how the outcome of every row would be under every offer; `table` draws who was
sent what and what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from uplift_tables import CONTROL, Table


@dataclass(frozen=True)
class World:
    """Rows with the mean outcome under every offer (control first) and how it varies around it.

    `shares` are the probabilities of the offers, (offers,) or (rows, offers); `draw` makes an
    outcome from means; `costs` and `doses` are those of a `Table`.
    """

    columns: pd.DataFrame
    means: pd.DataFrame
    shares: np.ndarray
    draw: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    costs: dict[str, float] | None = None
    doses: dict[str, dict[str, float]] | None = None


def table(name: str, rows: int | None, seed: int) -> Table:
    """A table of the world of that name, by default of the size that such experiments have."""
    world, size = WORLDS[name]
    rng = np.random.default_rng([seed, list(WORLDS).index(name)])
    found = world(rng, rows or size)
    shares = np.broadcast_to(found.shares, found.means.shape)
    code = (rng.random(len(shares))[:, None] > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
    chosen = np.arange(len(code)), code
    offer = found.means.columns.to_numpy(dtype=object)[code]
    outcome = found.draw(found.means.to_numpy()[chosen], rng)
    half = len(code) // 2
    return Table(
        train=found.columns[:half],
        offer=offer[:half],
        outcome=outcome[:half],
        propensity=shares[chosen][:half],
        score=found.columns[half:].reset_index(drop=True),
        truth=found.means[half:].reset_index(drop=True),
        costs=found.costs,
        doses=found.doses,
    )


def voting(rng: np.random.Generator, rows: int) -> World:
    """A letter that asks to vote, four wordings: one clearly best, little else to find."""
    votes = ("general_2000", "general_2002", "primary_2000", "primary_2002", "primary_2004")
    habit = rng.normal(size=rows)
    age = np.clip(rng.normal(50 + 4 * habit, 14), 20, 100).round()
    X = pd.DataFrame({"age": age, "sex": rng.choice(["female", "male"], rows)})
    X["household_size"] = rng.choice([1, 2, 3, 4, 5], rows, p=[0.14, 0.58, 0.19, 0.07, 0.02])
    for vote, usual in zip(votes, (1.9, 1.6, -1.2, -0.5, -0.45), strict=True):
        X[vote] = (rng.random(rows) < _chance(usual + 0.9 * habit)).astype(int)
    past = X[list(votes)].sum(axis=1) - 2.6
    odds = -0.95 + 0.3 * past + 0.012 * (age - 50)
    keen = 0.05 * past + 0.006 * (age - 50)
    added = {"civic": 0.09 + 0 * keen, "watched": 0.12 + 0.2 * keen, "self": 0.24 + 0.5 * keen}
    return _binary(X, odds, added | {"neighbours": 0.39 + keen}, (0.556, *[0.111] * 4))


def advertising(rng: np.random.Generator, rows: int) -> World:
    """Shown an advertisement or not: rare visits, anonymous columns, few who can be moved."""
    Z = rng.normal(size=(rows, 12))
    X = pd.DataFrame(np.where(rng.random((rows, 12)) < 0.35, -0.4, np.exp(0.6 * Z)))
    X = X.add_prefix("f")
    warm = (Z[:, 0] + 0.5 * Z[:, 3] > 0.9) | (Z[:, 5] > 1.8)
    odds = -4.6 + 2.2 * warm + 0.4 * Z[:, 8] - 0.3 * np.abs(Z[:, 9])
    moved = 0.02 + 0.45 * (warm & (X["f2"] > 0.6)) + 0.15 * (Z[:, 8] > 1)
    X["f0"], X["f3"], X["f5"] = Z[:, 0], Z[:, 3].round(1), np.exp(Z[:, 5])
    X["f8"] = np.where(Z[:, 8] > -0.5, Z[:, 8], -0.5)
    return _binary(X, odds, {"shown": moved}, (0.15, 0.85))


def conversion(rng: np.random.Generator, rows: int) -> World:
    """The same advertisement judged by purchases, three in a thousand."""
    seen = advertising(rng, rows)
    return World(seen.columns, seen.means * 0.07, seen.shares, _happens)


def messages(rng: np.random.Generator, rows: int) -> World:
    """A shop's text messages: a hundred columns, many missing, a small effect."""
    wide = 100
    factor = rng.normal(size=(rows, 6))
    Z = factor @ rng.normal(size=(6, wide)) * 0.35 + rng.normal(size=(rows, wide))
    X = pd.DataFrame(np.where(np.arange(wide) % 3 == 0, np.exp(Z), Z)).add_prefix("k")
    gone = rng.random((rows, wide)) < np.where(np.arange(wide) % 4 == 1, 0.45, 0.02)
    X = X.mask(gone)
    X["gender"] = rng.choice(["F", "M", "not known"], rows, p=[0.6, 0.3, 0.1])
    odds = -2.4 + 0.8 * factor[:, 0] + 0.4 * Z[:, 3] - 0.3 * (X["gender"] == "M")
    moved = 0.06 + 0.14 * np.tanh(Z[:, 3]) + 0.08 * factor[:, 1]
    return _binary(X, odds, {"message": moved}, (0.25, 0.75))


def coupon(rng: np.random.Generator, rows: int) -> World:
    """A coupon by mail: categories of few and of many levels, one purchase in a hundred."""
    many = np.exp(rng.normal(size=120))
    X = pd.DataFrame(
        {
            "segment": rng.choice(list("abcd"), rows, p=[0.45, 0.3, 0.15, 0.1]),
            "channel": rng.choice(["web", "shop", "phone"], rows),
            "region": rng.choice([f"r{i:03}" for i in range(120)], rows, p=many / many.sum()),
            "product": rng.choice([f"p{i:02}" for i in range(40)], rows),
            "score": rng.normal(30, 5, rows),
            "visits": rng.poisson(2, rows),
        }
    )
    by_region = pd.Series(rng.normal(0, 0.3, 120), [f"r{i:03}" for i in range(120)])
    odds = -5.0 + X["region"].map(by_region).astype(float) + 0.3 * (X["channel"] == "web")
    odds = odds + 0.15 * X["visits"]
    moved = 0.95 * ((X["segment"] == "b") & (X["channel"] != "phone")) + 0.1
    return _binary(X, odds, {"coupon": moved}, (0.5, 0.5))


def spend(rng: np.random.Generator, rows: int) -> World:
    """Money spent after one of two e-mails: nothing for 99 of 100, a long tail for the rest."""
    X = _shoppers(rng, rows)
    odds = -5.2 + 0.5 * np.log(X["history"] / 150) + 0.4 * (X["channel"] == "web")
    amount = np.exp(4.3 + 0.25 * np.log(X["history"] / 150))
    bought = {
        "none": _chance(odds),
        "mens": _chance(odds + 0.45 + 0.5 * X["mens"]),
        "womens": _chance(odds + 0.15 + 0.6 * X["womens"]),
    }
    means = pd.DataFrame({name: chance * amount for name, chance in bought.items()})

    def draw(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        chance = mean / amount.to_numpy()
        tail = np.exp(rng.normal(-0.32, 0.8, rows))
        return np.where(rng.random(rows) < chance, (amount * tail).round(2), 0.0)

    return World(X, means, np.full(3, 1 / 3), draw)


def crossover(rng: np.random.Generator, rows: int) -> World:
    """No effect on average: half gain and half lose, by products, steps and exclusive ors."""
    X = pd.DataFrame(rng.normal(size=(rows, 10))).add_prefix("x")
    odds = -0.5 + 0.6 * X["x7"]
    exclusive = (X["x2"] > 0) ^ (X["x3"] > 0.3)
    added = {
        "call": 0.6 * X["x0"] * X["x1"],
        "gift": np.where(exclusive, 0.6, -0.6),
        "mail": np.where((X["x4"] > 0.7) & (X["x7"] > -0.5), 0.9, -0.2),
    }
    return _binary(X, odds, added, (0.25,) * 4)


def alike(rng: np.random.Generator, rows: int) -> World:
    """Strong main effects and the same gain for everybody: nothing to personalize."""
    X = pd.DataFrame(rng.normal(size=(rows, 15))).add_prefix("x")
    level = 0.25 + 0.18 * np.tanh(X["x0"] + 0.6 * X["x1"] * X["x2"]) + 0.05 * np.sin(2 * X["x3"])
    means = {"none": level, "a": level + 0.02, "b": level + 0.05, "c": level + 0.035}
    return World(X, pd.DataFrame(means), np.full(4, 0.25), _happens)


def nothing(rng: np.random.Generator, rows: int) -> World:
    """Two offers that change nothing."""
    X = _shoppers(rng, rows)
    odds = -1.8 + 0.4 * np.log(X["history"] / 150)
    return _binary(X, odds, {"mens": 0 * odds, "womens": 0 * odds}, (1 / 3,) * 3)


def harm(rng: np.random.Generator, rows: int) -> World:
    """A call to customers who may leave: it keeps some and wakes up others."""
    X = pd.DataFrame(
        {
            "tenure": rng.gamma(2, 18, rows),
            "bill": np.exp(rng.normal(3.9, 0.4, rows)),
            "calls": rng.poisson(1.5, rows),
            "overage": np.maximum(rng.normal(-5, 12, rows), 0),
            "plan": rng.choice(["basic", "plus", "max"], rows, p=[0.5, 0.35, 0.15]),
        }
    )
    odds = 2.2 + 0.02 * (X["tenure"] - 36).clip(upper=40) - 0.25 * X["calls"]
    asleep = (X["calls"] == 0) & (X["overage"] == 0)
    moved = np.where(asleep, -0.75, 0.15 + 0.12 * X["calls"]) - 0.25 * (X["plan"] == "max")
    return _binary(X, odds, {"call": moved}, (0.4, 0.6))


def logged(rng: np.random.Generator, rows: int) -> World:
    """The riskier the likelier called, with logged chances; the same gain for everybody."""
    X = pd.DataFrame(rng.normal(size=(rows, 8))).add_prefix("x")
    worth = 100 + 30 * X["x0"] + 15 * X["x1"].clip(lower=0) ** 2
    sent = np.clip(_chance(1.1 * X["x0"] + 0.6 * X["x2"]), 0.05, 0.95).to_numpy()
    means = pd.DataFrame({"none": worth, "call": worth + 6})
    return World(X, means, np.column_stack([1 - sent, sent]), _around(40.0))


def earnings(rng: np.random.Generator, rows: int) -> World:
    """Two trainings judged by what people earn: many zeros, a long tail, steps and slopes."""
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 60, rows),
            "school_years": np.clip(rng.normal(11, 2.5, rows), 4, 18).round(),
            "earned_before": np.where(
                rng.random(rows) < 0.4, 0.0, np.exp(rng.normal(8.5, 1, rows))
            ),
            "married": rng.integers(0, 2, rows),
            "site": rng.choice([f"site {i}" for i in range(16)], rows),
        }
    )
    worth = 4000 + 0.35 * X["earned_before"].clip(upper=30_000) + 300 * (X["school_years"] - 11)
    young = X["age"] < 25
    means = pd.DataFrame(
        {
            "none": worth,
            "class": worth + 500 + 1500 * young - 120 * (X["school_years"] - 11),
            "job search": worth + 700 + 900 * (X["earned_before"] > 0) - 1200 * young,
        }
    ).clip(lower=300)

    def draw(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        works = rng.random(rows) < 0.7
        return np.where(works, mean / 0.7 * np.exp(rng.normal(-0.32, 0.8, rows)), 0.0)

    return World(X, means, np.array([0.34, 0.33, 0.33]), draw)


def small(rng: np.random.Generator, rows: int) -> World:
    """Five offers on two thousand rows each: smooth, sparse effects."""
    X = pd.DataFrame(rng.normal(size=(rows, 12))).add_prefix("x")
    odds = -1.0 + 0.5 * X["x0"] - 0.4 * X["x1"] + 0.3 * X["x2"]
    added = {
        "a": 0.4 + 0.4 * X["x3"],
        "b": 0.3 - 0.4 * X["x4"],
        "c": 0.2 + 0.3 * X["x5"] + 0.3 * X["x0"],
        "d": 0.5 + 0 * odds,
    }
    return _binary(X, odds, added, (0.2,) * 5)


def corners(rng: np.random.Generator, rows: int) -> World:
    """Half gain and half lose by the signs of two columns together: nothing shows in one alone."""
    X = pd.DataFrame(rng.normal(size=(rows, 6))).add_prefix("x")
    level = 0.4 + 0.05 * np.tanh(X["x2"])
    means = {CONTROL: level, "mail": level + 0.12 * np.sign(X["x0"] * X["x1"])}
    return World(X, pd.DataFrame(means), np.full(2, 0.5), _happens)


def orders(rng: np.random.Generator, rows: int) -> World:
    """Money of which a few orders make up most: six in a hundred buy, with a very long tail."""
    X = pd.DataFrame(rng.normal(size=(rows, 6))).add_prefix("x")
    odds = -2.9 + 0.4 * X["x2"]
    amount = np.exp(3.6 + 0.3 * X["x3"]).to_numpy()
    bought = {
        CONTROL: _chance(odds),
        "mail": _chance(odds + 0.1 + 0.9 * (X["x0"] > 0)),
        "gift": _chance(odds + 0.1 + 0.9 * (X["x0"] < 0)),
    }
    means = pd.DataFrame({name: chance * amount for name, chance in bought.items()})

    def draw(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        tail = np.exp(rng.normal(-1.125, 1.5, rows))
        return np.where(rng.random(rows) < mean / amount, amount * tail, 0.0)

    return World(X, means, np.full(3, 1 / 3), draw)


def waning(rng: np.random.Generator, rows: int) -> World:
    """A strong loss that shrinks with a low chance: where variance is least, so is the effect."""
    X = pd.DataFrame(rng.normal(size=(rows, 8))).add_prefix("x")
    level = _chance(0.9 + 1.3 * X["x0"] + 0.5 * X["x1"] * X["x2"])
    lost = 0.75 * level * _chance(0.4 + 0.9 * X["x3"] - 0.7 * X["x0"])
    return World(X, pd.DataFrame({CONTROL: level, "call": level - lost}), np.full(2, 0.5), _happens)


def faint(rng: np.random.Generator, rows: int) -> World:
    """Five thousand rows and a gain that only just shows: the sign of one column decides."""
    X = pd.DataFrame(rng.normal(size=(rows, 8))).add_prefix("x")
    odds = -1.0 + 0.6 * X["x1"]
    return _binary(X, odds, {"mail": 0.02 + 0.12 * X["x0"]}, (0.5, 0.5))


def depths(rng: np.random.Generator, rows: int) -> World:
    """Vouchers of four depths: what they add saturates at a ceiling and a pace of one's own."""
    X = pd.DataFrame(rng.normal(size=(rows, 8))).add_prefix("x")
    X["channel"] = rng.choice(["web", "shop", "phone"], rows)
    odds = -1.4 + 0.5 * X["x0"] - 0.3 * X["x1"] + 0.3 * (X["channel"] == "web")
    ceiling = (0.9 + 0.5 * X["x2"] + 0.35 * (X["x3"] > 0)).clip(lower=0)
    return _vouchers(X, odds, ceiling, 15 * np.exp(0.9 * X["x4"]))


def kinds(rng: np.random.Generator, rows: int) -> World:
    """The same where the ceiling hangs on two columns together, and the pace takes two values."""
    X = pd.DataFrame(rng.normal(size=(rows, 8))).add_prefix("x")
    odds = -1.4 + 0.5 * X["x0"] - 0.3 * X["x1"]
    ceiling = 0.3 + 1.2 * ((X["x2"] > 0) ^ (X["x3"] > 0))
    return _vouchers(X, odds, ceiling, pd.Series(np.where(X["x4"] > 0, 8.0, 40.0)))


WORLDS: dict[str, tuple[Callable[[np.random.Generator, int], World], int]] = {
    "voting": (voting, 300_000),
    "advertising": (advertising, 200_000),
    "conversion": (conversion, 300_000),
    "messages": (messages, 80_000),
    "coupon": (coupon, 120_000),
    "spend": (spend, 64_000),
    "crossover": (crossover, 60_000),
    "alike": (alike, 100_000),
    "nothing": (nothing, 40_000),
    "harm": (harm, 60_000),
    "logged": (logged, 40_000),
    "earnings": (earnings, 30_000),
    "small": (small, 20_000),
    "corners": (corners, 12_000),
    "orders": (orders, 60_000),
    "waning": (waning, 72_000),
    "faint": (faint, 10_000),
    "depths": (depths, 20_000),
    "kinds": (kinds, 40_000),
}


def _shoppers(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    mens = rng.random(rows) < 0.55
    return pd.DataFrame(
        {
            "recency": rng.integers(1, 13, rows),
            "history": np.exp(rng.normal(5, 0.9, rows)).round(2),
            "mens": mens.astype(int),
            "womens": (~mens | (rng.random(rows) < 0.2)).astype(int),
            "zip": rng.choice(["rural", "suburban", "urban"], rows, p=[0.15, 0.45, 0.4]),
            "newbie": rng.integers(0, 2, rows),
            "channel": rng.choice(["web", "phone", "multichannel"], rows, p=[0.44, 0.44, 0.12]),
        }
    )


def _binary(
    X: pd.DataFrame, odds: pd.Series, added: dict[str, pd.Series], shares: Sequence[float]
) -> World:
    means = {CONTROL: _chance(odds)} | {name: _chance(odds + one) for name, one in added.items()}
    return World(X, pd.DataFrame(means), np.array(shares), _happens)


def _vouchers(X: pd.DataFrame, odds: pd.Series, ceiling: pd.Series, half: pd.Series) -> World:
    """Depths of 10 to 40, each dearer to send; half of the ceiling comes with the depth `half`."""
    doses = {f"off {depth}": float(depth) for depth in (10, 20, 30, 40)}
    added = {name: ceiling * dose / (dose + half) for name, dose in doses.items()}
    costs = {name: 0.003 * dose for name, dose in doses.items()}
    return replace(_binary(X, odds, added, (0.2,) * 5), costs=costs, doses={"discount": doses})


def _chance(odds: pd.Series) -> pd.Series:
    return pd.Series(1 / (1 + np.exp(-np.asarray(odds, dtype=float))))


def _happens(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(len(mean)) < mean).astype(float)


def _around(sd: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    return lambda mean, rng: mean + rng.normal(0, sd, len(mean))

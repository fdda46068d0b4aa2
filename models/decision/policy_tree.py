"""A policy that fits on a card: at most three questions, then an offer for each of four groups.

The tree of two levels with the largest mean score of its offers is found by trying all of them,
over a grid of cuts (policy trees: Athey & Wager, Econometrica 89(1), 2021; exact search: Zhou,
Athey & Wager, Operations Research 71(1), 2023). It is the rival that anybody can check: if it
earns as much as an offer for each customer, take it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

CUTS = 15  # per number
LEVELS = 8  # per text, the most frequent ones
MOST_AXES = 100  # those that split best by themselves
MOST_ROWS = 20_000  # every so many of the rows beyond
LEAST_SHARE = 0.01  # of the rows in a group


@dataclass(frozen=True)
class Question:
    """Yes if a number is at most `at` or unknown, or if a text is `level`."""

    column: str
    at: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class PolicyTree:
    """First question, the ones after yes and after no (None: not asked), and four offers.

    Offers are those after yes-yes, yes-no, no-yes and no-no.
    """

    questions: tuple[Question, Question | None, Question | None]
    offers: tuple[str, str, str, str]


@dataclass(frozen=True)
class _Axis:
    """A column in steps: `codes` (rows,), and the question that codes up to each step answer."""

    codes: np.ndarray
    questions: tuple[Question, ...]


def fit_policy_tree(
    rows: pd.DataFrame, scores: np.ndarray, *, names: Sequence[str]
) -> PolicyTree | None:
    """The best tree of two levels, or None where there are no rows or no column can be cut.

    Parameters
    ----------
    rows
        (n, ...) features: numbers and texts.
    scores
        (n, K) AIPW scores of every offer, the control among them.
    names
        The K offers.
    """
    if not len(rows):
        return None
    step = -(-len(rows) // MOST_ROWS)
    rows, scores = rows.iloc[::step], scores[::step]
    least = max(20, int(LEAST_SHARE * len(rows)))
    axes = _best_alone(list(_axes(rows)), scores, least)
    best: tuple[float, PolicyTree] | None = None
    for first in axes:
        value, tree = _best_below(first, axes, scores, names, least)
        if tree is not None and (best is None or value > best[0] + 1e-9 * abs(best[0])):
            best = value, tree
    return None if best is None else best[1]


def sent_by(tree: PolicyTree, rows: pd.DataFrame) -> np.ndarray:
    """(n,) the offer of each customer."""
    first, after_yes, after_no = tree.questions
    yes = _answers(first, rows)
    second = np.where(yes, _answers(after_yes, rows), _answers(after_no, rows))
    return np.array(tree.offers, dtype=object)[2 * ~yes + ~second.astype(bool)]


def groups(tree: PolicyTree, meanings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Who is in each group, in words, and their offer; a group without a second question is one."""
    first, *seconds = tree.questions
    found = []
    for side, second in enumerate(seconds):
        start = _said(first, side == 0, meanings)
        offers = tree.offers[2 * side : 2 * side + 2]
        if second is None or offers[0] == offers[1]:
            found.append((start, offers[0]))
            continue
        for answer, offer in zip((True, False), offers, strict=True):
            found.append((f"{start}, and {_said(second, answer, meanings)}", offer))
    return found


def tree_to_json(tree: PolicyTree) -> dict[str, Any]:
    """The tree as plain data."""
    return asdict(tree)


def tree_from_json(document: Mapping[str, Any]) -> PolicyTree:
    """The tree of plain data.

    Raises
    ------
    TypeError, KeyError, ValueError
        If it is no tree.
    """
    first, *seconds = document["questions"]
    after_yes, after_no = (None if one is None else Question(**one) for one in seconds)
    yes_yes, yes_no, no_yes, no_no = document["offers"]
    return PolicyTree((Question(**first), after_yes, after_no), (yes_yes, yes_no, no_yes, no_no))


def _said(question: Question, yes: bool, meanings: Mapping[str, str]) -> str:
    meaning = meanings.get(question.column, question.column)
    if question.level is not None:
        return f"{meaning} is {'' if yes else 'not '}'{question.level}'"
    return f"{meaning} {'at most' if yes else 'above'} {question.at:,.4g}"


def _answers(question: Question | None, rows: pd.DataFrame) -> np.ndarray:
    if question is None:
        return np.ones(len(rows), dtype=bool)
    values = rows[question.column]
    if question.level is not None:
        return _is_level(_texts(values), question.level)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.isnan(numbers) | (numbers <= question.at)


def _axes(rows: pd.DataFrame) -> Iterator[_Axis]:
    for name in rows.columns:
        values = rows[name]
        if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
            texts = _texts(values)
            for level in texts.value_counts().index[:LEVELS]:
                codes = np.where(_is_level(texts, level), 0, 1)
                yield _Axis(codes, (Question(name, level=level),))
            continue
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        known = np.sort(numbers[~np.isnan(numbers)])
        if not len(known) or known[0] == known[-1]:
            continue
        cuts = np.unique(np.quantile(known, np.arange(1, CUTS + 1) / (CUTS + 1), method="lower"))
        cuts = cuts[cuts < known[-1]]
        if len(cuts):
            codes = np.searchsorted(cuts, np.where(np.isnan(numbers), -np.inf, numbers), "left")
            yield _Axis(codes, tuple(Question(name, at=float(cut)) for cut in cuts))


def _texts(values: pd.Series) -> pd.Series:
    """Values as text, missing ones as such."""
    return values.astype("str").astype("object")


def _is_level(texts: pd.Series, level: str) -> np.ndarray:
    return (texts == level).to_numpy(dtype=bool, na_value=False)


def _best_alone(axes: list[_Axis], scores: np.ndarray, least: int) -> list[_Axis]:
    """The axes whose one best cut earns most, in their order."""
    values = []
    for axis in axes:
        sums, counts = _sums(axis.codes, len(axis.questions) + 1, scores)
        below, rows = sums.cumsum(axis=0)[:-1], counts.cumsum()[:-1]
        value = below.max(axis=1) + (sums.sum(axis=0) - below).max(axis=1)
        open_cuts = (rows >= least) & (counts.sum() - rows >= least)
        values.append(float(value[open_cuts].max()) if open_cuts.any() else -np.inf)
    kept = np.argsort(-np.array(values), kind="stable")[:MOST_AXES]
    return [axes[position] for position in np.sort(kept) if np.isfinite(values[position])]


def _best_below(
    first: _Axis, axes: Sequence[_Axis], scores: np.ndarray, names: Sequence[str], least: int
) -> tuple[float, PolicyTree | None]:
    """The best tree whose first question is one of an axis."""
    steps = len(first.questions) + 1
    sums, counts = _sums(first.codes, steps, scores)
    below, total = sums.cumsum(axis=0)[:-1], sums.sum(axis=0)
    rows = counts.cumsum()[:-1]
    sides = [(below, rows), (total - below, counts.sum() - rows)]
    values = [part.max(axis=1) for part, _ in sides]
    # per side and cut: the second question and the offers after it
    chosen: list[list[tuple[Question | None, int, int]]] = [
        [(None, int(part[cut].argmax()), int(part[cut].argmax())) for cut in range(steps - 1)]
        for part, _ in sides
    ]
    for second in axes:
        width = len(second.questions) + 1
        joint, both = _sums(first.codes * width + second.codes, steps * width, scores)
        joint = joint.reshape(steps, width, -1)
        both = both.reshape(steps, width)
        low, low_rows = joint.cumsum(axis=0)[:-1], both.cumsum(axis=0)[:-1]
        parts = ((low, low_rows), (joint.sum(axis=0) - low, both.sum(axis=0) - low_rows))
        for side, (part, part_rows) in enumerate(parts):
            yes, yes_rows = part.cumsum(axis=1)[:, :-1], part_rows.cumsum(axis=1)[:, :-1]
            no = part.sum(axis=1, keepdims=True) - yes
            no_rows = part_rows.sum(axis=1, keepdims=True) - yes_rows
            value = yes.max(axis=2) + no.max(axis=2)
            value[(yes_rows < least) | (no_rows < least)] = -np.inf
            at = value.argmax(axis=1)
            for cut in range(steps - 1):
                if value[cut, at[cut]] > values[side][cut] + 1e-9:
                    values[side][cut] = value[cut, at[cut]]
                    chosen[side][cut] = (
                        second.questions[at[cut]],
                        int(yes[cut, at[cut]].argmax()),
                        int(no[cut, at[cut]].argmax()),
                    )
    whole = values[0] + values[1]
    whole[(sides[0][1] < least) | (sides[1][1] < least)] = -np.inf
    cut = int(whole.argmax())
    if not np.isfinite(whole[cut]):
        return -np.inf, None
    (yes_second, a, b), (no_second, c, d) = chosen[0][cut], chosen[1][cut]
    tree = PolicyTree(
        (first.questions[cut], yes_second, no_second), (names[a], names[b], names[c], names[d])
    )
    return float(whole[cut]), tree


def _sums(codes: np.ndarray, size: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the scores (size, K) and numbers of rows (size,) of each code."""
    sums = [np.bincount(codes, weights=column, minlength=size) for column in scores.T]
    return np.column_stack(sums), np.bincount(codes, minlength=size)

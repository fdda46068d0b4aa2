"""A policy of three questions: the best one of its size, and the same for anybody who reads it."""

import json

import numpy as np
import pandas as pd
import pytest

from winback.models.decision.policy_tree import (
    fit_policy_tree,
    groups,
    sent_by,
    tree_from_json,
    tree_to_json,
)

NAMES = ("none", "discount", "upgrade")


def a_table(rows=3_000, seed=0):
    """Two groups want the discount, one the upgrade, one nothing; some values are unknown."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "days": rng.integers(0, 300, rows).astype(float),
            "spend": rng.exponential(50, rows).round(2),
            "reason": rng.choice(["price", "service", "moved"], rows),
        }
    )
    table.loc[rng.random(rows) < 0.05, "spend"] = np.nan
    recent = table["days"] <= 150
    wants = np.where(
        recent,
        np.where(table["reason"] == "price", 1, 2),
        np.where(table["spend"].fillna(0) <= 40, 0, 1),
    )
    scores = np.zeros((rows, 3))
    scores[np.arange(rows), wants] = 10.0
    return table, scores + rng.normal(0, 1, scores.shape)


def test_the_groups_are_found_and_every_offer_is_named():
    table, scores = a_table()
    tree = fit_policy_tree(table, scores, names=NAMES)
    first, after_yes, after_no = tree.questions
    assert first.column == "days"
    assert first.at == pytest.approx(150, abs=12)
    assert {after_yes.column, after_no.column} == {"reason", "spend"}
    sent = sent_by(tree, table)
    position = np.array([NAMES.index(name) for name in sent])
    assert scores[np.arange(len(table)), position].mean() > 0.9 * scores.max(axis=1).mean()


def test_no_other_tree_over_the_same_cuts_earns_more():
    table, scores = a_table(rows=400, seed=3)
    scores = np.random.default_rng(1).normal(size=scores.shape)
    table = table[["days", "spend"]].fillna(0.0)
    tree = fit_policy_tree(table, scores, names=NAMES)
    position = np.array([NAMES.index(name) for name in sent_by(tree, table)])
    found = scores[np.arange(len(table)), position].sum()
    sides = []
    for name in table:
        for at in np.unique(np.quantile(table[name], np.arange(1, 16) / 16, method="lower")):
            yes = (table[name] <= at).to_numpy()
            if 20 <= yes.sum() <= len(table) - 20:
                sides.append(yes)

    def best(rows):
        whole = scores[rows].sum(axis=0).max()
        cuts = [(rows & yes, rows & ~yes) for yes in sides]
        split = [
            scores[a].sum(axis=0).max() + scores[b].sum(axis=0).max()
            for a, b in cuts
            if a.sum() >= 20 and b.sum() >= 20
        ]
        return max([whole, *split])

    assert found == pytest.approx(max(best(yes) + best(~yes) for yes in sides))


def test_it_reads_as_sentences_and_travels_as_plain_data():
    table, scores = a_table()
    tree = fit_policy_tree(table, scores, names=NAMES)
    assert tree_from_json(json.loads(json.dumps(tree_to_json(tree)))) == tree
    said = groups(tree, {"days": "days since leaving"})
    assert len(said) == 4
    assert {offer for _, offer in said} == {*NAMES}
    assert said[0][0].startswith("days since leaving at most ")
    assert any("reason is not 'price'" in who for who, _ in said)


def test_an_unknown_number_answers_yes_and_an_unknown_text_no():
    table, scores = a_table()
    tree = fit_policy_tree(table, scores, names=NAMES)
    unknown = pd.DataFrame({"days": [np.nan], "spend": [np.nan], "reason": [None]})
    known = pd.DataFrame({"days": [0.0], "spend": [0.0], "reason": ["moved"]})
    assert sent_by(tree, unknown).tolist() == sent_by(tree, known).tolist()


def test_flags_with_unknown_values_are_asked_about_as_texts():
    """A column with a missing flag holds objects, and the file of the tree holds texts."""
    flags = pd.DataFrame({"member": [True, False, None] * 100}, dtype=object)
    scores = np.zeros((300, 3))
    scores[::3, 1] = scores[1::3, 2] = scores[2::3, 2] = 1.0
    tree = fit_policy_tree(flags, scores, names=NAMES)
    assert sent_by(tree, flags).tolist() == ["discount", "upgrade", "upgrade"] * 100


def test_no_rows_give_no_tree():
    table, scores = a_table(rows=0)
    assert fit_policy_tree(table, scores, names=NAMES) is None


def test_columns_that_say_nothing_give_no_tree():
    table = pd.DataFrame({"same": np.ones(100)})
    assert fit_policy_tree(table, np.zeros((100, 3)), names=NAMES) is None

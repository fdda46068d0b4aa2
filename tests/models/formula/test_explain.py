"""Explanations: shares add up to the output, and blame the features that did it."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from winback.models.formula import explain
from winback.models.formula.explain import contributions, drivers, importance
from winback.models.formula.formula import Column, Formula, encode, evaluate, learn_columns


def boosted(rows=800):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "noise"])
    frame["reason"] = rng.choice(["price", "service"], rows)
    columns = learn_columns(frame)
    matrix = encode(columns, frame)
    sent = rng.integers(0, 2, rows)
    target = 2 * frame["a"] - frame["b"] * sent + (frame["reason"] == "price")
    settings = {"verbosity": -1, "num_threads": 1, "seed": 0, "force_row_wise": True}
    with_offer = lgb.Dataset(np.column_stack([matrix, sent]), target)
    boosters = {
        "plain.txt": lgb.train(settings, lgb.Dataset(matrix, target), 20).model_to_string(),
        "offer.txt": lgb.train(settings, with_offer, 20).model_to_string(),
    }
    expressions = {
        "raw": ["booster", "plain.txt", []],
        "line": [
            "additive",
            0.1,
            [[1, [-2.0, 2.0], [0.4, -0.4], 0.0], [3, [0, 1], [0.5, -0.5], 0]],
        ],
        "curve": ["additive", 0.2, [[0, [-1.0, 1.0], [-0.5, 0.5], 0.0]]],
        "probability": ["interp", [-2.0, 0.0, 3.0], [0.05, 0.2, 0.9], ["ref", "raw"]],
        "uplift": [
            "sum",
            [1.0, ["sigmoid", ["booster", "offer.txt", [1.0]]]],
            [-1.0, ["sigmoid", ["booster", "offer.txt", [0.0]]]],
        ],
        "value": ["exp", ["clip", -1.0, 1.0, ["ref", "line"]]],
        "profit": ["product", ["ref", "probability"], ["ref", "value"], ["ref", "curve"]],
    }
    outputs = ("probability", "uplift", "value", "profit", "curve")
    return Formula(columns, expressions, outputs, boosters), frame


@pytest.mark.parametrize("output", ["probability", "uplift", "value", "profit", "curve"])
def test_shares_and_base_add_up_to_every_kind_of_output(output):
    formula, frame = boosted()
    shares, base = contributions(formula, frame, output)
    expected = evaluate(formula, frame)[output]
    np.testing.assert_allclose(shares.sum(axis=1) + base, expected, atol=1e-9)
    assert isinstance(base, float)


def test_an_additive_model_gives_each_column_its_own_curve():
    frame = pd.DataFrame({"a": [0.0, 2.0, np.nan], "b": [1.0, 1.0, 1.0]})
    terms = [[0, [0.0, 4.0], [0.0, 8.0], -1.0], [1, [0.0, 2.0], [5.0, 7.0], 0.0]]
    formula = Formula((Column("a"), Column("b")), {"y": ["additive", 7.0, terms]}, ("y",))
    shares, base = contributions(formula, frame, "y")
    assert base == 7
    assert shares["a"].tolist() == [0.0, 4.0, -1.0]
    assert shares["b"].tolist() == [6.0, 6.0, 6.0]


def test_importance_ranks_what_matters_and_says_which_way():
    formula, frame = boosted()
    table, _ = importance(formula, frame, outputs=["probability"], families={})
    assert table["feature"].iloc[0] == "a"
    assert table["feature"].iloc[-1] == "noise"
    directions = table.set_index("feature")["direction"]
    assert directions["a"] == 1
    assert directions["reason"] == 0
    effects = importance(formula, frame, outputs=["uplift"], families={})[0].set_index("feature")
    assert effects["importance"].drop("offer", errors="ignore").idxmax() == "b"
    assert effects.loc["b", "direction"] == -1


def test_a_family_is_the_sum_of_its_features_and_equal_pulls_cancel(monkeypatch):
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [0.0, 1.0, 2.0], "c": [1.0, 0.0, 1.0]})
    terms = [[place, [0.0, 2.0], [0.0, top], 0.0] for place, top in ((0, 8.0), (1, -8.0), (2, 2.0))]
    columns = (Column("a"), Column("b"), Column("c"))
    formula = Formula(columns, {"y": ["additive", 1.0, terms]}, ("y",))
    families = {"a": "use", "b": "use", "c": "money"}
    _, table = importance(formula, frame, outputs=["y"], families=families)
    assert table["family"].tolist() == ["money", "use"]
    assert table["importance"].tolist() == [pytest.approx(2 / 3), 0.0]
    monkeypatch.setattr(explain, "MOST_ROWS", 1)
    features, table = importance(formula, frame, outputs=["y"], families={})
    assert len(features) == len(table) == 3


def test_drivers_say_in_words_what_raises_an_output_and_what_lowers_it():
    formula, frame = boosted()
    frame.loc[0, ["a", "reason"]] = [3.0, None]

    def words(name, value):
        return f"{name} {'unknown' if pd.isna(value) else value}"

    line = drivers(formula, frame.iloc[:2], "probability", top=1, words=words)
    assert line[0] == "because: a 3.0"
    shares = contributions(formula, frame.iloc[:1], "probability")[0].iloc[0]
    everything = drivers(formula, frame.iloc[:1], "probability", top=9, words=words)[0]
    lowers = {name for name in shares.index[shares < 0] if name in frame}
    against = everything.partition("despite: ")[2]
    assert lowers == {said.split()[0] for said in against.split(", ") if said}
    once = drivers(formula, frame.iloc[:1], "probability", top=9, words=lambda *_: "the same")
    assert once == ["because: the same"]


def test_unknown_output_is_refused_and_no_rows_are_no_error():
    formula, frame = boosted()
    with pytest.raises(ValueError, match="no output 'churn'"):
        contributions(formula, frame, "churn")
    assert contributions(formula, frame.iloc[:0], "curve")[0].shape == (0, 4)

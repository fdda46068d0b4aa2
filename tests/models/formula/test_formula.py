"""A formula's answers depend on the row alone, and raw columns are read by name and meaning."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from winback.models.formula.formula import (
    Column,
    Formula,
    encode,
    evaluate,
    from_files,
    learn_columns,
    to_files,
)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    rows = 10_000
    found = pd.DataFrame({f"x{place}": rng.normal(size=rows) for place in range(6)})
    found.loc[rng.random(rows) < 0.2, "x2"] = np.nan
    found["kind"] = rng.choice(["a", "b", "c", None], rows)
    return found


@pytest.fixture(scope="module")
def formula(frame):
    """Every operation at once."""
    columns = learn_columns(frame)
    matrix = encode(columns, frame)
    settings = {"verbosity": -1, "num_threads": 1, "num_leaves": 31, "objective": "l2"}
    booster = lgb.train(
        settings, lgb.Dataset(matrix, frame["x0"] * frame["x1"] + (frame["kind"] == "b")), 30
    )
    curve = ["additive", 0.1, [[2, [-1.0, 0.0, 2.0], [0.3, 0.1, 0.9], -0.2]]]
    score = ["sum", [1.0, ["booster", "b.txt", []]], [0.5, curve], [2.0, ["const", 0.25]]]
    return Formula(
        columns,
        {
            "score": score,
            "probability": [
                "interp",
                [0.0, 0.4, 1.0],
                [0.1, 0.2, 0.9],
                ["sigmoid", ["ref", "score"]],
            ],
            "value": ["clip", 0.5, 3.0, ["exp", ["ref", "score"]]],
            "profit": ["product", ["ref", "probability"], ["ref", "value"], ["const", 12.5]],
            "flat": ["const", 3.0],
            "unused": ["no such operation"],
        },
        ("probability", "value", "profit", "flat"),
        {"b.txt": booster.model_to_string()},
    )


def by_hand(formula, frame):
    """The same from LightGBM, np.interp and the words of the module's docstring."""
    matrix = encode(formula.columns, frame)
    values = matrix[:, 2]
    curve = 0.1 + np.where(np.isnan(values), -0.2, np.interp(values, [-1, 0, 2], [0.3, 0.1, 0.9]))
    booster = lgb.Booster(model_str=formula.boosters["b.txt"])
    score = booster.predict(matrix, raw_score=True) + 0.5 * curve + 0.5
    probability = np.interp(1 / (1 + np.exp(-score)), [0.0, 0.4, 1.0], [0.1, 0.2, 0.9])
    value = np.clip(np.exp(score), 0.5, 3.0)
    return pd.DataFrame(
        {
            "probability": probability,
            "value": value,
            "profit": probability * value * 12.5,
            "flat": np.full(len(frame), 3.0),
        }
    )


def test_outputs_are_those_of_the_operations(formula, frame):
    found = evaluate(formula, frame)
    pd.testing.assert_frame_equal(found, by_hand(formula, frame), rtol=1e-12, check_exact=False)
    again = evaluate(from_files(to_files(formula)), frame)
    pd.testing.assert_frame_equal(found, again, check_exact=True)


def test_a_row_gets_the_same_bits_alone_in_any_chunk_and_on_any_thread(formula, frame):
    whole = evaluate(formula, frame)
    for first, last in ((0, 1), (4_095, 4_097), (17, 9_000), (9_999, 10_000), (3, 10)):
        some = evaluate(formula, frame[first:last])
        pd.testing.assert_frame_equal(some, whole[first:last], check_exact=True)
    pd.testing.assert_frame_equal(evaluate(formula, frame, threads=3), whole, check_exact=True)
    asked = (frame["x1"] > 0).to_numpy()
    some = evaluate(formula, frame, threads=2, mask=asked)
    pd.testing.assert_frame_equal(some, whole[asked], check_exact=True)
    assert evaluate(formula, frame[:0]).shape == (0, 4)


def test_columns_are_read_by_name_and_meaning():
    columns = (Column("x"), Column("kind", ("1", "a", "b")))
    frame = pd.DataFrame(
        {"extra": 0, "kind": ["a", None, "new", "b", 1], "x": pd.array([1, None, 3, 4, 5], "Int64")}
    )
    nan = np.nan
    expected = np.array([[1, 1], [nan, nan], [3, nan], [4, 2], [5, 0]])
    np.testing.assert_array_equal(encode(columns, frame), expected)
    category = frame.assign(kind=frame["kind"].astype("category"))
    np.testing.assert_array_equal(encode(columns, category), expected)
    asked = np.array([True, False, True, False, True])
    np.testing.assert_array_equal(encode(columns, frame, mask=asked), expected[asked])
    with pytest.raises(ValueError, match="column 'x' must be a number, found str; cast it"):
        encode(columns, frame.assign(x=pd.Series(list("abcde"), dtype="str")))
    with pytest.raises(ValueError, match="1 columns are missing: x; columns not asked for: extra"):
        encode(columns, frame.drop(columns="x"))


def test_an_unknown_operation_is_named():
    strange = Formula((Column("x"),), {"y": ["power", 2.0]}, ("y",))
    with pytest.raises(ValueError, match=r"unknown expression \['power', 2.0\]"):
        evaluate(strange, pd.DataFrame({"x": [1.0]}))

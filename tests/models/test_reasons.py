"""Reasons from behaviour: near the truth though statements lie, and combined with the statement."""

import numpy as np
import pandas as pd
import pytest

from winback.models.formula import to_files
from winback.models.reasons import fit_reasons, grade_reasons

REASONS = np.array(["price", "service", "moved"])
FEATURES = ["discounted_share", "complaints", "region"]


def leavers(rows=4000, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, rows, p=[0.5, 0.35, 0.15])
    lies = rng.random(rows) < 0.15
    said = np.where(lies, (truth + rng.integers(1, 3, rows)) % 3, truth)
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "discounted_share": np.clip(rng.normal(0.2 + 0.4 * (truth == 0), 0.2), 0, 1),
            "complaints": rng.poisson(0.3 + 2.0 * (truth == 1)).astype(float),
            "region": rng.choice(["north", "south"], rows),
            "stated": pd.Series(REASONS[said], dtype="str"),
            "truth": REASONS[truth],
        }
    )
    frame.loc[rng.random(rows) < 0.1, "stated"] = None
    frame.loc[rng.random(rows) < 0.05, "stated"] = "unknown"
    return frame


def fit(frame, **changes):
    return fit_reasons(frame, stated="stated", features=FEATURES, seed=0, **changes)


@pytest.fixture(scope="module")
def model():
    return fit(leavers())


def test_behaviour_tells_the_true_reason_where_none_was_stated(model):
    fresh = leavers(seed=1)
    silent = fresh[fresh["stated"].isna()]
    found = model.predict(silent)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    grades = grade_reasons(found, silent["truth"]).set_index("reason")
    assert grades.loc["all", "accuracy"] > 0.68
    assert grades.loc["price", "auc"] > 0.85
    assert grades.loc["service", "auc"] > 0.85


def test_statement_and_behaviour_together_beat_each_alone(model):
    fresh = leavers(seed=2)
    fresh = fresh[fresh["stated"].isin(REASONS)]
    behaviour = grade_reasons(model.predict(fresh), fresh["truth"])["accuracy"].iloc[-1]
    both = grade_reasons(model.predict(fresh, stated=fresh["stated"], honesty=0.85), fresh["truth"])
    said = (fresh["stated"] == fresh["truth"]).mean()
    assert both["accuracy"].iloc[-1] > max(said, behaviour) + 0.005


def test_probabilities_are_calibrated_against_statements(model):
    fresh = leavers(seed=3)
    fresh = fresh[fresh["stated"].isin(REASONS)]
    shares = model.predict(fresh).mean()
    for name in REASONS:
        assert shares[name] == pytest.approx((fresh["stated"] == name).mean(), abs=0.03)


def test_same_bytes_whatever_the_order_of_rows(model):
    again = fit(leavers().sample(frac=1, random_state=1))
    assert to_files(again.formula) == to_files(model.formula)
    pd.testing.assert_frame_equal(again.grades, model.grades)


def test_rare_reasons_are_left_out_and_too_few_refused():
    frame = leavers(1500)
    counts = frame["stated"].value_counts()
    assert fit(frame, least_rows=counts["moved"] + 1).reasons == ("price", "service")
    most = counts["service"] + 1
    with pytest.raises(ValueError, match=f"1 reasons were stated {most} times or more"):
        fit(frame, least_rows=most)


def test_wrong_columns_are_refused():
    frame = leavers(300)
    with pytest.raises(ValueError, match="columns nothing are missing"):
        fit_reasons(frame, stated="stated", features=["nothing"], seed=0)
    with pytest.raises(ValueError, match="'stated' is what is to be learned"):
        fit_reasons(frame, stated="stated", features=["stated"], seed=0)


def test_grades_of_a_small_table():
    probabilities = pd.DataFrame({"a": [0.9, 0.6, 0.2], "b": [0.1, 0.4, 0.8]})
    table = grade_reasons(probabilities, pd.Series(["a", "b", "b"])).set_index("reason")
    assert table.loc["all", "accuracy"] == pytest.approx(2 / 3)
    assert table.loc["b", "accuracy"] == 0.5
    assert table.loc["a", "auc"] == 1.0

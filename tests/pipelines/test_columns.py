"""What the registered model makes of columns that are not quite as in training."""

from decimal import Decimal

import mlflow
import numpy as np
import pandas as pd
import pytest

from winback.models.decision.recommend import DECISION_COLUMNS

pytestmark = pytest.mark.filterwarnings("ignore")  # of mlflow
TEXT, NUMBER, GAPS = "departure_reason", "orders_total", "complaints_180d"


@pytest.fixture(scope="module")
def model(registered):
    """The registered model, as `mlflow.pyfunc.load_model` gives it."""
    client = mlflow.MlflowClient(f"sqlite:///{registered}/mlflow.db")
    return mlflow.pyfunc.load_model(client.get_model_version_download_uri("winback", "1"))


@pytest.fixture(scope="module")
def customers(finished):
    """Forty of each population."""
    rows = pd.read_parquet(finished / "data/features/current.parquet")
    return rows.groupby("population").head(40).reset_index(drop=True)


def forecasts(answers):
    """What the models say, without what is decided on it."""
    return answers.drop(columns=list(DECISION_COLUMNS))


def replaced(name, value):
    return lambda rows: rows.assign(**{name: value(rows[name]) if callable(value) else value})


def each(kind):
    """Numbers as something else that means the same."""
    return lambda column: pd.Series(
        [None if pd.isna(value) else kind(value) for value in column], dtype=object
    )


SAME = {
    "reordered": lambda rows: rows[rows.columns[::-1]],
    "other index": lambda rows: rows.set_index(rows.index + 7),
    "extra columns": lambda rows: rows.assign(unheard_of=1, churned="yes"),
    "whole numbers": replaced(NUMBER, lambda column: column.astype("int64")),
    "whole numbers, some missing": replaced(
        GAPS, lambda column: column.mask(column.index % 3 == 0).astype("Int64")
    ),
    "single precision": replaced(NUMBER, lambda column: column.astype("float32")),
    "decimals": replaced(NUMBER, each(Decimal)),
    "objects": replaced(NUMBER, each(float)),
    "numbers written as text": replaced(NUMBER, each(str)),
}
AS_MISSING = {
    "unseen category": replaced(TEXT, "boredom"),
    "empty text": replaced(TEXT, ""),
    "no category at all": replaced(
        TEXT, lambda column: pd.Series([None] * len(column), dtype=object)
    ),
}
REFUSED = {
    "missing": (lambda rows: rows.drop(columns=NUMBER), f"1 columns are missing: {NUMBER}"),
    "twice": (
        lambda rows: pd.concat([rows, rows[[NUMBER]]], axis=1),
        f"'{NUMBER}' stands twice",
    ),
    "renamed": (lambda rows: rows.rename(columns={NUMBER: "orders"}), f"missing: {NUMBER}"),
    "text where a number belongs": (replaced(NUMBER, "many"), f"'{NUMBER}' must be a number"),
    "moments where a number belongs": (
        replaced(NUMBER, pd.Timestamp("2020-01-01")),
        f"'{NUMBER}' must be a number",
    ),
    "numbers where a text belongs": (replaced(TEXT, 3), f"'{TEXT}' must be text"),
    "pandas categories": (
        replaced(TEXT, lambda column: column.astype("category")),
        f"'{TEXT}' must be text, found category",
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_answers_do_not_depend_on_order_type_or_company(model, customers, change):
    changed = change(customers)
    plain = customers.assign(**{GAPS: changed[GAPS].astype("float64").to_numpy()})
    pd.testing.assert_frame_equal(
        model.predict(changed).reset_index(drop=True), model.predict(plain), check_exact=True
    )


@pytest.mark.parametrize("change", AS_MISSING.values(), ids=AS_MISSING)
def test_a_category_that_training_has_not_seen_is_missing(model, customers, change):
    missing = customers.assign(**{TEXT: np.nan}).astype({TEXT: object})
    changed = forecasts(model.predict(change(customers)))
    pd.testing.assert_frame_equal(changed, forecasts(model.predict(missing)))
    assert not changed.equals(forecasts(model.predict(customers)))


def test_a_reason_that_nobody_of_the_experiment_gave_gets_no_offer(model, customers):
    lost = customers[customers["population"] != "active"]
    offers = model.predict(lost.assign(**{TEXT: "boredom"}))["recommended_offer"]
    assert (offers == "none").all()
    assert not (model.predict(lost)["recommended_offer"] == "none").all()


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_by_name(model, customers, change, words):
    with pytest.raises(Exception, match=words):
        model.predict(change(customers))


def test_no_customers_get_no_answers(model, customers):
    none = model.predict(customers.head(0))
    assert list(none.columns) == list(model.predict(customers).columns)
    assert len(none) == 0


def test_without_populations_everything_is_answered_for_everybody(model, customers):
    answers = model.predict(customers.drop(columns="population"))
    assert forecasts(answers).notna().all(axis=None)
    assert answers["recommended_offer"].notna().all()
    asked = model.predict(customers)
    active = customers["population"] == "active"
    assert asked["recommended_offer"].isna().equals(active)
    assert asked["churn_probability"].notna().equals(active)
    for name in forecasts(asked):
        known = asked[name].notna()
        pd.testing.assert_series_equal(asked.loc[known, name], answers.loc[known, name])
    decided = list(DECISION_COLUMNS)
    pd.testing.assert_frame_equal(asked.loc[~active, decided], answers.loc[~active, decided])

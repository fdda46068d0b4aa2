"""The registered model over HTTP: one customer in, the batch answer out."""

import json
import urllib.error
import urllib.request

import pandas as pd
import pytest
from conftest import winback
from servers import alive, documented_line, free_port, running

from winback.models.decision.recommend import DECISION_COLUMNS


@pytest.fixture(scope="module")
def address(registered):
    """A server of the registered model, as the docs start it, on a port of its own."""
    port = free_port()
    line = documented_line("mlflow models serve")
    line = line.replace("5001", port).replace("@champion", "@challenger")
    base = f"http://127.0.0.1:{port}"
    environment = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{registered}/mlflow.db",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    with running(line, ping=f"{base}/ping", folder=registered, **environment):
        yield base


def ask(base, customers):
    return post(base, json.dumps({"dataframe_records": customers}).encode())


def post(base, body):
    request = urllib.request.Request(
        f"{base}/invocations", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answered:
        return json.loads(answered.read())["predictions"]


def record(customer):
    """A row as JSON has it, every digit kept."""
    known = customer.drop("as_of").astype("object")
    return {
        name: None if pd.isna(value) else getattr(value, "item", lambda value=value: value)()
        for name, value in known.items()
    }


@pytest.mark.filterwarnings("ignore")  # what mlflow warns of is not ours to mend
def test_one_customer_gets_the_batch_answer_over_http(registered, address, tmp_path):
    given = ("--features", "data/features/current.parquet", "--no-suppressions")
    where = ("--model", "models:/winback@challenger", "--out", str(tmp_path / "scores"))
    assert winback(registered, "score", *given, *where) == 0
    batch = pd.read_parquet(tmp_path / "scores/part-00000.parquet").set_index("customer_id")
    customers = pd.read_parquet(registered / "data/features/current.parquet")
    for population in ("active", "lost"):
        asked = record(customers[customers["population"] == population].iloc[0])
        (found,) = ask(address, [asked])
        expected = batch.loc[asked["customer_id"]]
        assert len(found) > 10
        for name, value in found.items():
            assert value == expected[name] or (pd.isna(value) and pd.isna(expected[name])), name


def test_every_customer_gets_the_decision_of_the_list_over_http(registered, address):
    listed = pd.read_parquet(registered / "data/recommendations.parquet").set_index("customer_id")
    rows = pd.read_parquet(registered / "data/features/current.parquet")
    rows = rows[rows["customer_id"].isin(listed.index)].drop(columns="as_of")
    found = []
    for start in range(0, len(rows), 2_000):
        asked = rows.iloc[start : start + 2_000]
        body = asked.to_json(orient="split", index=False, double_precision=15)
        found += post(address, f'{{"dataframe_split": {body}}}'.encode())
    expected = listed.loc[rows["customer_id"]]
    served = pd.DataFrame(found).set_index(expected.index)
    for name in DECISION_COLUMNS:
        told, said = expected[name].astype(object), served[name].astype(object)
        if name in ("expected_incremental_profit", "propensity"):
            pd.testing.assert_series_equal(said.astype(float), told.astype(float))
        else:
            assert said.fillna("-").tolist() == told.fillna("-").tolist(), name
    assert len(served) == len(listed) > 5_000
    assert served["holdout"].sum() > 10


def test_what_cannot_be_answered_is_named_and_the_server_lives(registered, address):
    good = record(pd.read_parquet(registered / "data/features/current.parquet").iloc[0])
    for change, words in (
        ({"orders_total": "many"}, "orders_total"),
        (None, "columns are missing"),
    ):
        asked = {"orders_total": 1} if change is None else good | change
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, [asked])
        assert refused.value.code >= 400
        assert words in refused.value.read().decode()
    assert alive(f"{address}/ping")

"""The registered model over HTTP: one customer in, the batch answer out."""

import http.client
import json
import random
import urllib.error
import urllib.request

import pandas as pd
import pytest
from bar import full
from conftest import winback
from local_servers import alive, free_port, running
from servers import documented_line

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


def malformed(draw, good):
    """A request that is none: its kind; method, path, body and headers."""
    body = json.dumps({"dataframe_records": [good]}).encode()
    place = draw.randrange(len(body))
    kind = draw.choice(["cut", "flip", "bytes", "shape", "deep", "value", "type", "path", "method"])
    method, path, headers = "POST", "/invocations", {"Content-Type": "application/json"}
    if kind == "cut":
        body = body[:place]
    elif kind == "flip":
        body = body[:place] + bytes([body[place] ^ 255]) + body[place + 1 :]
    elif kind == "bytes":
        body = draw.randbytes(500)
    elif kind == "shape":
        body = json.dumps(draw.choice([[], {}, 7, None, {"dataframe_records": 7}])).encode()
    elif kind == "deep":
        body = b"[" * 100_000
    elif kind == "value":
        odd = draw.choice([{"a": 1}, [1], "x" * 10_000, 1e308, True, "\u0000"])
        body = json.dumps({"dataframe_records": [good | {draw.choice([*good]): odd}]}).encode()
    elif kind == "type":
        headers = {"Content-Type": draw.choice(["text/html", "x", "application/xml"])}
    elif kind == "path":
        path = draw.choice(["/../../etc/passwd", "/invocations/x", "/%00", "/" + "a" * 5_000])
    else:
        method = draw.choice(["GET", "PUT", "DELETE", "PATCH"])
    return kind, (method, path, body, headers)


def answer_of(base, request):
    """Status and body of an answer; a connection that is closed is status 0."""
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=120)
    try:
        connection.request(*request)
        answered = connection.getresponse()
        return answered.status, answered.read().decode(errors="replace")
    except (http.client.HTTPException, ConnectionError):
        return 0, ""
    finally:
        connection.close()


@pytest.mark.bar("malformed requests and large bodies: a server that dies, or answers otherwise")
def test_a_server_survives_what_is_no_request(registered, address, figure):
    good = record(pd.read_parquet(registered / "data/features/current.parquet").iloc[0])
    before = ask(address, [good])
    draw, tries = random.Random(1), full(500, 20)
    for number in range(tries):
        kind, request = malformed(draw, good)
        status, said = answer_of(address, request)
        assert "root:" not in said
        if kind not in ("value", "flip"):  # another value may be a value
            assert status != 200, (number, kind, request)
    size = full(50, 2) * 1_000_000
    headers = {"Content-Type": "application/json"}
    for body in (b" " * size, b"[" + b"1," * (size // 2) + b"1]", b"x" * size):
        assert answer_of(address, ("POST", "/invocations", body, headers))[0] != 200
    assert alive(f"{address}/ping")
    assert ask(address, [good]) == before
    figure(tries=tries + 3)

"""Spark scores, reads and answers the same as the local engine."""

import contextlib

import mlflow
import pandas as pd
import pytest
from conftest import local_spark
from scoring_job import BAD_DATA, DRIFT, SUPPRESSIONS, but, command, rows

from winback.models.decision.recommend import DECISION_COLUMNS
from winback.pipelines import spark_score
from winback.pipelines.score import score
from winback.pipelines.spark_score import score_on_spark
from winback.pipelines.storage.atomic import verify
from winback.pipelines.storage.places import local_copy
from winback.pipelines.storage.shared_files import below, write
from winback.pipelines.tables.safe_csv import csv_beside

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of mlflow and Spark
    pytest.mark.usefixtures("spark"),
]


def same_scores(one, other):
    """The rows of two published folders, in their order."""
    pd.testing.assert_frame_equal(rows(one), rows(other), check_exact=True)


def test_spark_publishes_the_same_scores(job, customers, capsys):
    local = score(job)
    spark = but(job, out=job.out.with_name("spark"), part_rows=400)
    assert command(spark, "--engine", "spark", "--csv") == 0
    manifest = verify(spark.out)
    same_scores(spark.out, job.out)
    same = ("as_of", "drift", "excluded", "inputs", "model", "rows_in", "rows_out", "suppressions")
    assert {name: manifest[name] for name in same} == {name: local[name] for name in same}
    assert (spark.out / "_SUCCESS").exists()
    assert len(pd.read_csv(csv_beside(spark.out))) == 950
    assert not list(job.out.parent.glob(".spark.work-*"))
    assert len(list(spark.out.glob("part-*.parquet"))) >= 3
    assert command(spark, "--engine", "spark", "--csv") == 0
    assert "holds these scores already" in capsys.readouterr().err


def test_ids_that_are_texts_and_rows_of_other_moments(job, customers):
    other = customers.assign(as_of=customers["as_of"] - pd.Timedelta(days=1))
    both = pd.concat([customers.head(500), other.tail(500)])
    both = both.assign(customer_id="c" + both["customer_id"].astype("str"))
    both.sample(frac=1, random_state=1).to_parquet(job.features, index=False, row_group_size=90)
    listed = pd.read_parquet(job.suppressions).astype("str")
    listed["customer_id"] = "c" + listed["customer_id"]
    listed.to_parquet(job.suppressions, index=False)
    spark = but(job, out=job.out.with_name("spark"))
    assert command(spark, "--engine", "spark") == BAD_DATA  # of several moments
    moment = customers["as_of"][0].isoformat()
    assert command(spark, "--engine", "spark", "--as-of", moment) == 0
    local = score(but(job, as_of=customers["as_of"][0].to_pydatetime()))
    assert verify(spark.out)["excluded"] == local["excluded"]
    found, expected = (
        rows(folder).sort_values("customer_id", ignore_index=True)
        for folder in (spark.out, job.out)
    )
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda customers: customers.drop(columns=["days_since_last_order"]), BAD_DATA),
        (lambda customers: customers.head(0), BAD_DATA),
        (lambda customers: pd.concat([customers, customers.head(1)]), BAD_DATA),
        (lambda customers: customers.assign(customer_id=customers["customer_id"].astype("str")),
         SUPPRESSIONS),
    ],
    ids=["no column", "no rows", "a customer twice", "other ids"],
)  # fmt: skip
def test_what_is_refused_here_is_refused_there(job, customers, change, code):
    change(customers).to_parquet(job.features, index=False)
    assert command(job) == code
    assert command(job, "--engine", "spark") == code
    assert not job.out.exists()


def test_drift_is_counted_on_all_customers(job, customers, registered):
    customers = customers.assign(days_since_last_order=customers["days_since_last_order"] + 900)
    customers.to_parquet(job.features, index=False)
    with contextlib.chdir(registered), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{registered}/mlflow.db")
        far = but(job, model="models:/winback/1")
        assert command(far) == DRIFT
        assert command(far, "--engine", "spark") == DRIFT
        assert command(far, "--drift-limit", "99") == 0
        spark = but(far, out=job.out.with_name("spark"))
        assert command(spark, "--drift-limit", "99", "--engine", "spark") == 0
    assert verify(spark.out)["drift"] == verify(job.out)["drift"]


def test_who_objects_while_it_runs_is_not_in_the_scores(job, customers, monkeypatch):
    look = spark_score._list_hash
    looks = []

    def and_then_somebody_objects(*given):
        found = look(*given)
        if not looks:
            customers[["customer_id"]].head(100).to_parquet(job.suppressions, index=False)
        looks.append(found)
        return found

    monkeypatch.setattr(spark_score, "_list_hash", and_then_somebody_objects)
    manifest = score_on_spark(job)
    assert len(looks) == 3
    assert not set(rows(job.out)["customer_id"]) & set(customers["customer_id"].head(100))
    assert (manifest["rows_out"], manifest["suppressions"]) == (900, looks[-1])


def test_a_job_goes_on_with_the_ranges_that_are_missing(job, monkeypatch):
    def stopped(*given):
        raise RuntimeError("killed")

    monkeypatch.setattr(spark_score, "_publish", stopped)
    with pytest.raises(RuntimeError):
        score_on_spark(job)
    assert not job.out.exists()
    (work,) = job.out.parent.glob(".scores.work-*")
    first, second, *others = sorted(work.glob("part-*.parquet"))
    first.write_bytes(b"damaged")
    second.with_suffix(".json").unlink()
    before = [part.stat().st_mtime_ns for part in others]
    kept = [part.rename(work.parent / part.name) for part in others]
    for part in kept:
        (work / part.name).hardlink_to(part)
    monkeypatch.undo()
    score_on_spark(job)
    assert [part.stat().st_mtime_ns for part in kept] == before
    assert all(part.samefile(job.out / part.name) for part in kept)
    score(but(job, out=job.out.with_name("local")))
    same_scores(job.out, job.out.with_name("local"))


def test_spark_reads_the_folder_and_asks_the_registered_model(job, customers, registered, spark):
    from pyspark.sql.functions import struct

    score(job)
    found = spark.read.parquet(str(job.out))
    assert found.columns == list(rows(job.out).columns)
    assert found.count() == 950
    client = mlflow.MlflowClient(f"sqlite:///{registered}/mlflow.db")
    model = mlflow.pyfunc.load_model(client.get_model_version_download_uri("winback", "1"))
    asked = customers.groupby("population").head(40).reset_index(drop=True)
    names = [name for name in asked.columns if name != "as_of"]
    ask = mlflow.pyfunc.spark_udf(spark, model.metadata.artifact_path, env_manager="local")
    frame = spark.createDataFrame(asked[names])
    answered = frame.select("customer_id", ask(struct(*names)).alias("answer"))
    found = answered.select("customer_id", "answer.*").toPandas().set_index("customer_id")
    expected = model.predict(asked).set_index(asked["customer_id"])
    # MLflow turns a missing text into the letters nan.
    texts = [name for name, kind in DECISION_COLUMNS.items() if kind is str]
    expected[texts] = expected[texts].fillna("nan")
    pd.testing.assert_frame_equal(
        found.loc[expected.index, expected.columns], expected, check_exact=True
    )


@pytest.fixture
def near_the_store(spark, store_server):
    """Another session, whose tasks have the environment that leads to the store."""
    spark.stop()
    with local_spark(**store_server):
        yield


def test_scores_in_a_store_are_written_there_by_the_tasks(store, near_the_store, job):
    features, out = below(store, "customers.parquet"), below(store, "scores")
    write(features, job.features)
    spark = but(job, features=features, out=out, part_rows=400)
    manifest = score_on_spark(spark)
    again = score_on_spark(spark)
    assert again == manifest
    score(job)
    with local_copy(out, "scores") as copied:
        verify(copied)
        same_scores(copied, job.out)
    parts = [name for name in manifest["files"] if name.endswith(".parquet")]
    assert len(parts) >= 3
    assert sum(manifest["files"][name]["rows"] for name in parts) == manifest["rows_out"] == 950

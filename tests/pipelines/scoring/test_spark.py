"""Spark scores, reads and answers the same as the local engine."""

import shutil

import mlflow
import pandas as pd
import pytest
from scoring_job import but, command, rows

from winback.models.decision.recommend import DECISION_COLUMNS
from winback.pipelines.score import score
from winback.pipelines.storage.atomic import verify
from winback.pipelines.tables.safe_csv import csv_beside

sql = pytest.importorskip("pyspark.sql", reason="no pyspark: pip install winback[spark]")
if shutil.which("java") is None:
    pytest.skip("no java, which Spark runs on", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore")  # of mlflow and Spark


@pytest.fixture
def spark():
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.getOrCreate()
    yield session
    session.stop()


def test_spark_publishes_the_same_scores(job, customers, capsys):
    local = score(job)
    spark = but(job, out=job.out.with_name("spark"), part_rows=400)
    assert command(spark, "--engine", "spark", "--csv") == 0
    manifest = verify(spark.out)
    found = rows(spark.out).sort_values("customer_id", ignore_index=True)
    expected = rows(job.out).sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    same = ("as_of", "drift", "excluded", "inputs", "model", "rows_in", "rows_out", "suppressions")
    assert {name: manifest[name] for name in same} == {name: local[name] for name in same}
    assert (spark.out / "_SUCCESS").exists()
    assert len(pd.read_csv(csv_beside(spark.out))) == 950
    assert not list(job.out.parent.glob(".spark.work-*"))
    assert len(list(spark.out.glob("part-*.parquet"))) >= 3
    assert command(spark, "--engine", "spark", "--csv") == 0
    assert "holds these scores already" in capsys.readouterr().err


def test_spark_reads_the_folder_and_asks_the_registered_model(job, customers, registered, spark):
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
    answered = frame.select("customer_id", ask(sql.functions.struct(*names)).alias("answer"))
    found = answered.select("customer_id", "answer.*").toPandas().set_index("customer_id")
    expected = model.predict(asked).set_index(asked["customer_id"])
    # MLflow turns a missing text into the letters nan.
    texts = [name for name, kind in DECISION_COLUMNS.items() if kind is str]
    expected[texts] = expected[texts].fillna("nan")
    pd.testing.assert_frame_equal(
        found.loc[expected.index, expected.columns], expected, check_exact=True
    )

"""Batch scoring: everybody who may be scored, nobody who may not, and never half of a folder."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from winback.models.formula.answers import answer, forecasts
from winback.pipelines.cli import main
from winback.pipelines.job.lock import only_one
from winback.pipelines.score import Job, score
from winback.pipelines.scoring import input_rows as batch
from winback.pipelines.scoring import parts as answering
from winback.pipelines.scoring.suppressions import SuppressionsUnusable, read_suppressions
from winback.pipelines.storage.atomic import verify
from winback.pipelines.storage.trained_models import read_answers
from winback.pipelines.tables.safe_csv import csv_beside, write_csv

PARTS = ("churn", "winback", "decision")
BAD_DATA, DRIFT, SUPPRESSIONS, LOCK, MODEL = 3, 6, 7, 8, 9


@pytest.fixture(scope="module")
def artifacts(finished):
    return finished / "artifacts"


@pytest.fixture(scope="module")
def customers(finished):
    return pd.read_parquet(finished / "data/features/current.parquet").head(1_000)


@pytest.fixture
def job(tmp_path, artifacts, customers):
    """1,000 customers, 50 of whom objected, in parts of 300."""
    customers.to_parquet(tmp_path / "customers.parquet", index=False)
    customers[["customer_id"]][::20].to_parquet(tmp_path / "objected.parquet", index=False)
    return Job(
        features=tmp_path / "customers.parquet",
        out=tmp_path / "scores",
        model=str(artifacts),
        suppressions=tmp_path / "objected.parquet",
        part_rows=300,
    )


def but(job, **changes):
    return Job(**{**vars(job), **changes})


def rows(folder):
    return pd.concat(
        [pd.read_parquet(part) for part in sorted(folder.glob("part-*.parquet"))],
        ignore_index=True,
    )


def command(job, *more):
    """Exit code of the same job on the command line."""
    lists = ("--suppressions", str(job.suppressions)) if job.suppressions else ()
    given = ("--features", str(job.features), "--out", str(job.out), "--model", job.model)
    return main(["score", *given, *lists, "--part-rows", str(job.part_rows), *more])


def test_every_customer_is_answered_as_by_the_models_and_the_suppressed_are_not(job, customers):
    manifest = score(job)
    found = rows(job.out)
    allowed = customers.drop(customers.index[::20]).reset_index(drop=True)
    pd.testing.assert_series_equal(found["customer_id"], allowed["customer_id"])
    expected = answer(read_answers(*(Path(job.model) / part for part in PARTS)), allowed)
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_exact=True)
    assert (manifest["rows_in"], manifest["rows_out"]) == (1_000, 950)
    assert manifest["excluded"] == {"suppressed": 50}
    assert set(found["model_version"]) == {manifest["model"]["version"]}
    assert verify(job.out) == manifest
    assert (job.out / "_SUCCESS").exists()
    assert not list(job.out.parent.glob(".scores.work-*"))


def test_scores_do_not_depend_on_parts_row_groups_or_files(job, customers, tmp_path):
    score(job)
    folder = tmp_path / "many"
    folder.mkdir()
    for name, (first, last), group in (
        ("a", (0, 10), 3),
        ("b", (10, 640), 100),
        ("c", (640, 1000), 7),
    ):
        customers[first:last].to_parquet(
            folder / f"{name}.parquet", row_group_size=group, index=False
        )
    (folder / "_marker.parquet").write_bytes(b"not one of them")
    for part_rows in (170, 5_000):
        other = but(job, features=folder, out=tmp_path / f"other{part_rows}", part_rows=part_rows)
        score(other)
        pd.testing.assert_frame_equal(rows(other.out), rows(job.out), check_exact=True)


def test_missing_values_in_one_part_leave_the_answers_of_the_others_alone(job, customers, tmp_path):
    whole = customers.astype({"orders_total": "int64"})
    whole.to_parquet(job.features, index=False)
    holes = whole.astype({"orders_total": "Int64"})
    holes.loc[:299, "orders_total"] = pd.NA
    holes.to_parquet(tmp_path / "holes.parquet", index=False)
    score(job)
    score(but(job, features=tmp_path / "holes.parquet", out=tmp_path / "other"))
    ours, theirs = rows(job.out), rows(tmp_path / "other")
    later = ours["customer_id"].isin(customers["customer_id"][300:])
    pd.testing.assert_frame_equal(ours[later], theirs[later], check_exact=True)


def test_reading_holds_one_row_group_at_a_time_however_many_there_are(tmp_path):
    file = tmp_path / "long.parquet"
    rng = np.random.default_rng(1)
    table = pa.table({f"x{number}": rng.random(5_000) for number in range(20)})  # .8 MB, noise
    with pq.ParquetWriter(file, table.schema) as writer:
        for _ in range(40):
            writer.write_table(table)
    del table
    before, most = pa.total_allocated_bytes(), 0
    for _chunk in batch.chunks([file], [f"x{number}" for number in range(20)], rows=5_000):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 8_000_000  # of 32 MB


def test_ids_of_text_and_moments_with_a_zone_mean_the_same(job, customers, tmp_path):
    score(job)
    as_of = customers["as_of"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    texts = customers.assign(customer_id="c" + customers["customer_id"].astype("str"), as_of=as_of)
    other = but(job, features=tmp_path / "texts.parquet", out=tmp_path / "other")
    texts.to_parquet(other.features, index=False)
    texts[["customer_id"]][::20].to_parquet(other.suppressions, index=False)
    score(other)
    expected = rows(job.out)
    expected["customer_id"] = "c" + expected["customer_id"].astype("str")
    drawn = ["holdout", "propensity"]  # by the id, so that other ids draw others
    pd.testing.assert_frame_equal(
        rows(other.out).drop(columns=drawn), expected.drop(columns=drawn), check_exact=True
    )


def test_rows_of_another_moment_are_counted_and_not_scored(job, customers, tmp_path):
    moment = customers["as_of"].iloc[0]
    mixed = pd.concat([customers.assign(as_of=moment - pd.Timedelta(days=30)), customers])
    mixed.to_parquet(tmp_path / "mixed.parquet", index=False)
    with pytest.raises(ValueError, match=r"several moments, .* choose one by --as-of"):
        score(but(job, features=tmp_path / "mixed.parquet"))
    asked = but(job, features=tmp_path / "mixed.parquet", as_of=moment.to_pydatetime())
    assert score(asked)["excluded"] == {"another as_of": 1_000, "suppressed": 50}


def test_the_same_job_again_touches_nothing(job, capsys):
    before = score(job)
    written = (job.out / "_manifest.json").stat().st_mtime_ns
    assert score(job) == before
    assert (job.out / "_manifest.json").stat().st_mtime_ns == written
    assert "holds these scores already" in capsys.readouterr().err


def test_a_killed_job_goes_on_where_it_stopped_and_ends_with_the_same_bytes(job, monkeypatch):
    uninterrupted = score(but(job, part_rows=10, out=job.out.with_name("whole")))
    code = "import sys\nfrom winback.pipelines.cli import main\nsys.exit(main(sys.argv[1:]))"
    given = (
        "--features",
        job.features,
        "--out",
        job.out,
        "--model",
        job.model,
        "--part-rows",
        "10",
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, "score", *given, "--suppressions", job.suppressions],
        stderr=subprocess.DEVNULL,
    )
    while not list(job.out.parent.glob(".scores.work-*/part-00007.json")):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not job.out.exists()
    kept = len(list(job.out.parent.glob(".scores.work-*/part-*.json")))
    answered = []
    once = answering.answered
    monkeypatch.setattr(answering, "answered", lambda *a: answered.append(1) or once(*a))
    assert score(but(job, part_rows=10)) == uninterrupted
    assert kept >= 8
    assert len(answered) == 100 - kept


def test_features_that_change_while_they_are_scored_are_not_published(
    job, customers, monkeypatch, capsys
):
    write = answering.write_part

    def exchanged(*given):
        write(*given)
        customers[::-1].to_parquet(job.features, index=False)

    monkeypatch.setattr(answering, "write_part", exchanged)
    assert command(job) == BAD_DATA
    assert "changed while it was scored" in capsys.readouterr().err
    assert not job.out.exists()


def test_somebody_who_objects_while_the_job_runs_is_not_exported(job, customers, monkeypatch):
    late = customers["customer_id"].iloc[[1, 999]]
    write = answering.write_part

    def objecting(part, *given):
        write(part, *given)
        if part.name == "part-00001.parquet":
            listed = [*customers["customer_id"][::20], *late]
            pd.DataFrame({"customer_id": listed}).to_parquet(job.suppressions, index=False)

    monkeypatch.setattr(answering, "write_part", objecting)
    manifest = score(but(job, csv=True))
    assert not rows(job.out)["customer_id"].isin(late).any()
    assert not pd.read_csv(csv_beside(job.out))["customer_id"].isin(late).any()
    assert manifest["excluded"] == {"suppressed": 52}
    assert manifest["rows_out"] == 948 == len(rows(job.out))
    monkeypatch.undo()
    again = but(job, csv=True, out=job.out.with_name("again"))
    assert score(again) == manifest


def test_the_list_may_not_disappear_before_the_export(job, monkeypatch):
    write = answering.write_part
    monkeypatch.setattr(
        answering, "write_part", lambda *a: (write(*a), job.suppressions.unlink(missing_ok=True))
    )
    with pytest.raises(SuppressionsUnusable, match="cannot be read"):
        score(job)
    assert not job.out.exists()


def test_a_missing_or_stale_list_stops_the_job(job, capsys):
    assert command(but(job, suppressions=job.out.with_name("nowhere.parquet"))) == SUPPRESSIONS
    assert "give --no-suppressions where the business has none" in capsys.readouterr().err
    long_ago = datetime(2010, 1, 1).timestamp()
    os.utime(job.suppressions, (long_ago, long_ago))
    assert command(job) == SUPPRESSIONS
    assert "written at 2010-01-01 00:00, more than 7 days before" in capsys.readouterr().err
    assert command(job, "--max-age-days", "20000") == 0
    with pytest.raises(SystemExit):
        command(but(job, suppressions=None))  # neither a list nor the word that there is none
    assert command(but(job, suppressions=None), "--no-suppressions") == 0
    assert len(rows(job.out)) == 1_000


def test_a_list_with_other_ids_is_refused_and_an_empty_one_is_not(job, customers):
    pd.DataFrame({"customer_id": ["1", "2"]}).to_parquet(job.suppressions, index=False)
    with pytest.raises(SuppressionsUnusable, match="string there and int64 in the features"):
        score(job)
    pd.DataFrame({"customer_id": [1, None]}).to_parquet(job.suppressions, index=False)
    with pytest.raises(SuppressionsUnusable, match="1 rows without customer_id"):
        score(job)
    pd.DataFrame({"customer_id": []}, dtype="int64").to_parquet(job.suppressions, index=False)
    assert score(job)["rows_out"] == 1_000
    job.suppressions.write_bytes(b"PAR1 but no parquet")
    with pytest.raises(SuppressionsUnusable, match="cannot be read"):
        read_suppressions(job.suppressions, as_of=datetime(2020, 1, 1), max_age_days=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_folder_is_read_as_a_folder_by_pandas_duckdb_and_spark(job):
    score(but(job, csv=True))
    expected = rows(job.out)
    pd.testing.assert_frame_equal(pd.read_parquet(job.out), expected)
    glob = duckdb.sql(f"from '{job.out}/*.parquet' order by customer_id").df()
    by_id = expected.sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(glob, by_id, check_dtype=False)
    session = pytest.importorskip("pyspark.sql").SparkSession.builder.master("local[1]")
    spark = session.config("spark.ui.enabled", "false").getOrCreate()
    try:
        found = spark.read.parquet(str(job.out))
        assert found.columns == list(expected.columns)
        assert found.count() == len(expected) == 950
    finally:
        spark.stop()


def test_the_csv_is_that_of_the_folder_or_there_is_none(job, capsys):
    file = csv_beside(job.out)
    file.write_text("years of work")
    assert command(job, "--csv") == BAD_DATA
    assert "scores.csv: is there already and not of these scores" in capsys.readouterr().err
    assert command(job) == 0
    assert file.read_text() == "years of work"
    file.unlink()
    assert command(job, "--csv") == 0
    assert len(pd.read_csv(file)) == 950
    file.unlink()
    assert command(job, "--csv") == 0  # a job killed before the CSV
    assert len(pd.read_csv(file)) == 950
    assert command(job) == 0
    assert not file.exists()


def test_two_jobs_at_once_are_refused(job):
    with only_one(job.out):
        assert command(job) == LOCK
    assert command(job) == 0


@pytest.mark.parametrize("fault", ["truncated", "changed", "missing", "nowhere"])
def test_a_model_that_is_not_what_was_saved_is_refused(job, tmp_path, capsys, fault):
    models = shutil.copytree(job.model, tmp_path / "models")
    booster = next(models.rglob("*.txt"))
    text = booster.read_bytes()
    if fault == "nowhere":
        shutil.rmtree(models)
    elif fault == "missing":
        booster.unlink()
    else:
        booster.write_bytes(text[:-100] if fault == "truncated" else text.replace(b"7", b"8", 1))
    assert command(but(job, model=str(models))) == MODEL
    assert (
        "there is no such folder" if fault == "nowhere" else booster.name
    ) in capsys.readouterr().err
    assert not job.out.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="orders_total"), "1 columns are missing: orders_total"),
        (lambda f: f.assign(orders_total="many"), "'orders_total' must be a number, found"),
        (lambda f: f.assign(departure_reason=1.5), "'departure_reason' must be text, found double"),
        (lambda f: pd.concat([f, f[:2]]), "2 customers stand there twice"),
        (
            lambda f: f.assign(customer_id=f["customer_id"].astype("Int64").where(f.index > 0)),
            "without customer_id",
        ),
        (
            lambda f: f.assign(customer_id=f["customer_id"].where(f.index > 0)),
            "'customer_id' must be text or a whole number, found double",
        ),
        (lambda f: f[:0], "no rows to score"),
        (lambda f: f.assign(as_of="today"), "'as_of' must be a timestamp"),
    ],
)
def test_bad_rows_are_refused_by_name(job, customers, capsys, change, words):
    change(customers).to_parquet(job.features, index=False)
    assert command(job) == BAD_DATA
    assert words in capsys.readouterr().err
    assert not job.out.exists()


def test_what_is_no_parquet_and_a_folder_that_is_not_ours_are_refused(job, capsys):
    assert command(but(job, features=job.out.with_name("nowhere"))) == BAD_DATA
    assert "there is no parquet file" in capsys.readouterr().err
    job.out.mkdir()
    (job.out / "thesis.txt").write_text("years of work")
    assert command(job) == BAD_DATA
    assert "holds no scores" in capsys.readouterr().err
    assert (job.out / "thesis.txt").exists()
    job.features.write_bytes(b"PAR1")
    assert command(but(job, out=job.out.with_name("other"))) == BAD_DATA
    assert "not a readable parquet file" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # what mlflow warns of is not ours to mend
def test_customers_far_from_those_of_the_registration_stop_the_job(
    job, finished, customers, tmp_path, monkeypatch, capsys
):
    project = shutil.copytree(
        finished, tmp_path / "project", ignore=shutil.ignore_patterns("cache")
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with contextlib.chdir(project):
        assert main(["register"]) == 0
        registered = but(job, model="models:/winback@challenger")
        manifest = score(registered)
        assert manifest["drift"]["level"] == "ok"
        assert manifest["model"]["version"] == "winback/1"
        customers.assign(orders_total=customers["orders_total"] * 50 + 1_000).to_parquet(
            job.features, index=False
        )
        capsys.readouterr()
        assert command(registered) == DRIFT
        assert "drift of orders_total among the" in capsys.readouterr().err
        assert verify(job.out) == manifest
        assert command(registered, "--drift-limit", "100") == 0
        assert json.loads((job.out / "_manifest.json").read_text())["drift"]["level"] == "alarm"
        assert command(but(registered, model="models:/winback@nobody")) == MODEL


def test_texts_that_a_spreadsheet_would_execute_are_made_harmless(tmp_path):
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a"b,=c', "plain", None]
    table = pa.table({"customer_id": texts, "=x": [-1.5, *[2.0] * 7]})
    for name, part in (("a", table.slice(0, 3)), ("b", table.slice(3))):
        pq.write_table(part, tmp_path / f"{name}.parquet")
    write_csv([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "out.csv")
    found = pcsv.read_csv(
        tmp_path / "out.csv", convert_options=pcsv.ConvertOptions(strings_can_be_null=True)
    )
    assert found.column_names == ["customer_id", "'=x"]
    safe = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t'=1", 'a"b,=c', "plain", None]
    assert found["customer_id"].to_pylist() == safe
    assert found["'=x"].to_pylist() == [-1.5, *[2.0] * 7]


def test_spark_publishes_the_same_scores(job, customers, capsys):
    pytest.importorskip("pyspark", reason="no pyspark: pip install winback[spark]")
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


def test_threads_change_no_byte_and_a_failure_in_one_stops_all(job, monkeypatch):
    one = score(but(job, part_rows=100))
    two = score(but(job, part_rows=100, threads=3, out=job.out.with_name("two")))
    assert two == one
    once, calls = answering.answered, []

    def failing(chunk, task):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return once(chunk, task)

    monkeypatch.setattr(answering, "answered", failing)
    other = but(job, part_rows=10, threads=2, out=job.out.with_name("other"))
    with pytest.raises(OSError, match="No space left"):
        score(other)
    assert len(calls) < 20
    assert not other.out.exists()


def test_help_explains_every_exit_code(capsys):
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for code, words in (
        (BAD_DATA, "bad data"),
        (DRIFT, "drift"),
        (SUPPRESSIONS, "the suppression"),
    ):
        assert f"{code} {words}" in shown
    assert f"{LOCK} another job" in shown
    assert f"{MODEL} the model is missing" in shown


WHAT_HAPPENS = {  # to columns that are not those of the training: (change, as if, exit code, words)
    "reordered": (lambda f: f[list(f.columns)[::-1]], None, 0, ""),
    "extra": (lambda f: f.assign(note="x", more=1), None, 0, ""),
    "missing": (lambda f: f.drop(columns="orders_total"), None, BAD_DATA, "missing: orders_total"),
    "renamed": (
        lambda f: f.rename(columns={"orders_total": "Orders_Total"}),
        None,
        BAD_DATA,
        "missing: orders_total",
    ),
    "whole numbers": (lambda f: f.assign(orders_total=f["orders_total"].astype(int)), None, 0, ""),
    "whole numbers with holes": (
        lambda f: f.assign(orders_total=f["orders_total"].astype("Int64").mask(f.index < 9)),
        lambda f: f.assign(orders_total=f["orders_total"].mask(f.index < 9)),
        0,
        "",
    ),
    "yes and no": (
        lambda f: f.assign(orders_total=f["orders_total"] > 3),
        lambda f: f.assign(orders_total=(f["orders_total"] > 3).astype(float)),
        0,
        "",
    ),
    "decimals": (
        lambda f: f.assign(orders_total=f["orders_total"].map(lambda x: Decimal(str(x)))),
        None,
        0,
        "",
    ),
    "all missing": (
        lambda f: f.assign(orders_total=None, departure_reason=None),
        lambda f: f.assign(orders_total=np.nan, departure_reason=pd.NA),
        0,
        "",
    ),
    "unseen categories": (
        lambda f: f.assign(departure_reason="abducted"),
        lambda f: f.assign(departure_reason=pd.Series(pd.NA, f.index, dtype="str")),
        0,
        "",
    ),
    "categories as codes": (
        lambda f: f.assign(departure_reason=f["departure_reason"].astype("category")),
        None,
        0,
        "",
    ),
    "text for a number": (
        lambda f: f.assign(orders_total=f["orders_total"].astype("str")),
        None,
        BAD_DATA,
        "'orders_total' must be a number, found",
    ),
    "a number for a category": (
        lambda f: f.assign(departure_reason=1.5),
        None,
        BAD_DATA,
        "'departure_reason' must be text, found double",
    ),
}


@pytest.mark.parametrize("case", WHAT_HAPPENS)
def test_what_happens_to_columns_that_are_not_those_of_the_training(job, customers, capsys, case):
    """Answered by name and meaning, or refused by name; never answered wrong in silence."""
    change, as_if, code, words = WHAT_HAPPENS[case]
    change(customers).to_parquet(job.features, index=False)
    assert command(job) == code
    assert words in capsys.readouterr().err
    if code:
        assert not job.out.exists()
        return
    allowed = (as_if or (lambda f: f))(customers).drop(customers.index[::20])
    models = Path(job.model)
    expected = forecasts(read_answers(*(models / part for part in PARTS)), allowed)
    found = rows(job.out)[expected.columns]
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("late", [False, True])
def test_ten_thousand_of_a_hundred_thousand_objected(job, customers, monkeypatch, late):
    """None is scored, none is exported; with a list that comes after scoring, none is exported."""
    many = pd.concat([customers] * 100, ignore_index=True)
    many["customer_id"] = np.random.default_rng(1).permutation(len(many)) + 5_000_000
    many.to_parquet(job.features, index=False)
    objected = many["customer_id"].sample(10_000, random_state=2)
    listed = objected.iloc[:1] if late else objected
    listed.to_frame().to_parquet(job.suppressions, index=False)
    asked, once, write = [], answering.answer, answering.write_part

    def counting(answers, frame, **given):
        asked.append(len(frame))
        return once(answers, frame, **given)

    def objecting(part, *given):
        write(part, *given)
        objected.to_frame().to_parquet(job.suppressions, index=False)

    monkeypatch.setattr(answering, "answer", counting)
    if late:
        monkeypatch.setattr(answering, "write_part", objecting)
    manifest = score(but(job, part_rows=40_000, csv=True))
    assert sum(asked) == (99_999 if late else 90_000)
    assert manifest["excluded"] == {"suppressed": 10_000}
    exported = pcsv.read_csv(csv_beside(job.out))["customer_id"].to_pandas()
    for found in (rows(job.out)["customer_id"], exported):
        assert len(found) == found.nunique() == 90_000
        assert not found.isin(objected).any()
    latest = hashlib.sha256(job.suppressions.read_bytes()).hexdigest()
    assert manifest["suppressions"] == latest

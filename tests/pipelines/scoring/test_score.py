"""Every customer is answered as by the models, whatever the files; the rest is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scoring_job import BAD_DATA, DRIFT, LOCK, MODEL, SUPPRESSIONS, but, command, rows

from winback.models.formula.answers import answer
from winback.pipelines.cli import main
from winback.pipelines.score import score
from winback.pipelines.scoring import input_rows as batch
from winback.pipelines.storage.atomic import verify
from winback.pipelines.storage.trained_models import read_answers

PARTS = ("churn", "winback", "decision")


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
    drawn = ["holdout", "assigned_offer", "propensity"]  # by the id, so that other ids draw others
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


@pytest.mark.parametrize("fault", ["changed", "nowhere"])
def test_a_model_that_is_not_what_was_saved_is_refused(job, tmp_path, capsys, fault):
    models = shutil.copytree(job.model, tmp_path / "models")
    booster = next(models.rglob("*.txt"))
    text = booster.read_bytes()
    if fault == "nowhere":
        shutil.rmtree(models)
    else:
        booster.write_bytes(text.replace(b"7", b"8", 1))
    assert command(but(job, model=str(models))) == MODEL
    assert (
        "there is no such folder" if fault == "nowhere" else booster.name
    ) in capsys.readouterr().err
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
    job, registered, customers, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{registered}/mlflow.db")
    challenger = but(job, model="models:/winback@challenger")
    manifest = score(challenger)
    assert manifest["drift"]["level"] == "ok"
    assert manifest["model"]["version"] == "winback/1"
    customers.assign(orders_total=customers["orders_total"] * 50 + 1_000).to_parquet(
        job.features, index=False
    )
    capsys.readouterr()
    assert command(challenger) == DRIFT
    assert "drift of orders_total among the" in capsys.readouterr().err
    assert verify(job.out) == manifest
    assert command(challenger, "--drift-limit", "100") == 0
    assert json.loads((job.out / "_manifest.json").read_text())["drift"]["level"] == "alarm"
    assert command(but(challenger, model="models:/winback@nobody")) == MODEL


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

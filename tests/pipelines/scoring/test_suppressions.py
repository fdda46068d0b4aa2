"""Customers who object are neither scored nor exported, whenever the list comes."""

import hashlib
import os
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow.csv as pcsv
import pytest
from scoring_job import SUPPRESSIONS, but, command, rows

from winback.pipelines.score import score
from winback.pipelines.scoring import parts as answering
from winback.pipelines.scoring.suppressions import SuppressionsUnusable, read_suppressions
from winback.pipelines.tables.safe_csv import csv_beside


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
    # neither a list nor the word that there is none
    assert command(but(job, suppressions=None)) == SUPPRESSIONS
    assert command(but(job, suppressions=None), "--no-suppressions") == 0
    assert len(rows(job.out)) == 1_000


def test_a_list_with_other_ids_is_refused_and_an_empty_one_is_not(job, customers):
    pd.DataFrame({"customer_id": ["1", "2"]}).to_parquet(job.suppressions, index=False)
    with pytest.raises(SuppressionsUnusable, match="string in the list and int64 in the features"):
        score(job)
    pd.DataFrame({"customer_id": [1, None]}).to_parquet(job.suppressions, index=False)
    with pytest.raises(SuppressionsUnusable, match="1 rows without customer_id"):
        score(job)
    pd.DataFrame({"customer_id": []}, dtype="int64").to_parquet(job.suppressions, index=False)
    assert score(job)["rows_out"] == 1_000
    job.suppressions.write_bytes(b"PAR1 but no parquet")
    with pytest.raises(SuppressionsUnusable, match="cannot be read"):
        read_suppressions(job.suppressions, as_of=datetime(2020, 1, 1), max_age_days=1)


def test_a_csv_is_refused_with_a_cure_that_every_command_has(tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("customer_id\n7\n")
    with pytest.raises(SuppressionsUnusable, match=r"a Parquet file with a column customer_id\)$"):
        read_suppressions(listed, as_of=datetime(2020, 1, 1), max_age_days=None)


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


@pytest.mark.parametrize("limit", [float("nan"), 0.0])
def test_a_list_older_than_a_limit_that_is_no_number_is_stale(job, limit):
    with pytest.raises(SuppressionsUnusable, match="export it anew"):
        read_suppressions(job.suppressions, as_of=datetime(2051, 1, 1), max_age_days=limit)

"""Scores are published at once or not at all, and a killed job is finished by the next."""

import shutil
import signal
import subprocess
import sys
import time

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from scoring_job import BAD_DATA, LOCK, SUPPRESSIONS, but, command, rows

from winback.pipelines.job.lock import only_one
from winback.pipelines.score import score
from winback.pipelines.scoring import parts as answering
from winback.pipelines.storage.atomic import verify
from winback.pipelines.storage.leftovers import work_folders
from winback.pipelines.tables.safe_csv import csv_beside, write_csv


def test_the_same_job_again_touches_nothing(job, capsys):
    before = score(job)
    written = (job.out / "_manifest.json").stat().st_mtime_ns
    assert score(job) == before
    assert (job.out / "_manifest.json").stat().st_mtime_ns == written
    assert "holds these scores already" in capsys.readouterr().err


def test_a_killed_job_goes_on_where_it_stopped_and_ends_with_the_same_bytes(job, monkeypatch):
    uninterrupted = score(but(job, part_rows=50, out=job.out.with_name("whole")))
    code = "import sys\nfrom winback.pipelines.cli import main\nsys.exit(main(sys.argv[1:]))"
    given = (
        "--features",
        job.features,
        "--out",
        job.out,
        "--model",
        job.model,
        "--part-rows",
        "50",
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, "score", *given, "--suppressions", job.suppressions],
        stderr=subprocess.DEVNULL,
    )
    while not list(job.out.parent.glob(".scores.work-*/part-00003.json")):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not job.out.exists()
    kept = len(list(job.out.parent.glob(".scores.work-*/part-*.json")))
    answered = []
    once = answering.answered
    monkeypatch.setattr(answering, "answered", lambda *a: answered.append(1) or once(*a))
    assert score(but(job, part_rows=50)) == uninterrupted
    assert kept >= 4
    assert len(answered) == 20 - kept


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


def test_the_folder_is_read_as_a_folder_by_pandas_and_duckdb(job):
    score(but(job, csv=True))
    expected = rows(job.out)
    pd.testing.assert_frame_equal(pd.read_parquet(job.out), expected)
    glob = duckdb.sql(f"from '{job.out}/*.parquet' order by customer_id").df()
    by_id = expected.sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(glob, by_id, check_dtype=False)


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


@pytest.mark.parametrize("lost", ["folder", "part"])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_job_whose_parts_another_removed_says_so_and_the_old_scores_stand(
    job, monkeypatch, capsys, lost, threads
):
    old = score(but(job, part_rows=500))
    write = answering.write_part

    def written(part, *given):
        write(part, *given)
        if part.name == "part-00005.parquet":  # of ten
            if lost == "folder":
                shutil.rmtree(part.parent, ignore_errors=True)  # other threads still write there
            else:
                part.with_name("part-00000.parquet").unlink()

    monkeypatch.setattr(answering, "write_part", written)
    changed = but(job, part_rows=100)
    assert command(changed, "--threads", threads) == LOCK
    assert "another job, or somebody by hand, removed the parts" in capsys.readouterr().err
    assert verify(job.out) == old
    monkeypatch.undo()
    assert command(changed, "--threads", threads) == 0


def test_a_job_leaves_the_parts_of_other_folders_alone(job):
    other = job.out.with_name(".scores1.work-0123456789abcdef")
    other.mkdir()
    score(but(job, out=job.out.with_name("scores[0-9]")))
    assert other.is_dir()
    assert not work_folders(job.out.with_name("scores[0-9]"))


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


@pytest.mark.parametrize("nobody", ["of that moment", "who may be scored"])
def test_scores_of_nobody_replace_none(job, customers, capsys, nobody):
    score(but(job, csv=True))
    before = verify(job.out), csv_beside(job.out).read_bytes()
    if nobody == "of that moment":
        code, words, more = BAD_DATA, "none of the 1,000 rows is of", ("--as-of", "2001-01-01")
    else:
        customers[["customer_id"]].to_parquet(job.suppressions, index=False)
        code, words, more = SUPPRESSIONS, "all 1,000 customers of today are on the list", ()
    assert command(job, "--csv", *more) == code
    assert words in capsys.readouterr().err
    assert (verify(job.out), csv_beside(job.out).read_bytes()) == before

"""Leftovers of dead jobs are swept, those of living ones and of jobs that go on stay."""

import os
import subprocess
import time

import pytest

from winback.pipelines.job.lock import only_one
from winback.pipelines.storage.leftovers import RESUMED_WITHIN, sweep, work_folders


@pytest.fixture(scope="module")
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def folder(path):
    path.mkdir(parents=True)
    (path / "part-00000.parquet").write_bytes(b"rows")
    return path


def aged(path, seconds):
    then = time.time() - seconds
    for each in (*path.iterdir(), path):
        os.utime(each, (then, then))
    return path


def test_what_the_dead_left_is_removed_at_any_depth(tmp_path, dead):
    kept = folder(tmp_path / "data/features")
    left = [
        folder(tmp_path / f"data/.features.new-{dead}"),
        folder(tmp_path / f"data/.tables.new-{dead}/spill").parent,
        folder(tmp_path / f"data/scores/.eu.today.new-{dead}"),
        folder(tmp_path / f"artifacts/.winback.old-{dead}"),
    ]
    (tmp_path / "artifacts/winback").mkdir()
    (tmp_path / "reports").mkdir()
    left.append(tmp_path / f"reports/.metrics.json.new-{dead}")
    left[-1].write_text("{")
    roots = [tmp_path / name for name in ("data", "artifacts", "reports", "none")]
    assert sorted(sweep(roots)) == sorted(left)
    assert not any(path.exists() for path in left)
    assert (kept / "part-00000.parquet").exists()


def test_what_was_set_aside_is_put_back(tmp_path, dead):
    folder(tmp_path / f".winback.old-{dead}")
    sweep([tmp_path])
    assert [path.name for path in tmp_path.iterdir()] == ["winback"]


def test_the_living_keep_theirs(tmp_path):
    living = folder(tmp_path / f".features.new-{os.getppid()}")
    assert sweep([tmp_path]) == []
    assert living.exists()


def test_parts_of_a_killed_job_wait_a_day_and_those_of_a_living_one_longer(tmp_path):
    work = folder(tmp_path / ".scores.work-0123456789abcdef")
    aged(work, RESUMED_WITHIN - 60)
    assert sweep([tmp_path]) == []
    aged(work, RESUMED_WITHIN + 60)
    with only_one(tmp_path / "scores"):
        assert sweep([tmp_path]) == []
    assert work_folders(tmp_path / "scores") == [work]
    assert sweep([tmp_path]) == [work]
    assert work_folders(tmp_path / "scores") == []

"""A fault at every write, flush, rename and link: old or new stands, and the next run finishes.

Python's own calls are made to fail here, each in turn; benchmarks/score_faults.py does the same to
every call of the process below Python, and kills it there.
"""

import contextlib
import io
import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.pipelines import score as scoring
from winback.pipelines.cli import main
from winback.pipelines.job.lock import only_one
from winback.pipelines.score import Job, score
from winback.pipelines.scoring import parts as answering
from winback.pipelines.storage import atomic as store
from winback.pipelines.storage.atomic import replace_folder, verify

pytestmark = pytest.mark.bar("a full disk at a call of Python's: half a result, or two at work")
CALLS = ("fsync", "replace", "rename", "link", "mkdir", "unlink", "rmdir")
DISK_FULL = (28, "No space left on device")


@pytest.fixture
def faulty(monkeypatch):
    """A function that lets the n-th call from now on fail, and a list of the calls so far."""
    calls, fails = [], [0]

    def counted(name, real):
        def call(*given, **named):
            calls.append(name)
            if len(calls) == fails[0]:
                raise OSError(*DISK_FULL)
            return real(*given, **named)

        return call

    class Handle(io.BufferedWriter):
        def write(self, data):
            calls.append("write")
            if len(calls) == fails[0]:
                super().write(bytes(data)[: len(data) // 2])
                raise OSError(*DISK_FULL)
            return super().write(data)

    plain = Path.open

    def opened(self, mode="r", *given, **named):
        return Handle(io.FileIO(self, "w")) if mode == "wb" else plain(self, mode, *given, **named)

    for name in CALLS:
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    monkeypatch.setattr(store, "_exchange", counted("exchange", store._exchange))
    monkeypatch.setattr(Path, "open", opened)

    def at(number):
        calls.clear()
        fails[0] = number

    return at, calls


def points(calls):
    """Every call, and of writes that follow each other the first, the second and the last."""
    near = zip(calls, ["", "", *calls], [*calls[1:], ""], strict=False)
    alike = [{call, before, after} == {"write"} for call, before, after in near]
    return [number for number, same in enumerate(alike, 1) if not same]


def clean_run(faulty, run):
    """How many calls a run makes that nothing disturbs, and what it returned."""
    at, calls = faulty
    at(0)
    return run(), list(calls)


def test_a_fault_at_every_call_of_a_scoring_job_leaves_old_or_new(
    finished, tmp_path, faulty, monkeypatch
):
    customers = pd.read_parquet(finished / "data/features/current.parquet").head(90)
    customers.to_parquet(tmp_path / "customers.parquet", index=False)
    customers[["customer_id"]][::20].to_parquet(tmp_path / "objected.parquet", index=False)
    given = (tmp_path / "customers.parquet", tmp_path / "scores", str(finished / "artifacts"))
    opened = scoring.open_model(str(finished / "artifacts"))
    monkeypatch.setattr(scoring, "open_model", lambda *_, **__: opened)
    old = score(Job(*given, None, part_rows=45))
    shutil.copytree(tmp_path / "scores", tmp_path / "kept")
    job = Job(*given, tmp_path / "objected.parquet", part_rows=45)
    new, calls = clean_run(faulty, lambda: score(job))
    assert {"write", "exchange", *CALLS} - {"rename"} <= {*calls}
    answers, once = [], answering.answered
    monkeypatch.setattr(answering, "answered", lambda *a: answers.append(1) or once(*a))
    at, _ = faulty
    for number in points(calls):
        at(0)
        shutil.rmtree(tmp_path / "scores")
        shutil.copytree(tmp_path / "kept", tmp_path / "scores")
        answers.clear()
        at(number)
        try:
            stands = score(job)
        except OSError:
            at(0)
            stands = verify(tmp_path / "scores")
        at(0)
        assert stands in (old, new), (number, calls[number - 1])
        assert score(job) == new
        assert verify(tmp_path / "scores") == new
        assert len(answers) <= 3, (number, calls[number - 1])
        assert [each.name for each in tmp_path.glob(".scores.*")] == [".scores.lock"]


def test_a_fault_at_every_call_of_a_stage_leaves_old_or_new(tmp_path, faulty):
    folder = tmp_path / "artifacts"

    def write(generation):
        with replace_folder(folder) as new:
            (new.path / "readout").mkdir()
            (new.path / "formula.json").write_bytes(generation)
            (new.path / "readout" / "levels.csv").write_bytes(generation)
            with (new.path / "held_out.parquet").open("wb") as handle:
                pq.write_table(pa.table({"x": [generation]}), handle)
        return verify(folder)

    for system_swaps in (True, False):
        if not system_swaps:  # then two renames do it
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(store, "_exchange", lambda *_: False)
                every_fault(faulty, write, folder)
        else:
            every_fault(faulty, write, folder)


def every_fault(faulty, write, folder):
    at, _ = faulty
    at(0)
    old = write(b"old")
    new, calls = clean_run(faulty, lambda: write(b"new"))
    assert len(calls) > 20
    for number in points(calls):
        at(0)
        write(b"old")
        at(number)
        with contextlib.suppress(OSError):
            write(b"new")
        at(0)
        assert verify(folder) in (old, new), (number, calls[number - 1])
        assert write(b"new") == new
        assert [each.name for each in folder.parent.iterdir()] == [folder.name]


def test_the_lock_of_a_dead_job_holds_nobody_up(tmp_path):
    child = os.fork() if os.name == "posix" else 0
    if child == 0:
        with only_one(tmp_path / "scores"):
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / ".scores.lock").exists()
    with only_one(tmp_path / "scores"):
        pass


def test_a_second_job_by_another_name_of_the_place_is_refused(finished, tmp_path, capsys):
    (tmp_path / "link").symlink_to(tmp_path / "scores")
    features = str(finished / "data/features/current.parquet")
    given = ("--features", features, "--model", str(finished / "artifacts"), "--no-suppressions")
    with only_one(tmp_path / "scores"):
        assert main(["score", *given, "--out", str(tmp_path / "link")]) == 8
    assert "another job is writing there" in capsys.readouterr().err

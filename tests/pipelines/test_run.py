"""Before `winback run` starts DVC: who else is at work is named, what the dead left is swept."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, small_project, winback
from ruamel.yaml import YAML

from winback.pipelines import run
from winback.pipelines.job.at_work import STAGES

LOCK = 8


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which DVC is not started but fails with exit code 77."""
    folder = small_project(tmp_path)
    monkeypatch.setattr(run.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 77))
    return folder


@contextlib.contextmanager
def sleeping(folder, *words):
    """A process of that command line which works in a folder."""
    code = "import time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=folder, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


@pytest.mark.bar("two at once: both at work")
@pytest.mark.parametrize(
    "words",
    [
        ("-m", "dvc", "repro"),
        ("/opt/bin/winback", "train_winback", "--features", "x"),
        ("/opt/bin/winback", "--project", "elsewhere", "featurize"),
    ],
)
def test_an_orphan_of_a_killed_run_is_named_with_what_to_do(project, capsys, words):
    before = (project / "params.yaml").read_bytes()
    with sleeping(project, *words) as number:
        assert winback(project, "run", "--source", "sources/kumar.yaml") == LOCK
    told = capsys.readouterr().err
    assert f"process {number} (" in told
    assert f"let it finish, or end it (kill {number})" in told
    assert (project / "params.yaml").read_bytes() == before
    assert winback(project, "run") == 77


def test_whoever_works_elsewhere_or_only_reads_is_no_hindrance(project):
    with sleeping(Path.home(), "dvc", "repro"), sleeping(project, "winback", "history"):
        assert winback(project, "run") == 77


def test_a_number_in_the_lock_of_dvc_that_another_program_has_now_is_told(project, capsys):
    note = project / ".dvc/tmp/rwlock"
    note.parent.mkdir(parents=True, exist_ok=True)
    with sleeping(Path.home(), "editor") as number:
        held = {"write": {"data/features": {"pid": number, "cmd": "dvc repro"}}, "read": {}}
        note.write_text(json.dumps(held))
        assert winback(project, "run") == LOCK
    assert f"with the number of a run that was killed, remove {note}" in capsys.readouterr().err
    assert winback(project, "run") == 77
    note.write_text('{"write": ')
    assert winback(project, "run") == 3
    assert f"{note}: cannot be read" in capsys.readouterr().err


def test_the_dead_whom_nobody_has_buried_hold_no_lock(project):
    """In a container whose first process does not wait for orphans, they stay as zombies."""
    note = project / ".dvc/tmp/rwlock"
    note.parent.mkdir(parents=True, exist_ok=True)
    dead = subprocess.Popen(["true"])
    until = time.monotonic() + 30
    while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)
    held = {"write": {"data/features": {"pid": dead.pid, "cmd": "dvc repro"}}, "read": {}}
    note.write_text(json.dumps(held))
    assert winback(project, "run") == 77
    dead.wait()


def test_what_killed_runs_left_is_swept_before_the_run(project, capsys):
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = project / f"data/.features.new-{ended.pid}"
    left.mkdir(parents=True)
    assert winback(project, "run") == 77
    assert not left.exists()
    assert f"removed data/{left.name}, left by a run that was killed" in capsys.readouterr().err


def test_the_stages_that_count_as_at_work_are_those_of_the_pipeline():
    assert set(STAGES) == set(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])


def test_the_exit_code_is_that_of_the_stage_which_failed(project, monkeypatch):
    """DVC ends with a code of its own, which would tell no scheduler what to do."""

    def repro(*_, **__):
        (project / "data").mkdir(exist_ok=True)
        return subprocess.CompletedProcess([], 255 if winback(project, "featurize") else 0)

    assert winback(project, "featurize") == 3
    assert winback(project, "run") == 77  # what an earlier stage left does not count
    monkeypatch.setattr(run.subprocess, "run", repro)
    assert winback(project, "run") == 3

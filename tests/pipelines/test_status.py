"""`winback status` and `winback doctor`: what stands, what comes next, and what is not fit."""

import json
import os
import re
import shutil
from dataclasses import replace

import pytest
from conftest import run_in

from winback.pipelines import doctor, status
from winback.pipelines.cli import main
from winback.pipelines.job.exit_codes import REFUSED
from winback.pipelines.registry.known_versions import KnownVersion
from winback.pipelines.registry.opened_model import content_hash
from winback.pipelines.storage.trained_models import model_files

# What mlflow warns of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    return folder


def facts(capsys, *command, code=0):
    capsys.readouterr()
    assert main([*command, "--json"]) == code
    told = capsys.readouterr()
    assert [line for line in told.err.splitlines() if not line.startswith("  ")] == []
    return json.loads(told.out)


def test_each_command_is_followed_by_the_next_and_only_we_speak(project, capsys):
    run_in(project, "git", "add", "-A")
    run_in(project, "git", "commit", "-qm", "a run")
    assert facts(capsys, "status")["next"] == "winback register"
    registered = facts(capsys, "register")
    assert registered["version"] == "1"
    assert facts(capsys, "status")["next"] == "winback promote"
    assert facts(capsys, "promote")["model"] == registered["model"]
    assert facts(capsys, "status")["next"] == "winback score"
    scored = facts(capsys, "score")
    assert scored["rows_in"] == scored["rows_out"] + scored["excluded"]["suppressed"]
    told = facts(capsys, "status")
    assert told["models"]["champion"]["version"] == "1"
    assert told["scores"]["rows"] == scored["rows_out"]
    assert told["next"].startswith("nothing; ")
    assert told["changed_stages"] == []
    assert told["as_of"] == "2015-01-01 00:00:00"
    assert list(told["resources"])[:2] == ["fingerprint", "ingest"]


def test_a_change_is_seen_and_named(project, capsys):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("rounds: 40", "rounds: 41"))
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "stages  changed: train_churn, and what follows" in shown
    assert re.search(r"train_winback +[\d.]+ +[\d,]+\n", shown)
    assert shown.rstrip().endswith("next    winback run")


OURS = KnownVersion("2", made_at=0, as_of="", content="ours", vetoed=())
VERSIONS = {
    "of other models": ({"champion": replace(OURS, content="older")}, "winback register"),
    "a new challenger": ({"champion": replace(OURS, version="1"), "challenger": OURS}, "promote"),
    "vetoed": ({"challenger": replace(OURS, vetoed=("drift",))}, "the challenger was vetoed"),
    "champion": ({"champion": OURS, "challenger": OURS}, "winback score"),
}


@pytest.mark.parametrize(("versions", "words"), VERSIONS.values(), ids=VERSIONS)
def test_what_comes_next_depends_on_the_registry(finished, monkeypatch, capsys, versions, words):
    monkeypatch.chdir(finished)
    parts = (finished / "artifacts" / part for part in ("churn", "winback", "decision"))
    ours = content_hash(*map(model_files, parts))
    known = {
        alias: replace(made, content=ours) if made.content == "ours" else made
        for alias, made in versions.items()
    }
    monkeypatch.setattr(status, "known_versions", lambda: known)
    monkeypatch.setattr(status, "changed_stages", list)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert words in shown.splitlines()[-1]
    assert ("vetoed by drift" in shown) == (words == "the challenger was vetoed")


def test_where_nothing_ran_the_first_command_is_run(project, monkeypatch, capsys):
    for name in ("data", "artifacts", "reports"):
        shutil.rmtree(project / name)
    monkeypatch.setattr(status, "changed_stages", list)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "report  none yet" in shown
    assert shown.rstrip().endswith("next    winback run")


def checks(capsys, code=0):
    return {check["name"]: check for check in facts(capsys, "doctor", code=code)["checks"]}


def test_a_finished_project_is_fit(project, capsys):
    found = checks(capsys)
    assert {check["state"] for check in found.values()} <= {"ok", "warning"}
    assert found["dvc"]["state"] == "ok"
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(found)
    assert all(line.split()[0] in ("ok", "warning") for line in shown)


def edit(name, old, new):
    def change(project):
        text = (project / name).read_text()
        assert old in text
        (project / name).write_text(text.replace(old, new))

    return change


FAULTS = {  # what is wrong: (change, check, state, words of what is told or of the cure)
    "a typo in params": (edit("params.yaml", "rounds", "ruonds"), "settings", "broken", "ruonds"),
    "too much memory": (
        edit("params.yaml", "memory_limit: 3GB", "memory_limit: 9TB"),
        "memory",
        "warning",
        "set machine.memory_limit to",
    ),
    "raw data missing": (
        edit("params.yaml", "sources/small.yaml", "sources/hillstrom.yaml"),
        "source",
        "broken",
        "set HILLSTROM",
    ),
    "another version": (
        edit("requirements.lock", "\nduckdb==", "\nduckdb==0."),
        "packages",
        "warning",
        "duckdb ",
    ),
    "no git": (lambda project: shutil.rmtree(project / ".git"), "git", "warning", "git init"),
}


@pytest.mark.parametrize(("change", "check", "state", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_cure(project, monkeypatch, capsys, change, check, state, words):
    change(project)
    monkeypatch.setattr(doctor, "changed_stages", lambda: [])
    found = checks(capsys, code=REFUSED if state == "broken" else 0)[check]
    assert found["state"] == state
    assert words in found["told"] + found["cure"]


def test_doctor_says_what_git_says_of_the_repository_of_another_user(project, monkeypatch, capsys):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setattr(doctor, "changed_stages", list)
    found = checks(capsys)["git"]
    assert found["state"] == "warning"
    assert f"git config --global --add safe.directory {project}" in found["told"]


def test_without_dvc_nothing_can_run(project, capsys):
    shutil.rmtree(project / ".dvc")
    found = checks(capsys, code=REFUSED)["dvc"]
    assert found["state"] == "broken"
    assert "dvc init" in found["cure"]


def test_a_registry_that_does_not_answer_is_broken_and_soon_known(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(doctor, "changed_stages", list)
    monkeypatch.setattr(status, "changed_stages", list)
    found = checks(capsys, code=REFUSED)["mlflow"]
    assert found["told"].startswith("http://127.0.0.1:9 does not answer")
    told = facts(capsys, "status")
    assert "does not answer" in told["registry"]
    assert told["next"] == "winback doctor"


def test_a_full_disk_and_a_missing_java_are_warnings(monkeypatch, capsys, finished):
    monkeypatch.chdir(finished)
    monkeypatch.setattr(doctor, "changed_stages", list)
    monkeypatch.setattr(doctor, "LEAST_DISK_GB", 1e9)
    monkeypatch.setattr(doctor.util, "find_spec", lambda _: True)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = checks(capsys)
    assert found["disk"]["state"] == found["spark"]["state"] == "warning"


@pytest.mark.parametrize(
    ("limit", "expected"), [("3GB", 3e9), ("512 MiB", 512e6), ("50%", 5e9), ("1.5TB", 1.5e12)]
)
def test_a_memory_limit_in_bytes(limit, expected):
    assert doctor.memory_bytes(limit, 10e9) == expected

"""Which stages DVC runs again after an edit, and what a finished project keeps."""

import json
import shutil

import pytest
from conftest import run_in

EXPECTED = {  # a comment in the file -> the stages that DVC would run again
    "features/families/recency.py": {"featurize"},
    "features/windows.py": {"featurize"},
    "models/simulation/simulate.py": {"ingest"},
    "models/experiment/readout.py": {"train_winback", "report"},
    "models/churn/staleness.py": {"train_churn"},
    "models/uplift/learners.py": {"train_winback"},
    "models/decision/strategy.py": {"recommend", "evaluate", "report"},
    "pipelines/tables/database.py": {"fingerprint", "ingest"},
    "pipelines/reporting/html.py": {"report"},
    "pipelines/readout.py": set(),
}
ALWAYS = "always changed"  # fingerprint asks the raw data in every run


@pytest.fixture
def project(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "project", symlinks=True)


def changed(project):
    """Stage -> what DVC says has changed in its deps."""
    done = run_in(project, "dvc", "status", "--json")
    assert done.returncode == 0, done.stderr
    stages = {}
    for stage, facts in json.loads(done.stdout).items():
        deps = [fact for fact in facts if fact != ALWAYS]
        stages[stage] = {name for fact in deps for name in fact.get("changed deps", {})}
    return {stage: deps for stage, deps in stages.items() if deps}


def test_a_comment_reruns_the_stages_that_use_the_file_and_no_other(project):
    assert changed(project) == {}
    for file in EXPECTED:
        with (project / file).open("a") as module:
            module.write("# a comment\n")
    stages = changed(project)
    found = {
        file: {
            stage
            for stage, deps in stages.items()
            if any(file == dep or file.startswith(f"{dep}/") for dep in deps)
        }
        for file in EXPECTED
    }
    assert found == EXPECTED


def test_other_snapshots_do_not_train_the_win_back_models_again(project):
    params = (project / "params.yaml").read_text()
    assert "snapshots: 5" in params
    (project / "params.yaml").write_text(params.replace("snapshots: 5", "snapshots: 4"))
    assert run_in(project, "dvc", "repro", "--single-item", "featurize").returncode == 0
    stages = changed(project)
    assert stages["train_churn"] == {"data/features/train_churn.json"}
    assert "train_winback" not in stages


def test_what_dvc_keeps_comes_back_with_the_fingerprint(project):
    shutil.rmtree(project / "data")
    assert run_in(project, "dvc", "checkout").returncode == 0
    assert (project / "data/fingerprint.json").is_file()
    assert changed(project) == {}

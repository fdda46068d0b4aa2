"""The registry: one version per content, loadable by people who have never heard of winback."""

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from conftest import run_in, winback
from mlflow.exceptions import MlflowException

from winback.pipelines.job.exit_codes import ModelRefused, Refusal
from winback.pipelines.registry.bundle import bundle
from winback.pipelines.registry.opened_model import open_model
from winback.pipelines.registry.provenance import uncommitted
from winback.pipelines.storage.atomic import write_manifest

# What mlflow warns of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")
CONSUMER = """
import sys
sys.modules["winback"] = sys.modules["lightgbm"] = None  # as if they were not installed
import mlflow, pandas as pd
rows = pd.read_parquet("data/features/current.parquet")
for alias in sys.argv[1:]:
    model = mlflow.pyfunc.load_model(f"models:/winback@{alias}")
    rows = rows[rows.columns[::-1]].assign(unheard_of=1)
    model.predict(rows).assign(customer_id=rows["customer_id"]).to_parquet(f"{alias}.parquet")
"""


def another(decision):
    """The first offer that is not the best single one."""
    best = decision["by_objective"][decision["objective"]]["best_single"]
    return next(name for name in decision["offers"] if name != best)


@pytest.fixture(scope="module")
def project(registered, tmp_path_factory):
    """A registered run, and beside it a second version that sends everybody another offer."""
    folder = tmp_path_factory.mktemp("registry") / "project"
    shutil.copytree(registered, folder)
    other = shutil.copytree(folder / "artifacts/decision", folder / "other")
    decision = json.loads((other / "decision.json").read_text())
    told = {"personalize": False, "best_single": another(decision)}
    decision["by_objective"] = {decision["objective"]: told}
    (other / "decision.json").write_text(json.dumps(decision))
    write_manifest(other, json.loads((other / "_manifest.json").read_text()))
    assert winback(folder, "register", "--decision", "other") == 0
    return folder


def test_the_same_models_make_no_second_version(project, capsys):
    assert winback(project, "register") == 0
    assert capsys.readouterr().out == "models:/winback/1\n"
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert len(client.search_model_versions("name = 'winback'")) == 2


def test_uncommitted_changes_are_refused_unless_told(project, tmp_path, capsys):
    copy = shutil.copytree(project, tmp_path / "project")
    with contextlib.chdir(copy):
        assert uncommitted(Path("sources/small.yaml")) == []
        assert uncommitted(Path("sources/small.yaml").resolve()) == []
        assert uncommitted(Path("models/../sources/small.yaml")) == []
        assert uncommitted(Path("/etc/hostname")) == ["/etc/hostname"]
        Path("params.yaml").write_text(Path("params.yaml").read_text() + "# a change\n")
        Path("models/new.py").write_text("")
        Path("notes.txt").write_text("no code, no settings")
        Path("sources/mine.yaml").write_text("name: mine")
        Path(".git/info/exclude").write_text("/sources/mine.yaml\n")
        assert uncommitted(Path("sources/mine.yaml")) == [
            "params.yaml",
            "models/new.py",
            "sources/mine.yaml",
        ]
        assert run_in(copy, "git", "rm", "-q", "--cached", "params.yaml").returncode == 0
        assert run_in(copy, "git", "commit", "-qm", "x").returncode == 0
        assert uncommitted(Path("sources/small.yaml")) == ["models/new.py", "params.yaml"]
    assert winback(copy, "register") == 3
    said = capsys.readouterr().err
    assert "2 files are not as in the last commit (models/new.py, params.yaml)" in said
    assert winback(copy, "register", "--allow-dirty") == 0


def test_a_repository_that_git_does_not_trust_is_not_taken_for_none(project, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    cure = f"git config --global --add safe.directory {project}"
    with contextlib.chdir(project / "sources"), pytest.raises(Refusal, match=re.escape(cure) + "$"):
        uncommitted(Path("small.yaml"))


def test_a_version_says_where_it_came_from_and_what_it_is_good_for(project, registered):
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    found = client.get_model_version("winback", "1")
    assert folder_of(project, 1).is_relative_to(registered / "mlartifacts")
    head = run_in(project, "git", "rev-parse", "HEAD").stdout.strip()
    assert found.tags["winback.git"] == head
    lock = hashlib.sha256((project / "dvc.lock").read_bytes()).hexdigest()
    assert found.tags["winback.dvc_lock"] == lock
    assert {"winback.as_of", "winback.data", "winback.dvc_experiment"} <= set(found.tags)
    run = client.get_run(found.run_id)
    assert run.data.params["train_churn.num_leaves"] == "8"
    metrics = json.loads((project / "reports/metrics.json").read_text())
    assert run.data.metrics["churn.churn.auc"] == metrics["churn"]["churn"]["auc"]
    logged = {file.path for file in client.list_artifacts(found.run_id)}
    assert {"report.html", "plots", "policies.json", "features", "model_card.md"} <= logged
    card = found.description
    assert f"{metrics['churn']['churn']['auc']:.4g} (" in card
    assert f"{metrics['policy']['profit']['value_per_customer']:.4g} (" in card
    for words in ("Data as of 2015-01-01", "`churn_probability`", "ranks worst", "## Limits"):
        assert words in card
    needs = (folder_of(project, 1) / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in needs} == {"mlflow", "numpy", "pandas"}
    assert all("==" in line for line in needs)


def test_a_consumer_without_winback_gets_the_batch_answers_to_the_bit(project):
    uri = f"sqlite:///{project}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    client.set_registered_model_alias("winback", "champion", "1")
    assert str(client.get_model_version_by_alias("winback", "challenger").version) == "2"
    done = run_in(
        project,
        sys.executable,
        "-c",
        CONSUMER,
        "champion",
        "challenger",
        MLFLOW_TRACKING_URI=uri,
        MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false",
    )
    assert done.returncode == 0, done.stderr
    assert (folder_of(project, 1) / "__pycache__").is_file(), "no bytecode is left in the registry"
    champion = pd.read_parquet(project / "champion.parquet").set_index("customer_id")
    challenger = pd.read_parquet(project / "challenger.parquet").set_index("customer_id")
    batch = pd.read_parquet(project / "data/recommendations.parquet").set_index("customer_id")
    outputs = [name for name in champion.columns if name in batch.columns]
    assert len(outputs) > 10
    pd.testing.assert_frame_equal(
        champion.loc[batch.index, outputs], batch[outputs], check_exact=True
    )
    # Two versions in one process answer each with its own decision.
    decision = json.loads((project / "artifacts/decision/decision.json").read_text())
    assert set(challenger["recommended_offer"].dropna()) == {another(decision), "none"}


def test_a_run_is_logged_once_with_its_name_data_and_pictures(project, capsys):
    assert winback(project, "track") == 0
    run_id = capsys.readouterr().out.strip()
    assert winback(project, "track") == 0
    assert capsys.readouterr().out.strip() == run_id
    with contextlib.chdir(project):
        client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
        run = client.get_run(run_id)
        pictures = {file.path for file in client.list_artifacts(run_id, "plots")}
        about = client.get_registered_model("winback").description
    assert re.fullmatch(r"\w+ \d{4}-\d\d-\d\d [0-9a-f]{7}(-dirty)?", run.info.run_name)
    inputs = {given.dataset.name.split()[-1] for given in run.inputs.dataset_inputs}
    assert inputs == {"churn", "winback"}
    wanted = ("churn_reliability", "return_reliability", "budget_curve", "policies_profit")
    assert {f"plots/{name}.png" for name in wanted} <= pictures
    assert "champion" in about


def test_scores_of_the_registered_model_equal_those_of_the_pipeline(project):
    given = ("--features", "data/features/current.parquet", "--no-suppressions")
    where = ("--model", "models:/winback/1", "--out", "scores")
    assert winback(project, "score", *given, *where) == 0
    scores = pd.read_parquet(project / "scores/part-00000.parquet").set_index("customer_id")
    batch = pd.read_parquet(project / "data/recommendations.parquet").set_index("customer_id")
    same = [name for name in scores.columns if name in batch.columns and name != "model_version"]
    assert {"recommended_offer", "holdout", "priority", "strategy", "excluded_by"} <= set(same)
    found = scores.loc[batch.index, same].drop(columns="as_of")
    pd.testing.assert_frame_equal(found, batch[same].drop(columns="as_of"), check_exact=True)


@pytest.mark.parametrize("fault", ["truncated", "changed", "missing"])
def test_a_tampered_model_is_refused_before_it_is_parsed(project, tmp_path, fault, capsys):
    copy = shutil.copytree(project / "artifacts", tmp_path / "artifacts")
    booster = next((copy / "churn").glob("*.txt"))
    text = booster.read_bytes()
    if fault == "missing":
        booster.unlink()
    else:
        booster.write_bytes(text[:-100] if fault == "truncated" else text.replace(b"7", b"8", 1))
    assert winback(project, "register", "--churn", str(copy / "churn")) == 3
    assert booster.name in capsys.readouterr().err


def faulty(body, rng):
    """Truncated, one bit flipped, empty, another document, missing (None)."""
    place = rng.randrange(len(body))
    flipped = body[:place] + bytes([body[place] ^ 1 << rng.randrange(8)]) + body[place + 1 :]
    return body[:place], flipped, b"", b"{}", None


def folder_of(project, version):
    """Where the artifact store keeps a version."""
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    return Path(client.get_model_version_download_uri("winback", version).removeprefix("file://"))


def test_a_consumers_process_refuses_every_changed_file_before_it_parses_it(project, tmp_path):
    copy = shutil.copytree(folder_of(project, 1), tmp_path / "model")
    files = sorted((copy / "artifacts").rglob("*.*"))
    assert {"formula.json", "decision.json", "reference.parquet"} <= {file.name for file in files}
    rng = random.Random(6)
    for file in files:
        whole = file.read_bytes()
        for body in faulty(whole, rng):
            file.unlink() if body is None else file.write_bytes(body)
            with pytest.raises(ValueError, match=f"{file.name}' has SHA-256"):
                mlflow.pyfunc.load_model(str(copy))
        file.write_bytes(whole)
    mlflow.pyfunc.load_model(str(copy))


def test_changed_code_is_refused_before_it_defines_anything(project, tmp_path, monkeypatch):
    copy = shutil.copytree(folder_of(project, 1), tmp_path / "model")
    code = copy / "winback_model.py"
    whole = code.read_text()
    for body in (
        whole.replace("500.0", "50.0", 1),
        whole + "\n",
        whole.replace("Formula", "Other"),
    ):
        code.write_text(body)
        with pytest.raises(MlflowException, match="code was changed or truncated"):
            mlflow.pyfunc.load_model(str(copy))
    for body in faulty(whole.encode(), random.Random(6)):
        code.unlink() if body is None else code.write_bytes(body)
        # MLflow keeps the last model of the process; a new process has none.
        monkeypatch.setattr("mlflow.models.model.__mlflow_model__", None)
        with pytest.raises(MlflowException):
            mlflow.pyfunc.load_model(str(copy))


def test_the_pipeline_refuses_a_version_of_which_any_file_was_changed(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    folder = folder_of(project, 1)
    for name in (
        *("MLmodel", "winback_model.py", "requirements.txt", "__pycache__"),
        "artifacts/models/more.txt",
    ):
        file = folder / name
        whole = file.read_bytes() if file.exists() else None
        file.write_bytes((whole or b"") + b"#")
        with pytest.raises(ModelRefused, match="files are not those of version 1 at registration"):
            open_model("models:/winback/1")
        file.unlink() if whole is None else file.write_bytes(whole)
    assert open_model("models:/winback/1").version == "winback/1"


def test_what_is_registered_stands_alone():
    text = bundle({"churn/formula.json": "0" * 64})
    assert "from .." not in text
    assert "import winback" not in text
    compile(text, "winback_model.py", "exec")


def test_modules_of_the_registered_model_may_not_hide_each_others_names(tmp_path, monkeypatch):
    for name, text in (
        ("registered_model.py", "from .one import a\nfrom .two import b\n"),
        ("one.py", "def a(): ...\ndef _same(): ...\n"),
        ("two.py", "def b(): ...\ndef _same(): ...\n"),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("winback.pipelines.registry.bundle.HERE", tmp_path)
    with pytest.raises(ValueError, match=r"one\.py and two\.py both define '_same'"):
        bundle({})
    (tmp_path / "one.py").write_text("def a(): ...\n_SAME: int = 1\n")
    (tmp_path / "two.py").write_text("def b(): ...\n_SAME = 2\n")
    with pytest.raises(ValueError, match=r"one\.py and two\.py both define '_SAME'"):
        bundle({})
    (tmp_path / "two.py").write_text("from .one import a as b\n")
    with pytest.raises(ValueError, match="from a module, as they are"):
        bundle({})

"""The registry: one version per content, loadable by people who have never heard of winback."""

import json
import shutil
import sys

import pandas as pd
import pytest
from conftest import run_in

from winback.pipelines.register import bundle
from winback.pipelines.store import write_manifest

CONSUMER = """
import sys
sys.modules["winback"] = None  # as if it were not installed
import mlflow, pandas as pd
rows = pd.read_parquet("data/features/current.parquet")
for alias in sys.argv[1:]:
    model = mlflow.pyfunc.load_model(f"models:/winback@{alias}")
    rows = rows[rows.columns[::-1]].assign(unheard_of=1)
    model.predict(rows).assign(customer_id=rows["customer_id"]).to_parquet(f"{alias}.parquet")
"""


def another(decision):
    """The first offer that is not the best single one."""
    return next(name for name in decision["offers"] if name != decision["best_single"])


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    """A registered run, and beside it a second version that sends everybody another offer."""
    folder = tmp_path_factory.mktemp("registry") / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("cache"))
    first = run_in(folder, "winback", "register")
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == "models:/winback/1"
    other = shutil.copytree(folder / "artifacts/winback", folder / "other")
    decision = json.loads((other / "decision.json").read_text())
    decision |= {"personalize": False, "best_single": another(decision)}
    (other / "decision.json").write_text(json.dumps(decision))
    write_manifest(other)
    second = run_in(folder, "winback", "register", "--winback", "other")
    assert second.stdout.strip() == "models:/winback/2", second.stderr
    return folder


def test_the_same_models_make_no_second_version(project):
    again = run_in(project, "winback", "register")
    assert again.stdout.strip() == "models:/winback/1"


def test_uncommitted_changes_are_refused_unless_told(project, tmp_path):
    copy = shutil.copytree(project, tmp_path / "project")
    with (copy / "params.yaml").open("a") as file:
        file.write("# a change\n")
    refused = run_in(copy, "winback", "register")
    assert refused.returncode == 3
    assert "1 tracked files differ from the last commit (params.yaml)" in refused.stderr
    assert run_in(copy, "winback", "register", "--allow-dirty").returncode == 0


def test_a_consumer_without_winback_gets_the_batch_answers_to_the_bit(project):
    uri = f"sqlite:///{project}/mlflow.db"
    code = (
        "import mlflow\n"
        "client = mlflow.MlflowClient()\n"
        "client.set_registered_model_alias('winback', 'champion', '1')\n"
        "print(client.get_model_version_by_alias('winback', 'challenger').version)"
    )
    alias = run_in(project, sys.executable, "-c", code, MLFLOW_TRACKING_URI=uri)
    assert alias.stdout.strip() == "2", alias.stderr
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
    champion = pd.read_parquet(project / "champion.parquet").set_index("customer_id")
    challenger = pd.read_parquet(project / "challenger.parquet").set_index("customer_id")
    batch = pd.read_parquet(project / "data/recommendations.parquet").set_index("customer_id")
    outputs = [name for name in champion.columns if name in batch.columns]
    outputs.remove("recommended_offer")
    assert len(outputs) > 10
    pd.testing.assert_frame_equal(
        champion.loc[batch.index, outputs], batch[outputs], check_exact=True
    )
    # Two versions in one process answer each with its own decision.
    decision = json.loads((project / "artifacts/winback/decision.json").read_text())
    assert set(challenger["recommended_offer"].dropna()) == {another(decision)}
    assert decision["best_single"] in set(champion["recommended_offer"])


def test_scores_of_the_registered_model_equal_those_of_the_pipeline(project):
    done = run_in(
        project,
        "winback",
        "score",
        *("--features", "data/features/current.parquet"),
        *("--model", "models:/winback/1", "--out", "scores", "--no-suppressions"),
    )
    assert done.returncode == 0, done.stderr
    scores = pd.read_parquet(project / "scores/part-00000.parquet").set_index("customer_id")
    batch = pd.read_parquet(project / "data/recommendations.parquet").set_index("customer_id")
    column = "expected_profit_discount"
    pd.testing.assert_series_equal(scores.loc[batch.index, column], batch[column])


@pytest.mark.parametrize("fault", ["truncated", "changed", "missing"])
def test_a_tampered_model_is_refused_before_it_is_parsed(project, tmp_path, fault):
    copy = shutil.copytree(project / "artifacts", tmp_path / "artifacts")
    booster = next((copy / "churn").glob("*.txt"))
    text = booster.read_bytes()
    if fault == "missing":
        booster.unlink()
    else:
        booster.write_bytes(text[:-100] if fault == "truncated" else text.replace(b"7", b"8", 1))
    done = run_in(project, "winback", "register", "--churn", str(copy / "churn"))
    assert done.returncode == 3
    assert booster.name in done.stderr


def test_what_is_registered_stands_alone():
    text = bundle()
    assert "from .." not in text
    assert "import winback" not in text
    compile(text, "winback_model.py", "exec")

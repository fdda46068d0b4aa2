"""Promotion: gates in front of @champion, the figures on the version, and the way back."""

import contextlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from winback.pipelines.cli import main
from winback.pipelines.store import write_manifest

VETOED = 10
# In process: each start of mlflow costs seconds. What mlflow warns of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


def winback(folder, *command):
    """Exit code of a command of winback in a folder, with the registry of that folder."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        return main(command)


def registry(folder):
    """Aliases -> version, and version -> tags."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    aliases = client.get_registered_model("winback").aliases
    versions = client.search_model_versions("name = 'winback'")
    return {name: str(at) for name, at in aliases.items()}, {v.version: v.tags for v in versions}


def gates(folder, version):
    tags = registry(folder)[1][int(version)]
    return {k.removeprefix("winback.gate."): v for k, v in tags.items() if ".gate." in k}


def train_on_shuffled_labels(folder):
    """Both training stages on outcomes dealt out at random, then the true ones again."""
    features = folder / "data/features"
    kept = shutil.copytree(features, folder / "kept")
    rng = np.random.default_rng(8)
    for name, outcomes in (
        ("churn", ["churned"]),
        ("winback", ["returned", "value", "second_days", "second_ended"]),
    ):
        rows = pd.read_parquet(features / f"{name}.parquet")
        dealt = rng.permutation(len(rows))
        rows[outcomes] = rows[outcomes].iloc[dealt].to_numpy()
        rows.to_parquet(features / f"{name}.parquet", index=False)
    extra = json.loads((features / "manifest.json").read_text())
    extra.pop("files")
    write_manifest(features, extra)
    for part in ("churn", "winback"):
        given = ("--features", "data/features", f"--{part}", f"artifacts/{part}")
        assert winback(folder, f"train_{part}", *given) == 0
    shutil.rmtree(features)
    kept.rename(features)


@pytest.fixture(scope="module")
def crowned(finished, tmp_path_factory):
    """The first promotion, when there is no champion to compare with."""
    folder = tmp_path_factory.mktemp("promote") / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("cache"))
    assert winback(folder, "register") == 0
    assert winback(folder, "promote") == 0
    return folder


@pytest.fixture
def copy(crowned, tmp_path):
    return shutil.copytree(crowned, tmp_path / "project")


def test_the_first_champion_has_to_pass_the_gates_against_baselines(crowned):
    aliases, _ = registry(crowned)
    assert aliases == {"challenger": "1", "champion": "1"}
    found = gates(crowned, "1")
    assert all(text.startswith("passed: ") for text in found.values())
    assert {"churn_auc", "churn_auc_over_baselines", "return_calibration"} <= set(found)
    assert not [name for name in found if "champion" in name]


def test_promoting_the_champion_again_changes_nothing(crowned):
    before = registry(crowned)
    assert winback(crowned, "promote") == 0
    assert registry(crowned) == before


def test_without_a_previous_champion_there_is_no_way_back(crowned, capsys):
    assert winback(crowned, "promote", "--rollback") == 3
    assert "no previous champion" in capsys.readouterr().err


def test_a_model_trained_on_shuffled_labels_is_vetoed(copy, capsys):
    train_on_shuffled_labels(copy)
    assert winback(copy, "register", "--allow-dirty") == 0
    assert winback(copy, "promote") == VETOED
    assert "version 2 is not promoted" in capsys.readouterr().err
    assert registry(copy)[0] == {"challenger": "2", "champion": "1"}
    vetoed = {name for name, text in gates(copy, "2").items() if text.startswith("vetoed: ")}
    assert {"churn_auc", "return_auc", "return_auc_over_champion"} <= vetoed


def test_a_challenger_as_good_takes_over_and_rollback_exchanges_the_two(copy, capsys):
    change_decision(copy, {"objective": "roi"})  # other content, the same recommendations
    assert winback(copy, "register") == 0
    assert winback(copy, "promote") == 0
    found = gates(copy, "2")
    assert {"policy_over_champion", "churn_auc_over_champion", "as_of_not_older"} <= set(found)
    assert registry(copy)[0] == {"challenger": "2", "champion": "2", "previous": "1"}
    for now, before in (("1", "2"), ("2", "1")):
        capsys.readouterr()
        assert winback(copy, "promote", "--rollback") == 0
        assert capsys.readouterr().out == f"models:/winback/{now}\n"
        aliases, _ = registry(copy)
        assert (aliases["champion"], aliases["previous"]) == (now, before)


def test_a_challenger_whose_offers_earn_less_is_vetoed(copy, capsys):
    change_decision(copy, {"personalize": False, "best_single": "none"})  # offers nobody anything
    assert winback(copy, "register") == 0
    assert winback(copy, "promote") == VETOED
    message = capsys.readouterr().err
    assert "policy_over_single_offers -" in message
    assert "policy_over_champion -" in message


def test_a_run_that_did_not_make_the_challenger_is_refused(copy, capsys):
    client = MlflowClient(f"sqlite:///{copy}/mlflow.db")
    client.delete_registered_model_alias("winback", "champion")
    change_decision(copy, {"objective": "roi"})
    assert winback(copy, "promote") == 3
    assert "made by another run" in capsys.readouterr().err


def change_decision(folder, changes):
    path = folder / "artifacts/winback/decision.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    write_manifest(path.parent)

"""Promotion: gates in front of @champion, the figures on the version, and the way back."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import winback
from mlflow import MlflowClient

from winback.models.evaluation.held_out import kept_apart
from winback.pipelines.storage.atomic import verify, write_manifest

VETOED, REFUSED = 10, 3
BEST = "bundle"  # hardly better or worse than a personal choice
# What mlflow warns of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


def registry(folder):
    """Aliases -> version, and version -> tags."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    aliases = client.get_registered_model("winback").aliases
    versions = client.search_model_versions("name = 'winback'")
    return {name: str(at) for name, at in aliases.items()}, {v.version: v.tags for v in versions}


def gates(folder, version):
    tags = registry(folder)[1][int(version)]
    return {k.removeprefix("winback.gate."): v for k, v in tags.items() if ".gate." in k}


def rewrite(folder, **changes):
    """The manifest of a folder of which files were changed, and what else shall change in it."""
    write_manifest(folder, json.loads((folder / "_manifest.json").read_text()) | changes)


def challenge(folder, number, **memory):
    """Register the run again as another version with the same answers; `memory` of its training."""
    change_decision(folder, {"draws": draws(str(number))})
    trained = folder / "artifacts/winback"
    rewrite(trained, unseen=verify(folder / "artifacts/winback")["unseen"] | memory)
    assert winback(folder, "register") == 0
    assert registry(folder)[0]["challenger"] == str(number)


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
    rewrite(features)
    for part in ("churn", "winback"):
        given = ("--features", "data/features", f"--{part}", f"artifacts/{part}")
        assert winback(folder, f"train_{part}", *given) == 0
    shutil.rmtree(features)
    kept.rename(features)


@pytest.fixture(scope="module")
def crowned(registered, tmp_path_factory):
    """The first promotion, when there is no champion to compare with."""
    folder = tmp_path_factory.mktemp("promote") / "project"
    shutil.copytree(registered, folder)
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
    assert {"churn_auc", "churn_auc_over_baselines", "return_calibration", "age"} <= set(found)
    assert not [name for name in found if "champion" in name]
    tags = registry(crowned)[1][1]
    assert "features of those sent differ strongly" in tags["winback.send_list.lost"]


def test_promoting_the_champion_again_changes_nothing(crowned):
    before = registry(crowned)
    assert winback(crowned, "promote") == 0
    assert registry(crowned) == before


def test_without_a_previous_champion_there_is_no_way_back(crowned, capsys):
    assert winback(crowned, "promote", "--rollback") == REFUSED
    assert "no previous champion" in capsys.readouterr().err


def test_a_model_trained_on_shuffled_labels_is_vetoed(copy, capsys):
    train_on_shuffled_labels(copy)
    assert winback(copy, "register", "--allow-dirty") == 0
    assert winback(copy, "promote") == VETOED
    assert "version 2 is not promoted" in capsys.readouterr().err
    assert registry(copy)[0] == {"challenger": "2", "champion": "1"}
    vetoed = {name for name, text in gates(copy, "2").items() if text.startswith("vetoed: ")}
    assert {"churn_auc", "return_auc", "return_auc_over_champion"} <= vetoed


def apart(folder, share):
    """How many rows of the experiment are of customers kept apart."""
    rows = pd.read_parquet(folder / "data/features/winback.parquet")
    return int(kept_apart(rows["customer_id"], share=share).sum())


def scores(folder):
    """SHA-256 of the scores that the champion gives today's customers."""
    given = ("--features", "data/features/current.parquet", "--no-suppressions", "--out", "scores")
    assert winback(folder, "score", *given) == 0
    return {name: each["sha256"] for name, each in verify(folder / "scores")["files"].items()}


def test_a_challenger_as_good_takes_over_and_rollback_gives_the_archived_scores(copy, capsys):
    archived = scores(copy)
    change_decision(copy, {"draws": draws("another")})
    assert winback(copy, "register") == 0
    assert winback(copy, "promote", "--judge") == 0
    assert "version 2 may be promoted" in capsys.readouterr().err
    assert registry(copy)[0] == {"challenger": "2", "champion": "1"}
    assert winback(copy, "promote") == 0
    found = gates(copy, "2")
    against = {"churn_auc", "return_auc", "policy"}
    assert {f"{name}_over_champion" for name in against} | {"as_of_not_older"} <= set(found)
    assert {"churn_slices", "return_slices", "policy_slices"} <= set(found)
    assert registry(copy)[0] == {"challenger": "2", "champion": "2", "previous": "1"}
    assert scores(copy) != archived
    for now, before in (("1", "2"), ("2", "1")):
        capsys.readouterr()
        assert winback(copy, "promote", "--rollback") == 0
        assert capsys.readouterr().out == f"models:/winback/{now}\n"
        aliases, _ = registry(copy)
        assert (aliases["champion"], aliases["previous"]) == (now, before)
        assert (scores(copy) == archived) == (now == "1")


def test_a_challenger_whose_offers_earn_less_is_vetoed(copy, capsys):
    nobody = {"personalize": False, "best_single": "none"}
    change_decision(copy, {"by_objective": {"profit": nobody}})
    assert winback(copy, "register") == 0
    assert winback(copy, "promote") == VETOED
    message = capsys.readouterr().err
    assert "policy_over_single_offers -" in message
    assert "policy_over_champion -" in message


def test_limits_of_a_day_are_not_held_against_a_model(copy):
    prices = {
        "money": 1e9,
        "offers": {},
        "return_on_cost": 0.0,
    }  # so scarce that nobody is sent one
    change_decision(copy, {"prices": prices, "draws": draws("scarce")})
    assert winback(copy, "register") == 0
    assert winback(copy, "promote") == 0


def test_another_share_in_params_does_not_change_who_is_graded(copy, capsys):
    challenge(copy, 2)
    params = copy / "params.yaml"
    params.write_text(params.read_text().replace("kept_apart: 0.2", "kept_apart: 0.5"))
    assert winback(copy, "promote") == 0
    assert f"graded on {apart(copy, 0.2)} rows of winback.parquet" in capsys.readouterr().err


def test_only_customers_whom_neither_has_learned_from_are_graded(copy, capsys):
    challenge(copy, 2, share=0.4)
    both = apart(copy, 0.2)  # those of a smaller share are among those of a larger one
    params = copy / "params.yaml"
    for least, code in ((both + 1, REFUSED), (both, 0)):
        params.write_text(re.sub(r"least_rows: \d+", f"least_rows: {least}", params.read_text()))
        assert winback(copy, "promote") == code
        said = capsys.readouterr().err
        assert f"{both} rows of winback.parquet that neither has learned from" in said
        if code:
            assert "Keep more customers apart" in said


def test_a_gate_that_cannot_tell_stops_with_the_loss_that_would_show(copy, capsys):
    params = copy / "params.yaml"
    params.write_text(re.sub(r"value_margin: [\d.]+", "value_margin: 0.0001", params.read_text()))
    change_decision(copy, {"by_objective": {"profit": {"personalize": False, "best_single": BEST}}})
    assert winback(copy, "register", "--allow-dirty") == 0
    before = registry(copy)[0]
    assert winback(copy, "promote") == REFUSED
    said = capsys.readouterr().err
    assert "too few rows tell whether it is worse: policy_over_champion" in said
    assert re.search(r"so few rows show a loss from \d+", said)
    assert registry(copy)[0] == before
    assert gates(copy, "2")["policy_over_champion"].startswith("underpowered: ")


def test_features_of_other_customers_are_refused(copy, capsys):
    challenge(copy, 2)
    features = copy / "data/features"
    rows = pd.read_parquet(features / "winback.parquet")
    rows["customer_id"] = rows["customer_id"].to_numpy()[::-1]
    rows.to_parquet(features / "winback.parquet", index=False)
    rewrite(features)
    before = registry(copy)
    assert winback(copy, "promote") == REFUSED
    assert "the rows that it has not seen are not known" in capsys.readouterr().err
    assert registry(copy) == before


def test_a_champion_that_cannot_be_compared_is_left_out_only_on_request(copy, capsys):
    keys = verify(copy / "artifacts/winback")["unseen"]["keys"]
    challenge(copy, 2, keys=[0] * 200)  # trained on customers who are not there any more
    client = MlflowClient(f"sqlite:///{copy}/mlflow.db")
    client.set_registered_model_alias("winback", "champion", "2")
    challenge(copy, 3, keys=keys)
    assert winback(copy, "promote") == REFUSED
    said = capsys.readouterr().err
    assert "version winback/2: only 0 of 200 sampled rows" in said
    assert "winback promote --unopposed" in said
    assert winback(copy, "promote", "--unopposed") == 0
    assert registry(copy)[0] == {"challenger": "3", "champion": "3", "previous": "2"}
    assert not [name for name in gates(copy, "3") if "champion" in name or "slices" in name]


def test_customers_of_today_unlike_those_of_the_registration_are_a_veto(copy, capsys):
    challenge(copy, 2)
    features = copy / "data/features"
    rows = pd.read_parquet(features / "current.parquet")
    as_of = pd.Timestamp(verify(features)["as_of"]) + pd.Timedelta(days=91)
    rows["orders_total"] = rows["orders_total"] * 3 + 10
    rows.to_parquet(features / "current.parquet", index=False)
    rewrite(features, as_of=str(as_of))
    assert winback(copy, "promote") == VETOED
    vetoed = {name: text for name, text in gates(copy, "2").items() if text.startswith("vetoed")}
    assert set(vetoed) == {"age", "drift"}
    assert "91.0 days, at most 90" in vetoed["age"]
    assert "of orders_total, at most 0.25" in vetoed["drift"]


def draws(key):
    return {"holdout_share": 0.1, "exploration_share": 0.05, "key": key, "offers": []}


def change_decision(folder, changes):
    path = folder / "artifacts/decision/decision.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    rewrite(path.parent)

"""`winback history`: a year of promotions and rollbacks is told right at any moment."""

from datetime import datetime, timedelta

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from winback.pipelines.cli import main
from winback.pipelines.history import champion_at, history
from winback.pipelines.registry.aliases import by_alias, move_aliases, moves
from winback.pipelines.settings import moments

pytestmark = pytest.mark.filterwarnings("ignore")
START = datetime(2025, 1, 1)


@pytest.fixture
def year(tmp_path, monkeypatch):
    """30 moves of @champion among 8 versions; (day, version) of each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    client.create_registered_model("winback")
    for _ in range(8):
        client.create_model_version("winback", source=str(tmp_path))
    rng = np.random.default_rng(0)
    days = np.sort(rng.choice(365, 30, replace=False))
    versions = rng.integers(1, 9, 30).astype(str)
    for day, version in zip(days, versions, strict=True):
        at = START + timedelta(days=int(day))
        monkeypatch.setattr(moments, "now", lambda at=at: at)
        move_aliases(client, "promote", {"champion": version}, {"value": f"passed: day {day}"})
    return client, list(zip(days, versions, strict=True))


def test_the_champion_of_fifty_random_moments_is_told(year, tmp_path, capsys):
    _, made = year
    events = history(tmp_path / "campaigns")
    assert len(events) == 30
    for day in np.random.default_rng(1).uniform(-5, 370, 50):
        move = champion_at(events, START + timedelta(days=float(day)))
        until = [version for begun, version in made if begun <= day]
        assert (move.aliases["champion"] if move else None) == (until[-1] if until else None)
    at = START + timedelta(days=200)
    assert main(["history", "--at", at.isoformat()]) == 0
    told = capsys.readouterr().out
    version = [version for begun, version in made if begun <= 200][-1]
    assert f"models:/winback/{version} was champion at 2025-07-20" in told
    assert "value: passed: day" in told
    assert main(["history", "--at", "2020-01-01"]) == 0
    assert "there was no champion" in capsys.readouterr().out


def test_moves_stay_in_order_when_the_clock_is_set_back(year, monkeypatch):
    client, _ = year
    monkeypatch.setattr(moments, "now", lambda: START - timedelta(days=3))
    move_aliases(client, "promote --rollback", {"champion": "1", "previous": "2"})
    assert moves(client)[-1].command == "promote --rollback"
    assert len(moves(client)) == 31


def test_nothing_yet_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert main(["history"]) == 0
    assert "No model was ever promoted here" in capsys.readouterr().out


def test_a_registry_that_does_not_answer_is_not_taken_for_an_empty_one(year, monkeypatch):
    """Else a challenger would be judged without the champion, and history begin anew at 1."""
    client, made = year

    def down(*_):
        raise MlflowException("try again later", TEMPORARILY_UNAVAILABLE)

    assert by_alias(client, "winback", "nobody") is None
    assert by_alias(client, "another", "champion") is None
    with monkeypatch.context() as away:
        away.setattr(MlflowClient, "get_model_version_by_alias", down)
        away.setattr(MlflowClient, "get_registered_model", down)
        with pytest.raises(MlflowException, match="try again later"):
            by_alias(client, "winback", "champion")
        with pytest.raises(MlflowException, match="try again later"):
            move_aliases(client, "promote", {"champion": "1"})
    assert len(moves(client)) == len(made)

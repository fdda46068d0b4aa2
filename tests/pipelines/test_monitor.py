"""`winback monitor`: past scores beside what came of them."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import winback


@pytest.fixture(scope="module")
def scored(finished, tmp_path_factory):
    """Scores of a moment whose labels are certain, and of today, in folders of one place."""
    folder = tmp_path_factory.mktemp("monitored") / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("cache"))
    past = pd.read_parquet(folder / "data/features/churn.parquet")
    past = past[past["as_of"] == past["as_of"].unique()[0]]
    past.drop(columns="churned").assign(population="active").to_parquet(folder / "past.parquet")
    common = ("score", "--model", "artifacts", "--no-suppressions", "--drift-limit", "9")
    assert winback(folder, *common, "--features", "past.parquet", "--out", "jobs/past") == 0
    assert winback(folder, *common, "--out", "jobs/today") == 0
    return folder, past


def test_what_came_is_what_the_labels_of_training_say(scored, capsys):
    folder, past = scored
    assert winback(folder, "monitor", "jobs", "--json") == 0
    first, last = json.loads(capsys.readouterr().out)["jobs"]
    said = pd.concat(map(pd.read_parquet, sorted((folder / "jobs/past").glob("part-*.parquet"))))
    both = said.merge(past[["customer_id", "churned"]], on="customer_id")
    assert first["judged"] == len(past) == len(both)
    assert first["left"] == pytest.approx(past["churned"].mean())
    assert first["expected"] == pytest.approx(both["churn_probability"].mean())
    ranks = both["churn_probability"].rank()
    left = both["churned"] == 1
    area = (ranks[left].sum() - left.sum() * (left.sum() + 1) / 2) / (left.sum() * (~left).sum())
    assert first["auc"] == pytest.approx(area)
    assert not last["certain"]
    assert last["left"] is None
    kept = pd.read_csv(folder / "reports/monitor.csv")
    assert kept["scores"].tolist() == ["past", "today"]
    assert np.isnan(kept["left"][1])


def test_people_read_whether_it_was_as_forecast(scored, capsys):
    folder, _ = scored
    assert winback(folder, "monitor", "jobs/past", "jobs/today") == 0
    text = capsys.readouterr().out
    assert "were expected to: " in text
    assert "who leaves is not certain yet" in text


def test_what_a_killed_job_left_hidden_is_not_graded(scored, tmp_path, capsys):
    folder, _ = scored
    jobs = shutil.copytree(folder / "jobs", tmp_path / "jobs")
    shutil.copytree(jobs / "past", jobs / ".later.new-99999")
    out = str(tmp_path / "monitor.csv")
    assert winback(folder, "monitor", str(jobs), "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)["jobs"]
    assert [job["scores"] for job in told] == ["past", "today"]


def test_a_folder_without_scores_is_no_silence(scored, capsys):
    folder, _ = scored
    assert winback(folder, "monitor", "data/tables") == 3
    assert "holds no scores" in capsys.readouterr().err
    assert winback(folder, "monitor", "nowhere") == 3
    assert "no published scores there" in capsys.readouterr().err

"""The report's chapter on drift: each population against its own training set."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winback.pipelines.reporting import drift as report_drift
from winback.pipelines.reporting.drift import distances, drifted


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Active customers of today who order twice as much as those learned from; the lost did not."""
    rng = np.random.default_rng(0)
    (tmp_path / "dictionary.json").write_text(json.dumps([{"name": "orders"}, {"name": "plan"}]))

    def part(rows: int, mean: float) -> pd.DataFrame:
        plans = rng.choice(["a", "b"], rows)
        return pd.DataFrame({"orders": rng.poisson(mean, rows) * 1.0, "plan": plans})

    part(900, 8).assign(churned=0).to_parquet(tmp_path / "churn.parquet")
    part(700, 4).assign(offer="none").to_parquet(tmp_path / "winback.parquet")
    active, lost = part(800, 16), part(600, 4)
    today = pd.concat([active.assign(population="active"), lost.assign(population="lost")])
    today.sample(frac=1, random_state=1).to_parquet(tmp_path / "current.parquet")
    return tmp_path


def test_each_population_is_held_against_its_own_training_set(features: Path) -> None:
    found = distances(features)
    levels = {
        name: dict(zip(rows.feature, rows.level, strict=True)) for name, rows in found.items()
    }
    assert levels == {
        "active": {"orders": "alarm", "plan": "ok"},
        "lost": {"orders": "ok", "plan": "ok"},
    }


def test_a_sample_sees_the_same_drift_every_time(
    features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_drift, "ROWS", 300)
    once, again = (distances(features)["active"] for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    assert list(once["level"]) == ["alarm", "ok"]


def test_without_a_training_set_there_is_no_chapter(features: Path) -> None:
    assert len(list(drifted(distances(features)))) == 5  # a sentence, and a chart and a table each
    (features / "churn.parquet").unlink()
    assert list(distances(features)) == ["lost"]
    (features / "winback.parquet").unlink()
    assert list(drifted(distances(features))) == []

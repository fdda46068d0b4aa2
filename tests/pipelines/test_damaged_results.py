"""A result of an earlier stage that is damaged is refused in one line that names file and cure."""

import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import winback
from ruamel.yaml import YAML

BAD_DATA, SUPPRESSIONS, MODEL = 3, 7, 9
CURES = ("run the stage", "winback run", "repair the list")
LIST = "data/recommendations.parquet"


def changed(change):
    """A corruption of a table: what it holds as a frame, changed."""
    return lambda file: change(pd.read_parquet(file)).to_parquet(file, index=False)


def written(text):
    return lambda file: file.write_text(text)


def flawed(column, value):
    return changed(lambda rows: rows.assign(**{column: value}))


TRUNCATED = {"truncated": lambda file: file.write_bytes(file.read_bytes()[:-100])}
ANY = TRUNCATED | {"empty": written(""), "gone": lambda file: file.unlink()}
JSON = ANY | {"a number": written("7"), "no entries": written("{}")}
FEATURES = TRUNCATED | {
    "a column gone": changed(lambda rows: rows.drop(columns="customer_id")),
    "text for numbers": flawed("days_since_signup", "soon"),
    "infinite": flawed("days_since_signup", np.inf),
    "NaN": flawed("days_since_signup", np.nan),
    "no rows": changed(lambda rows: rows.head(0)),
}
ROWS = ANY | {
    "no rows": FEATURES["no rows"],
    "a column gone": FEATURES["a column gone"],
    "no holdout": changed(lambda rows: rows.drop(columns="holdout")),
    "text for a moment": flawed("as_of", "today"),
    "nothing held out": flawed("holdout", np.nan),
    "numbers for offers": flawed("recommended_offer", np.inf),
    "text for money": flawed("expected_incremental_profit", "much"),
    "infinite money": flawed("expected_incremental_profit", np.inf),
    "a customer twice": changed(lambda rows: pd.concat([rows, rows.head(1)])),
    "ids missing": changed(
        lambda rows: rows.assign(customer_id=rows["customer_id"].where(rows.index > 3))
    ),
}
CASES = [
    (stage, file, name, damage)
    for stage, file, damages in (
        ("train_churn", "data/features/churn.parquet", FEATURES),
        ("train_churn", "data/features/_manifest.json", JSON),
        ("train_winback", "data/features/winback.parquet", FEATURES),
        ("recommend", "data/features/current.parquet", FEATURES),
        ("recommend", "artifacts/churn/formula.json", JSON),
        ("recommend", "artifacts/winback/offers.json", JSON),
        ("recommend", "data/tables/suppressions.parquet", TRUNCATED),
        ("evaluate", "artifacts/winback/held_out.parquet", TRUNCATED),
        ("evaluate", "artifacts/decision/decision.json", JSON),
        ("evaluate", "artifacts/churn/metrics.csv", ANY),
        ("report", "data/features/current.parquet", FEATURES),
        ("report", "artifacts/decision/decision.json", JSON),
        ("report", "artifacts/churn/importance.csv", ANY),
        ("report", "reports/metrics.json", JSON),
        ("report", "reports/policies.json", JSON),
        ("report", "reports/plots/policies.csv", ANY),
        ("report", LIST, ROWS),
        ("campaign", LIST, ROWS),
        ("campaign", "data/features/current.parquet", FEATURES),
        ("campaign", "artifacts/decision/decision.json", JSON),
    )
    for name, damage in damages.items()
]


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged") / "project"
    hidden = shutil.ignore_patterns(".git", ".dvc", "tests", "docs", "benchmarks", "mlflow.db")
    return shutil.copytree(finished, folder, ignore=hidden)


@pytest.mark.bar("damaged results of earlier stages: a traceback, or another result")
@pytest.mark.parametrize(
    ("stage", "file", "damage"),
    [(stage, file, damage) for stage, file, _, damage in CASES],
    ids=[f"{stage} {file} {name}" for stage, file, name, _ in CASES],
)
def test_a_damaged_result_is_named_with_its_cure(project, capsys, stage, file, damage):
    path = project / file
    sound = path.read_bytes()
    command = YAML(typ="safe").load(project / "dvc.yaml")["stages"].get(stage, {}).get("cmd", "")
    damage(path)
    try:
        code = winback(project, *(command.split()[1:] or [stage]))
    finally:
        path.write_bytes(sound)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("winback")]
    assert code == (SUPPRESSIONS if "suppressions" in file else BAD_DATA)
    assert file in line
    assert any(cure in line for cure in CURES), line

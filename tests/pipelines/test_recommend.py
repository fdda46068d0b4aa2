"""Objectors: without a usable list of them there is no list of offers, and the old one stands."""

import contextlib
import re
import shutil

import pandas as pd
import pytest

from winback.pipelines.cli import main
from winback.pipelines.job.exit_codes import SuppressionsUnusable
from winback.pipelines.scoring import first_reasons, forecast_parts

PATHS = {
    "features": "data/features",
    "tables": "data/tables",
    "churn": "artifacts/churn",
    "winback": "artifacts/winback",
    "decision": "artifacts/decision",
    "recommendations": "data/recommendations.parquet",
}
LIST = "data/tables/suppressions.parquet"


@pytest.fixture
def project(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True, ignore=shutil.ignore_patterns("cache"))
    (folder / LIST).chmod(0o644)
    return folder


def recommend(folder):
    options = [part for name, path in PATHS.items() for part in (f"--{name}", path)]
    with contextlib.chdir(folder):
        return main(["recommend", *options])


def objections(folder, customers):
    pd.DataFrame(
        {"customer_id": customers, "since": pd.Timestamp("2014-01-01"), "why": "objection"}
    ).to_parquet(folder / LIST)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder, _: (folder / LIST).unlink(), "has no such table"),
        (objections, "customers of today are on the list"),
        (lambda folder, ids: objections(folder, ids.astype(str)), "string in the list and int64"),
    ],
    ids=["missing", "everybody", "ids of text"],
)
def test_an_unusable_list_stops_the_job(project, capsys, change, words):
    before = (project / PATHS["recommendations"]).read_bytes()
    change(project, pd.read_parquet(project / "data/features/current.parquet")["customer_id"])
    assert recommend(project) == SuppressionsUnusable.exit_code
    assert words in capsys.readouterr().err
    assert (project / PATHS["recommendations"]).read_bytes() == before


def test_a_source_may_say_that_nobody_can_object(project):
    source = project / "sources/small.yaml"
    source.write_text(source.read_text() + "\nsuppressions: none\n")
    (project / LIST).unlink()
    assert recommend(project) == 0
    listed = pd.read_parquet(project / PATHS["recommendations"])
    assert len(listed) == len(pd.read_parquet(project / "data/features/current.parquet"))


def test_who_objected_is_not_on_the_list(project):
    ids = pd.read_parquet(project / PATHS["recommendations"])["customer_id"]
    objections(project, ids[:5])
    assert recommend(project) == 0
    assert not set(ids[:5]) & set(
        pd.read_parquet(project / PATHS["recommendations"])["customer_id"]
    )


def test_a_list_that_names_no_customer_is_told(project, capsys):
    objections(project, pd.Series([-7, -8]))
    assert recommend(project) == 0
    assert "none of the 2 ids in suppressions is a customer of today" in capsys.readouterr().err
    objections(project, pd.read_parquet(project / PATHS["recommendations"])["customer_id"][:2])
    assert recommend(project) == 0
    said = capsys.readouterr().err
    assert "2 customers left out because they objected" in said
    assert "is a customer of today" not in said


def test_parts_of_any_size_give_the_same_bytes(project, monkeypatch):
    results = (PATHS["recommendations"], "artifacts/decision/decision.json")
    before = [(project / file).read_bytes() for file in results]
    for module in (forecast_parts, first_reasons):
        monkeypatch.setattr(module, "PART_ROWS", 499)
    assert recommend(project) == 0
    assert [(project / file).read_bytes() for file in results] == before
    assert not [file for file in (project / "data").iterdir() if file.name.startswith(".recomm")]


def test_nobody_need_be_explained(project):
    explained = pd.read_parquet(project / PATHS["recommendations"])
    settings = project / "params.yaml"
    settings.write_text(re.sub(r"explained: \d+", "explained: 0", settings.read_text()))
    assert recommend(project) == 0
    listed = pd.read_parquet(project / PATHS["recommendations"])
    assert explained["reasons"].str.contains("because: ").any()
    assert not listed["reasons"].str.contains("because: ").any()
    pd.testing.assert_frame_equal(listed.drop(columns="reasons"), explained.drop(columns="reasons"))

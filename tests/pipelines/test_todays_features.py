"""Event tables in, scores out: the features are those of the pipeline, made on the way."""

import contextlib
from datetime import datetime

import pandas as pd
import pytest
from ruamel.yaml import YAML

from winback.pipelines.cli import main
from winback.pipelines.storage.atomic import verify

BAD_DATA = 3


@pytest.fixture
def project(finished):
    with contextlib.chdir(finished):
        yield finished


def scores(folder):
    return pd.read_parquet(sorted(folder.glob("part-*.parquet")))


def command(*given):
    return main(["score", "--model", "artifacts", "--no-suppressions", *map(str, given)])


def test_tables_give_the_scores_of_their_features(project, tmp_path):
    assert command("--features", "data/features/current.parquet", "--out", tmp_path / "a") == 0
    assert command("--tables", "data/tables", "--out", tmp_path / "b") == 0
    pd.testing.assert_frame_equal(scores(tmp_path / "b"), scores(tmp_path / "a"), check_exact=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a", "b", ".a.lock", ".b.lock"}


def test_a_source_of_files_is_read_anew_for_the_moment_that_is_asked(project, tmp_path):
    yaml = YAML(typ="safe")
    source = yaml.load(project / "sources/small.yaml")
    del source["simulate"]
    source["tables"] = {
        file.stem: {"query": f"select * from read_parquet('{file}')"}
        for file in (project / "data/tables").glob("*.parquet")
    }
    with (tmp_path / "files.yaml").open("w") as handle:
        yaml.dump(source, handle)
    moment = datetime(2014, 6, 1)
    asked = ("--source", tmp_path / "files.yaml", "--as-of", moment.isoformat())
    assert command(*asked, "--out", tmp_path / "then") == 0
    assert command("--tables", "data/tables", "--as-of", moment, "--out", tmp_path / "also") == 0
    then = scores(tmp_path / "then")
    pd.testing.assert_frame_equal(then, scores(tmp_path / "also"), check_exact=True)
    assert set(then["as_of"]) == {pd.Timestamp(moment)}
    assert 0 < len(then) < verify(project / "data/features")["files"]["current.parquet"]["rows"]


def test_tables_that_are_not_what_was_written_are_refused(project, tmp_path, capsys):
    assert command("--tables", tmp_path, "--out", tmp_path / "a") == BAD_DATA
    assert "run the stage ingest first" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command("--tables", tmp_path, "--features", tmp_path, "--out", tmp_path / "a")

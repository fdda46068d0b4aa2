"""Features computed on Spark are those of the local engine, whatever the ranges of customers."""

import contextlib
import json
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from winback.pipelines import spark_features
from winback.pipelines.cli import main
from winback.pipelines.storage.atomic import MANIFEST, verify

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of mlflow and Spark
    pytest.mark.usefixtures("spark"),
]
BAD_DATA = 3


@pytest.fixture
def project(finished):
    with contextlib.chdir(finished):
        yield finished


def unmanaged(project, folder, **changes):
    """Tables as another job may have written them: no manifest, in any order, one as a folder."""
    for file in (project / "data/tables").glob("*.parquet"):
        table = pq.read_table(file)
        table = changes.get(file.stem, lambda rows: rows)(table)
        shuffled = table.take(pd.Series(range(len(table))).sample(frac=1, random_state=2).to_list())
        if file.stem == "orders":
            (folder / file.name).mkdir(parents=True)
            for part, first in enumerate(range(0, len(shuffled), 20_000)):
                rows = shuffled.slice(first, 20_000)
                pq.write_table(rows, folder / file.name / f"part-{part}.parquet")
        else:
            folder.mkdir(exist_ok=True)
            pq.write_table(shuffled, folder / file.name, row_group_size=5_000)
    return folder


def scores(folder):
    parts = [pd.read_parquet(part) for part in sorted(folder.glob("part-*.parquet"))]
    return pd.concat(parts, ignore_index=True)


def score(out, *given):
    return main(["score", "--model", "artifacts", "--out", str(out), *map(str, given)])


def test_every_table_of_features_is_the_same(project, tmp_path, monkeypatch):
    monkeypatch.setattr(spark_features, "ROWS_PER_RANGE", 20_000)  # ranges of 4,000 customers
    assert main(["featurize", "--engine", "spark", "--features", str(tmp_path / "made")]) == 0
    local, found = verify(project / "data/features"), verify(tmp_path / "made")
    assert {*found["files"]} == {*local["files"]}
    assert found["as_of"] == local["as_of"]
    assert found["made_from"] == local["made_from"]
    for name in found["files"]:
        one, other = tmp_path / "made" / name, project / "data/features" / name
        if name.endswith(".parquet"):
            expected = pd.read_parquet(other)
            assert len(expected)
            pd.testing.assert_frame_equal(pd.read_parquet(one), expected, check_exact=True)
    assert (tmp_path / "made/dictionary.json").read_bytes() == (
        project / "data/features/dictionary.json"
    ).read_bytes()
    assert not list(tmp_path.glob(".made.work-*"))


def test_a_killed_featurize_goes_on_with_the_ranges_that_are_missing(
    project, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(spark_features, "ROWS_PER_RANGE", 20_000)
    out = ["featurize", "--engine", "spark", "--features", str(tmp_path / "made")]
    with monkeypatch.context() as patch:
        patch.setattr(spark_features, "replace_folder", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(out)
    (work,) = tmp_path.glob(".made.work-*")
    (work / "features-00001.json").unlink()
    capsys.readouterr()
    assert main(out) == 0
    assert "1 of 2 parts are there from before" in capsys.readouterr().err
    made = pd.read_parquet(tmp_path / "made/churn.parquet")
    pd.testing.assert_frame_equal(made, pd.read_parquet("data/features/churn.parquet"))


def test_tables_give_the_scores_of_the_local_engine(project, tmp_path):
    assert score(tmp_path / "a", "--tables", "data/tables") == 0
    spark = ("--engine", "spark", "--part-rows", "2000")
    assert score(tmp_path / "b", "--tables", "data/tables", *spark) == 0
    local, found = verify(tmp_path / "a"), verify(tmp_path / "b")
    pd.testing.assert_frame_equal(scores(tmp_path / "b"), scores(tmp_path / "a"), check_exact=True)
    assert len(list((tmp_path / "b").glob("part-*.parquet"))) > 2
    assert found["excluded"] == local["excluded"]
    assert found["excluded"]["suppressed"] > 0


def test_tables_of_anybody_are_checked_and_scored(project, tmp_path, capsys):
    moment = json.loads((project / "data/tables" / MANIFEST).read_bytes())["as_of"]
    asked = ("--engine", "spark", "--as-of", moment.replace(" ", "T"))
    tables = unmanaged(project, tmp_path / "tables")
    assert score(tmp_path / "a", "--tables", "data/tables") == 0
    assert score(tmp_path / "b", "--tables", tables, *asked) == 0
    pd.testing.assert_frame_equal(scores(tmp_path / "b"), scores(tmp_path / "a"), check_exact=True)


def test_tables_that_break_the_contract_are_refused(project, tmp_path, capsys):
    def twice(rows):
        return rows.take([0, *range(len(rows))])

    tables = unmanaged(project, tmp_path / "tables", orders=twice, complaints=twice)
    refused = score(tmp_path / "a", "--tables", tables, "--engine", "spark", "--no-suppressions")
    assert refused == BAD_DATA
    said = capsys.readouterr().err
    assert "order_id" in said
    assert "complaint_id" in said
    assert not (tmp_path / "a").exists()


def test_tables_that_are_not_what_was_written_are_refused(project, tmp_path, capsys):
    shutil.copytree("data/tables", tmp_path / "tables")
    file = tmp_path / "tables/orders.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)
    given = ("--tables", tmp_path / "tables", "--engine", "spark", "--no-suppressions")
    assert score(tmp_path / "a", *given) == BAD_DATA
    assert "orders.parquet was changed or damaged" in capsys.readouterr().err

"""DuckDB spills to the folder that it is given, or nowhere."""

from contextlib import closing

import duckdb
import pytest

from winback.pipelines.tables.engine import open_duckdb, quoted_name, quoted_text

LARGE = "create table t as select range as a, hash(range) as b from range(5_000_000)"


def test_what_exceeds_the_memory_lies_in_the_folder_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spill").mkdir()
    with closing(open_duckdb("30MB", 1, spill=tmp_path / "spill")) as connection:
        connection.execute(LARGE)
        assert any((tmp_path / "spill").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["spill"]


def test_without_a_folder_more_than_fits_is_an_error_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with closing(open_duckdb("30MB", 1, spill=None)) as connection:
        with pytest.raises(duckdb.OutOfMemoryException):
            connection.execute(LARGE)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("odd", ['a"b', "it's", "from", 'x"; drop table y --', ""])
def test_names_and_texts_keep_their_characters(odd):
    name = odd or "x"  # no name is empty
    found = duckdb.sql(f"select {quoted_text(odd)} as {quoted_name(name)}")
    assert found.columns == [name]
    assert found.fetchall() == [(odd,)]

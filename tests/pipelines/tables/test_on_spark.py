"""What tasks of Spark read, and how refusals come back from them; Spark itself is not needed."""

import datetime as dt
import pickle

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.pipelines.job.codes import code_of
from winback.pipelines.storage.shared_files import listing, stamps
from winback.pipelines.tables.on_spark import _told, _tried, read_group, shared_table


def written(folder, **tables):
    files = []
    for name, columns in tables.items():
        files.append(folder / f"{name}.parquet")
        pq.write_table(pa.table(columns), files[-1])
    return files


def test_files_of_one_table_are_read_with_types_that_hold_all_of_them(tmp_path):
    nanos = pa.array([1_000_000_001], pa.timestamp("ns"))
    files = written(
        tmp_path,
        a={"customer_id": pa.array([1], pa.int32()), "x": [1], "t": pa.nulls(1), "at": nanos},
        b={"customer_id": [5_000_000_000], "x": [2.7], "t": ["text"], "at": nanos},
    )
    table = shared_table(files)
    at = dt.datetime(1970, 1, 1, 0, 0, 1)
    assert [read_group(table, group).to_pylist() for group in range(2)] == [
        [{"customer_id": 1, "x": 1.0, "t": None, "at": at}],
        [{"customer_id": 5_000_000_000, "x": 2.7, "t": "text", "at": at}],
    ]


def test_text_among_numbers_and_missing_columns_are_refused(tmp_path):
    files = written(
        tmp_path,
        a={"customer_id": [1], "x": [1]},
        b={"customer_id": [2], "x": ["12"]},
        c={"customer_id": [3]},
    )
    with pytest.raises(ValueError, match=r"b.parquet: has other types than .*a.parquet"):
        shared_table(files[:2])
    with pytest.raises(ValueError, match=r"c.parquet: column 'x' is missing; .*a.parquet has it"):
        shared_table([files[0], files[2]])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("no"), "WB004"),
        (FileNotFoundError(2, "No such file", "orders.parquet"), "WB005"),
        (MemoryError(), "WB014"),
        (duckdb.OutOfMemoryException("more than 8MB"), "WB014"),
    ],
)
def test_a_refusal_of_a_task_keeps_its_code_on_the_way_to_the_driver(error, code):
    def refuse(_):
        raise error

    told = pickle.loads(pickle.dumps(_tried(refuse, None)))
    with pytest.raises((ValueError, OSError, MemoryError)) as caught:
        _told(told)
    assert code_of(caught.value) == code
    assert _told(_tried(len, "four")) == [4]


def test_features_in_folders_inside_are_not_read_and_a_new_file_is_noticed(tmp_path):
    written(tmp_path, today={"customer_id": [1]})
    (tmp_path / "archive").mkdir()
    written(tmp_path / "archive", old={"customer_id": [1]})
    assert [*listing(tmp_path, nested=False).files] == ["today.parquet"]
    assert sorted(listing(tmp_path).files) == ["archive/old.parquet", "today.parquet"]
    before = stamps(tmp_path)
    assert stamps(tmp_path) == before
    written(tmp_path, today={"customer_id": [1, 2]})
    assert stamps(tmp_path) != before

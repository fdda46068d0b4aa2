"""Files of any place, as tasks on other machines read and write them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.pipelines.storage.atomic import StoreError, file_hash
from winback.pipelines.storage.places import replace_folder
from winback.pipelines.storage.shared_files import (
    below,
    is_intact,
    listing,
    read,
    remove,
    sha256,
    stamp,
    write,
)

ROWS = pa.table({"customer_id": [1, 2, 3]})


@pytest.fixture(params=["here", "store"])
def folder(request, tmp_path):
    """An empty folder of this machine, and one of a store."""
    return tmp_path / "folder" if request.param == "here" else request.getfixturevalue("store")


def test_what_is_written_is_read_and_known_by_its_hash(folder, tmp_path):
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    target = below(folder, "rows.parquet")
    assert read(target) is None
    assert not is_intact(target, "0")
    facts = write(target, tmp_path / "rows.parquet")
    size = (tmp_path / "rows.parquet").stat().st_size
    assert facts == {"bytes": size, "sha256": file_hash(tmp_path / "rows.parquet")}
    assert read(target) == (tmp_path / "rows.parquet").read_bytes()
    assert sha256(target) == facts["sha256"]
    assert is_intact(target, facts["sha256"])
    before = stamp(target)
    assert before[0] == size
    assert write(target, b"other")["bytes"] == 5
    assert stamp(target) != before
    assert not is_intact(target, facts["sha256"])
    remove(folder)
    remove(folder)
    assert read(target) is None


def test_files_are_those_of_the_manifest_or_all_that_are_not_hidden(folder, tmp_path):
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    with pytest.raises(StoreError, match="no Parquet files"):
        listing(folder)
    for name in (
        "orders.parquet/part-1.parquet",
        "_hidden/x.parquet",
        "customers.parquet",
        "a.txt",
    ):
        write(below(folder, name), tmp_path / "rows.parquet")
    found = listing(folder)
    assert found.manifest is None
    assert [*found.files] == ["customers.parquet", "orders.parquet/part-1.parquet"]
    assert {sha256(file) for file in found.files.values()} == {file_hash(tmp_path / "rows.parquet")}
    alone = listing(below(folder, "customers.parquet"))
    assert [*alone.files] == ["customers.parquet"]
    published = below(folder, "published")
    with replace_folder(published) as new:
        pq.write_table(ROWS, new.path / "customers.parquet")
        (new.path / "said.txt").write_text("x")
    found = listing(published)
    assert [*found.files] == ["customers.parquet"]
    assert found.manifest is not None
    (file,) = found.files.values()
    assert isinstance(file, Path) or "/_parts-" in str(file)


def test_files_that_lie_there_already_are_named_by_the_manifest(store, tmp_path):
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    facts = write(below(below(store, "_parts-of-a-job"), "a.parquet"), tmp_path / "rows.parquet")
    with replace_folder(store, "_parts-of-a-job") as new:
        new.written["a.parquet"] = {**facts, "rows": 3}
        new.extra["as_of"] = "2026-01-01"
    found = listing(store)
    assert [*found.files] == ["a.parquet"]
    assert found.manifest["as_of"] == "2026-01-01"
    assert found.manifest["files"]["_parts-of-a-job/a.parquet"]["rows"] == 3

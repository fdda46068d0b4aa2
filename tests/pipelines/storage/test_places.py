"""Folders in an object store: old or new to readers, whatever happens to a writer."""

import json
from datetime import timedelta

import pytest
from s3_server import BUCKET, client, keys

from winback.pipelines.storage import places
from winback.pipelines.storage.atomic import StoreError
from winback.pipelines.storage.places import local_copy, place, read_manifest, replace_folder


def put(store_server, address, name, body):
    key = f"{address}/{name}".removeprefix(f"s3://{BUCKET}/")
    client(store_server).put_object(Bucket=BUCKET, Key=key, Body=body)


def publish(target, text, **more):
    with replace_folder(target) as new:
        (new.path / "words.txt").write_text(text)
        (new.path / "inner").mkdir()
        (new.path / "inner" / "empty").write_bytes(b"")
        new.extra.update(more)


def words(source):
    with local_copy(source, "read") as folder:
        assert (folder / "inner" / "empty").read_bytes() == b""
        return (folder / "words.txt").read_text()


def test_readers_find_what_was_published_last(store):
    assert read_manifest(store) is None
    for text in ("one", "two"):
        publish(store, text, says=text)
        assert words(store) == text
        assert read_manifest(store)["says"] == text
    assert not list(store_waiting(store)), "nothing stays on this machine"


def store_waiting(store):
    return places.waiting(store).parent.rglob("*")


def test_a_folder_without_the_manifest_shows_nothing_rather_than_rows_twice(store, store_server):
    publish(store, "one")
    publish(store, "two")
    below = f"{store}/".removeprefix(f"s3://{BUCKET}/")
    names = {key.removeprefix(below).partition("/")[0] for key in keys(store_server, below)}
    assert all(name.startswith("_") for name in names if name)


@pytest.mark.parametrize("fails_at", ["/words.txt", "/inner/empty", "{store}/_manifest.json"])
def test_an_upload_that_fails_leaves_what_stood(store, monkeypatch, fails_at):
    publish(store, "old")
    real = places.file_system("s3")

    class Failing:
        def __getattr__(self, name):
            return getattr(real, name)

        def open_output_stream(self, path):
            if path.endswith(fails_at.format(store=store.path)):
                raise OSError("the network is gone")
            return real.open_output_stream(path)

    with monkeypatch.context() as patch:
        patch.setattr(places, "file_system", lambda _: Failing())
        with pytest.raises(StoreError, match="the network is gone"):
            publish(store, "new")
    assert words(store) == "old"


def test_an_error_while_writing_leaves_what_stood(store):
    publish(store, "old")
    with pytest.raises(RuntimeError):
        _publish_half(store)
    assert words(store) == "old"


def _publish_half(store):
    with replace_folder(store) as new:
        (new.path / "words.txt").write_text("half")
        raise RuntimeError


def test_what_is_older_than_a_day_is_removed_by_the_next_writer(store, store_server, monkeypatch):
    publish(store, "one")
    publish(store, "two")
    assert len(prefixes(store_server, store)) == 2
    monkeypatch.setattr(places, "KEPT", timedelta(seconds=-60))
    publish(store, "three")
    assert len(prefixes(store_server, store)) == 1
    assert words(store) == "three"


def prefixes(store_server, store):
    below = f"{store}/_parts-".removeprefix(f"s3://{BUCKET}/")
    return {key.removeprefix(below).partition("/")[0] for key in keys(store_server, below)}


def test_a_folder_that_holds_something_else_is_not_replaced(store, store_server):
    put(store_server, store, "letters.txt", b"mine")
    with pytest.raises(StoreError, match="is there already"):
        publish(store, "new")


def test_changed_bytes_are_refused(store, store_server):
    publish(store, "one")
    (part,) = (name for name in read_manifest(store)["files"] if name.endswith("words.txt"))
    put(store_server, store, part, b"eno")
    with pytest.raises(StoreError, match="SHA-256"):
        words(store)
    put(store_server, store, "_manifest.json", json.dumps({"files": {}}).encode())
    with pytest.raises(StoreError, match="changed or damaged"):
        read_manifest(store)


def test_a_folder_of_others_is_read_with_the_moments_of_its_files(store, store_server):
    put(store_server, store, "rows.parquet", b"rows")
    put(store_server, store, "_SUCCESS", b"")
    with local_copy(store, "read") as folder:
        (file,) = folder.iterdir()
        written = client(store_server).head_object(
            Bucket=BUCKET, Key=f"{store}/rows.parquet".removeprefix(f"s3://{BUCKET}/")
        )["LastModified"]
        assert file.stat().st_mtime == pytest.approx(written.timestamp(), abs=1)
    with local_copy(place(f"{store}/rows.parquet"), "read") as file:
        assert file.read_bytes() == b"rows"


def test_what_is_not_there_is_said(store):
    with pytest.raises(StoreError, match="not found"), local_copy(store, "read"):
        pass
    with pytest.raises(StoreError, match="there is no bucket nowhere"):
        publish(place("s3://nowhere/scores"), "new")


@pytest.mark.parametrize(
    "text",
    [
        *("hdfs://host/scores", "abfs://c@a.dfs.core.windows.net/s", "ftp://h/x", "S3://b/x"),
        *("s3://", "s3://bucket", "s3://bucket/", "s3://bucket/a/../b", "file://host/x"),
        *("s3://key:secret@bucket/scores", "s3://bucket/scores?secret=1"),
    ],
)
def test_other_addresses_are_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match=r"must be|not supported") as refused:
        place(text)
    assert "secret" not in str(refused.value)


def test_file_is_this_machine(tmp_path):
    assert (
        place(f"file://{tmp_path}/scores") == tmp_path / "scores" == place(str(tmp_path / "scores"))
    )
    assert str(place("s3://bucket/a/b/")) == "s3://bucket/a/b"

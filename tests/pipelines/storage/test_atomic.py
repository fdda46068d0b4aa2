import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.pipelines.storage import atomic as store
from winback.pipelines.storage.atomic import (
    StoreError,
    read_verified,
    replace_file,
    replace_folder,
    verify,
)


def write_generation(folder: Path, generation: str) -> None:
    with replace_folder(folder) as new:
        for name in ("a.txt", "b.txt"):
            (new.path / name).write_text(generation)
        new.extra["generation"] = generation


def generation_of(folder: Path) -> str:
    texts = {text.decode() for text in read_verified(folder).values()}
    assert len(texts) == 1, "files of two generations in one folder"
    return texts.pop()


def hidden(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.startswith(".")]


def test_a_file_is_replaced_by_bytes_and_by_a_writer(tmp_path):
    file = tmp_path / "deep" / "x.bin"
    replace_file(file, b"one")
    assert file.read_bytes() == b"one"
    replace_file(file, lambda handle: handle.write(b"two"))
    assert file.read_bytes() == b"two"
    assert hidden(file.parent) == []


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    file = tmp_path / "x.bin"
    replace_file(file, b"old")

    def fail(handle):
        handle.write(b"half")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        replace_file(file, fail)
    assert file.read_bytes() == b"old"
    assert hidden(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "tables"
    write_generation(folder, "one")
    (folder / "stale.txt").write_text("from before")
    write_generation(folder, "two")
    assert generation_of(folder) == "two"
    assert sorted(each.name for each in folder.iterdir()) == ["_manifest.json", "a.txt", "b.txt"]
    assert hidden(tmp_path) == []


def test_an_error_in_the_block_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "tables"
    write_generation(folder, "old")

    def fail():
        with replace_folder(folder) as new:
            (new.path / "a.txt").write_text("new")
            raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        fail()
    assert generation_of(folder) == "old"
    assert hidden(tmp_path) == []


def test_an_error_on_the_first_run_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="refused"), replace_folder(tmp_path / "tables"):
        raise RuntimeError("refused")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_counts_rows_and_hashes_bytes(tmp_path):
    with replace_folder(tmp_path / "t") as new:
        pq.write_table(pa.table({"x": [1, 2, 3]}), new.path / "x.parquet")
        (new.path / "note.txt").write_text("abc")
        new.extra["source"] = "toy"
    manifest = verify(tmp_path / "t")
    assert manifest["source"] == "toy"
    assert manifest["files"]["x.parquet"]["rows"] == 3
    assert manifest["files"]["note.txt"] == {
        "bytes": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


@pytest.mark.parametrize("reader", [verify, read_verified])
def test_a_changed_byte_is_refused(tmp_path, reader):
    write_generation(tmp_path / "t", "one")
    (tmp_path / "t" / "b.txt").write_text("onE")
    with pytest.raises(StoreError, match=r"b\.txt: SHA-256 .* differs .* run the stage again"):
        reader(tmp_path / "t")


@pytest.mark.parametrize("reader", [verify, read_verified])
def test_a_missing_file_is_refused(tmp_path, reader):
    write_generation(tmp_path / "t", "one")
    (tmp_path / "t" / "a.txt").unlink()
    with pytest.raises(StoreError, match=r"a\.txt: missing, though _manifest\.json lists it"):
        reader(tmp_path / "t")


def test_a_file_that_the_manifest_does_not_know_is_refused(tmp_path):
    write_generation(tmp_path / "t", "one")
    (tmp_path / "t" / "c.txt").write_text("smuggled")
    with pytest.raises(StoreError, match=r"c\.txt: not listed in _manifest\.json"):
        verify(tmp_path / "t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "has no 'files'"),
        (json.dumps({"files": {"../../etc/passwd": {}}}), "lies outside the folder"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, text, message):
    write_generation(tmp_path / "t", "one")
    (tmp_path / "t" / "_manifest.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        read_verified(tmp_path / "t")


def test_every_byte_of_a_manifest_counts(tmp_path):
    with replace_folder(tmp_path / "t") as new:
        (new.path / "a.txt").write_text("one")
        new.extra["split"] = "time"
    file = tmp_path / "t" / "_manifest.json"
    text = file.read_bytes()
    for position in range(len(text)):
        file.write_bytes(text[:position] + bytes([text[position] ^ 1]) + text[position + 1 :])
        with pytest.raises(StoreError, match=r"_manifest\.json"):
            read_verified(tmp_path / "t")
        file.write_bytes(text[:position])
        with pytest.raises(StoreError, match=r"_manifest\.json"):
            verify(tmp_path / "t")


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "t").symlink_to(tmp_path / "large disk" / "t")
    for generation in ("one", "two"):
        write_generation(tmp_path / "t", generation)
        assert (tmp_path / "t").is_symlink()
        assert generation_of(tmp_path / "large disk" / "t") == generation
    assert hidden(tmp_path) == hidden(tmp_path / "large disk") == []


def test_a_folder_without_manifest_is_refused(tmp_path):
    (tmp_path / "t").mkdir()
    with pytest.raises(StoreError, match=r"_manifest\.json: not found; run the stage"):
        verify(tmp_path / "t")


KILLED = """
import os, signal, sys
from pathlib import Path
from winback.pipelines.storage import atomic as store

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

folder, moment = Path(sys.argv[1]), sys.argv[2]
if moment == "before the swap":
    store._swap = die
if moment == "between two renames":
    store._exchange = lambda one, other: False
    rename = Path.rename
    def once(self, target):
        rename(self, target)
        die()
    Path.rename = once
if moment == "after the swap":
    exchange = store._exchange
    store._exchange = lambda one, other: (exchange(one, other), die())
with store.replace_folder(folder) as new:
    (new.path / "a.txt").write_text("new")
    if moment == "between files":
        die()
    (new.path / "b.txt").write_text("new")
"""


@pytest.mark.parametrize(
    ("moment", "survivor"),
    [
        ("between files", "old"),
        ("before the swap", "old"),
        ("between two renames", "old"),
        ("after the swap", "new"),
    ],
)
def test_a_kill_leaves_old_or_new_and_the_next_run_cleans_up(tmp_path, moment, survivor):
    folder = tmp_path / "tables"
    write_generation(folder, "old")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), moment], check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert generation_of(folder) == survivor
    write_generation(folder, "newer")
    assert generation_of(folder) == "newer"
    assert hidden(tmp_path) == []


def test_leftovers_of_a_living_writer_stay(tmp_path):
    living = tmp_path / f".tables.new-{os.getppid()}"
    living.mkdir()
    write_generation(tmp_path / "tables", "one")
    assert living.is_dir()


def test_leftovers_of_other_results_stay(tmp_path):
    other = tmp_path / ".tables_old.new-999999999"
    other.mkdir()
    write_generation(tmp_path / "tables", "one")
    assert other.is_dir()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="one-step swap is Linux only")
def test_a_reader_never_meets_a_missing_or_mixed_folder(tmp_path):
    folder = tmp_path / "tables"
    write_generation(folder, "0")
    stop = threading.Event()

    def write() -> None:
        for generation in range(1, 15):
            write_generation(folder, str(generation))
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not stop.is_set():
        # One handle on the folder, so that both files are of the generation opened.
        handle = os.open(folder, os.O_RDONLY)
        try:
            texts = {_read_at(handle, name) for name in ("a.txt", "b.txt")}
        except FileNotFoundError:
            texts = set()  # opened just before it was swapped away and removed
        os.close(handle)
        assert len(texts) <= 1
        looks += 1
    writer.join()
    assert looks > 0


def _read_at(folder: int, name: str) -> str:
    file = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(file, 100).decode()
    finally:
        os.close(file)


def test_systems_without_a_one_step_swap_still_replace(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_exchange", lambda *_: False)
    write_generation(tmp_path / "t", "one")
    write_generation(tmp_path / "t", "two")
    assert generation_of(tmp_path / "t") == "two"
    assert hidden(tmp_path) == []

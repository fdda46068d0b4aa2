"""Scores that are read from and published to an object store."""

import contextlib
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, winback
from local_servers import free_port, listening
from pyarrow.fs import S3FileSystem
from s3_server import BUCKET, client
from scoring_job import SUPPRESSIONS, but, command, rows

from winback.pipelines.cli import main
from winback.pipelines.score import score
from winback.pipelines.storage.atomic import verify
from winback.pipelines.storage.places import local_copy, place, read_manifest
from winback.pipelines.storage.store_clients import file_system

AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def upload(store_server, file, address):
    client(store_server).upload_file(str(file), BUCKET, address.removeprefix(f"s3://{BUCKET}/"))


def read(address, monkeypatch):
    """The published scores, by the lines of docs/batch.md."""
    store = S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"][7:], scheme="http")
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/batch.md").read_text(), re.DOTALL)
    names = {}
    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.fs.S3FileSystem", lambda: store)
        exec(lines.replace("BUCKET/scores", address.removeprefix("s3://")), names)
    return names["scores"].reset_index(drop=True)


def test_a_store_gets_the_scores_that_a_folder_gets(job, store, monkeypatch):
    local = score(job)
    remote = score(but(job, out=place(f"{store}/scores")))
    assert {**remote, "files": 0, "digest": 0} == {**local, "files": 0, "digest": 0}
    with local_copy(place(f"{store}/scores"), "read") as folder:
        assert verify(folder) == local
    pd.testing.assert_frame_equal(read(f"{store}/scores", monkeypatch), rows(job.out))
    assert not list(Path("data").glob(".*.work-*")), "no customer stays on this machine"


def test_the_same_job_again_touches_nothing_and_another_replaces(job, store, capsys, monkeypatch):
    there = but(job, out=place(f"{store}/scores"))
    before = score(there)
    assert score(there) == before
    assert "holds these scores already" in capsys.readouterr().err
    after = score(but(there, suppressions=None))
    assert after["rows_out"] == 1_000 == len(read(f"{store}/scores", monkeypatch))


def test_rows_and_objections_are_read_from_a_store(job, store, store_server, monkeypatch):
    local = score(job)
    upload(store_server, job.features, f"{store}/in/customers.parquet")
    upload(store_server, job.suppressions, f"{store}/objected.parquet")
    there = but(job, features=f"{store}/in", suppressions=f"{store}/objected.parquet")
    assert command(but(there, out=f"{store}/scores")) == 0
    pd.testing.assert_frame_equal(read(f"{store}/scores", monkeypatch), rows(job.out))
    assert read_manifest(place(f"{store}/scores"))["inputs"] == local["inputs"]
    gone = but(there, suppressions=f"{store}/nobody.parquet", out=f"{store}/scores")
    assert command(gone) == SUPPRESSIONS


def test_features_are_made_from_and_for_a_store(finished, store, store_server, tmp_path):
    with contextlib.chdir(finished):
        for file in Path("data/tables").iterdir():
            upload(store_server, file, f"{store}/tables/{file.name}")
    given = ("--tables", f"{store}/tables", "--features", f"{store}/features")
    assert winback(finished, "featurize", *given) == 0
    with contextlib.chdir(finished), local_copy(place(f"{store}/features"), "read") as folder:
        assert verify(folder) == verify(Path("data/features"))
    scored = ("--no-suppressions", "--model", "artifacts", "--out")
    here = tmp_path / "here"
    for features, out in ((f"{store}/features", f"{store}/scores"), ("data/features", str(here))):
        given = ("--features", f"{features}/current.parquet", *scored, out)
        assert winback(finished, "score", *given) == 0
    assert read_manifest(place(f"{store}/scores"))["inputs"] == verify(here)["inputs"]
    nothing = ("--features", f"{store}/features/nothing.parquet", *scored, f"{store}/scores")
    assert winback(finished, "score", *nothing) == 3


@pytest.mark.skipif(shutil.which("azurite-blob") is None, reason="no Azurite: npm install azurite")
def test_azure_gets_the_scores_that_a_folder_gets(job, tmp_path, monkeypatch):
    """Against Microsoft's emulator, with the account and key that it documents for everybody."""
    port = free_port()
    server = f"azurite-blob --silent --inMemoryPersistence --skipApiVersionCheck --blobPort {port}"
    for name, value in {
        "AZURE_STORAGE_ACCOUNT": "devstoreaccount1",
        "AZURE_STORAGE_KEY": AZURITE_KEY,
        "AZURE_STORAGE_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    local = score(job)
    with listening(server, port=port, folder=tmp_path):
        file_system("abfs").create_dir("winback")
        there = but(job, out=place("abfs://winback/scores"))
        assert {**score(there), "files": 0, "digest": 0} == {**local, "files": 0, "digest": 0}
        assert score(but(there, suppressions=None))["rows_out"] == 1_000
        with local_copy(there.out, "read") as folder:
            assert verify(folder)["rows_out"] == 1_000


def test_azure_without_an_account_is_refused(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    monkeypatch.chdir(tmp_path)
    given = ("--features", "abfs://box/rows", "--no-suppressions")
    assert main(["score", *given]) == 3
    assert "AZURE_STORAGE_ACCOUNT must name the account" in capsys.readouterr().err

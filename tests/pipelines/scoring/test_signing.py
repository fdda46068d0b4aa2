"""Signed models: who can write the files, the hashes and the tags of a version, but has no key."""

import hashlib
import random
import shlex
import shutil
import subprocess

import mlflow
import pytest
from bar import full
from conftest import ROOT, winback
from scoring_job import MODEL, but, command

from winback.pipelines.job.exit_codes import ModelRefused
from winback.pipelines.registry import opened_model as registry
from winback.pipelines.registry.opened_model import AS_OF, FILES, hashes, listing, open_model
from winback.pipelines.registry.signing import SIGNATURE, private_key, public_key

pytestmark = pytest.mark.filterwarnings("ignore")  # of mlflow
FORGED = pytest.mark.bar("forged models: opened though a signature was required")
PAGE = (ROOT / "docs/registry.md").read_text().splitlines()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with KEY.pem and PUB.pem, made by the lines of docs/registry.md, and other keys."""
    folder = tmp_path_factory.mktemp("keys")
    for line in [line for line in PAGE if line.startswith("openssl ")]:
        for name in ("", "other-"):
            words = [word if ".pem" not in word else name + word for word in shlex.split(line)]
            subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def signed(registered, keys, tmp_path_factory):
    """A registry with version 1 as it was, and version 2 of the same models, signed."""
    folder = tmp_path_factory.mktemp("signed") / "project"
    shutil.copytree(registered, folder)
    for _ in range(2):  # the second finds them registered and signed
        assert winback(folder, "register", "--sign", str(keys / "KEY.pem")) == 0
    return folder


@pytest.fixture
def store(signed, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{signed}/mlflow.db")
    return signed


def version(number):
    return mlflow.MlflowClient().get_model_version("winback", number)


@pytest.fixture
def forger(store, tmp_path, monkeypatch):
    """Files and tags of version 2, both of which the forger may change."""
    client = registry.registry()
    found = version("2")
    folder = registry.download_model("models:/winback/2", tmp_path / "copy")
    found._tags = dict(found.tags)
    monkeypatch.setattr(registry, "registry", lambda: client)
    monkeypatch.setattr(client, "get_model_version", lambda *_: found, raising=False)
    monkeypatch.setattr(registry, "download_model", lambda *_: folder)
    return folder, found.tags


def test_a_signed_model_scores_and_is_registered_once(store, keys, job):
    assert len(mlflow.MlflowClient().search_model_versions()) == 2
    signed = but(job, model="models:/winback@challenger")
    given = ("--require-signature", str(keys / "PUB.pem"))
    assert command(signed, *given) == 0
    assert open_model("models:/winback/2").version == "winback/2", "nobody has to ask"


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        ("models:/winback/1", "PUB.pem", "it is not signed; register it with --sign"),
        ("models:/winback/2", "other-PUB.pem", "not of this key and these files"),
        ("artifacts", "PUB.pem", "a folder is not signed"),
    ],
)
def test_without_the_signature_nothing_is_scored(store, keys, job, capsys, model, key, words):
    model = model if ":" in model else job.model
    assert command(but(job, model=model), "--require-signature", str(keys / key)) == MODEL
    assert words in capsys.readouterr().err
    assert not job.out.exists()


@FORGED
def test_no_change_of_files_and_hashes_passes_without_the_key(forger, keys, monkeypatch, figure):
    folder, tags = forger
    key = public_key(keys / "PUB.pem")
    assert open_model("models:/winback/2", signed_by=key).answers.winback is not None
    parsed = []
    monkeypatch.setattr(registry, "load_answers", lambda *given: parsed.append(given))
    draw, files = random.Random(3), [file for file in sorted(folder.rglob("*")) if file.is_file()]
    files = [file for file in files if file.name not in registry.ADDED_BY_MLFLOW]
    tries = full(1_000, 200)
    for number in range(tries):
        one = files[number % len(files)]  # each file in turn
        other = draw.choice([each for each in files if each.read_bytes() != one.read_bytes()])
        before = {file: file.read_bytes() for file in (one, other)}
        if number % 3 == 0:
            one.write_bytes(before[other])
            other.write_bytes(before[one])
        else:
            place = draw.randrange(len(before[one]))
            flipped = bytes([before[one][place] ^ (1 << draw.randrange(8))])
            one.write_bytes(before[one][:place] + flipped + before[one][place + 1 :])
        tags[FILES] = hashlib.sha256(listing(hashes(folder))).hexdigest()
        with pytest.raises(ModelRefused, match="not of this key and these files"):
            open_model("models:/winback/2", signed_by=key)
        assert not parsed, one.name
        for file, body in before.items():
            file.write_bytes(body)
    figure(tries=tries)


@pytest.mark.parametrize("name", [AS_OF, SIGNATURE])
def test_a_changed_tag_is_refused(forger, keys, name):
    _, tags = forger
    for value in ("", "2020", tags[name][:-1], "0" + tags[name][1:], "f" + tags[name][1:]):
        if value != tags[name]:
            before, tags[name] = tags[name], value
            with pytest.raises(ModelRefused, match="sign"):
                open_model("models:/winback/2", signed_by=public_key(keys / "PUB.pem"))
            tags[name] = before


def test_the_bytes_that_are_hashed_are_those_that_are_parsed(forger, keys, monkeypatch):
    """Files that change as soon as they have been read once change nothing."""
    folder, _ = forger
    expected = open_model("models:/winback/2").content
    read = registry._read_files

    def read_then_swap(place):
        contents = read(place)
        for file in folder.rglob("*"):
            if file.is_file():
                file.write_bytes(b"forged")
        return contents

    monkeypatch.setattr(registry, "_read_files", read_then_swap)
    opened = open_model("models:/winback/2", signed_by=public_key(keys / "PUB.pem"))
    assert opened.content == expected


@pytest.mark.parametrize("read", [private_key, public_key])
def test_what_is_no_key_is_refused_with_the_cure(tmp_path, keys, read):
    wrong = keys / ("PUB.pem" if read is private_key else "KEY.pem")
    (tmp_path / "nonsense.pem").write_text("nonsense")
    for file in (wrong, tmp_path / "nonsense.pem"):
        with pytest.raises(ValueError, match=r"Ed25519 key in PEM.*openssl"):
            read(file)

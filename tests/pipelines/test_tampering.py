"""A thousand damaged models: each is refused before any of it is parsed, and nothing crashes."""

import hashlib
import importlib.util
import json
import os
import pickle
import random
import shutil
import sys
import types
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from winback.models.formula.answers import answer
from winback.pipelines.cli import main
from winback.pipelines.job.exit_codes import ModelRefused
from winback.pipelines.registry import opened_model as registry
from winback.pipelines.registry.bundle import bundle
from winback.pipelines.registry.opened_model import (
    EVIDENCE,
    FILES,
    PARTS,
    REFERENCE,
    hashes,
    listing,
    open_model,
)
from winback.pipelines.storage.atomic import write_manifest

TAMPERED = pytest.mark.bar("tampered models: parsed, or a crash")
EMPTY = b'{"columns": [], "expressions": {}, "outputs": [], "sha256": {}}'


def damaged(draw, files):
    """Change one of some files in one of many ways; what undoes it, and what was done."""
    file = draw.choice(files)
    other = draw.choice([each for each in files if each.read_bytes() != file.read_bytes()])
    text, place = file.read_bytes(), draw.randrange(file.stat().st_size)
    how = draw.choice(["flip", "flip", "cut", "longer", "empty", "gone", "swap", "link", "folder"])
    if how == "flip":
        flipped = bytes([text[place] ^ (1 << draw.randrange(8))])
        file.write_bytes(text[:place] + flipped + text[place + 1 :])
    elif how == "cut":
        file.write_bytes(text[:place])
    elif how == "longer":
        file.write_bytes(text + text[:100])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "swap":
        before = other.read_bytes()
        file.write_bytes(before)
        other.write_bytes(text)
    else:
        file.unlink()
        if how == "link":
            file.symlink_to(other)
        elif how == "folder":
            file.mkdir()

    def undo():
        if file.is_dir():
            file.rmdir()
        file.unlink(missing_ok=True)
        file.write_bytes(text)
        if how == "swap":
            other.write_bytes(before)

    return undo, f"{how}: {file.name}"


@pytest.fixture
def models(finished, tmp_path):
    """Artifacts as the training stages leave them."""
    for part in PARTS:
        shutil.copytree(finished / "artifacts" / part, tmp_path / "artifacts" / part)
    return tmp_path / "artifacts"


@pytest.fixture
def registered(models, tmp_path, monkeypatch):
    """Files of a registered model, in the place where the registry's client finds them."""
    folder = tmp_path / "registered"
    inner = folder / "artifacts" / "models"
    for part in PARTS:
        (inner / part).mkdir(parents=True)
        names = ["decision.json"]
        if part != "decision":
            formula = json.loads((models / part / "formula.json").read_bytes())
            names = ["formula.json", *formula["sha256"]]
        for name in names:
            shutil.copy(models / part / name, inner / part / name)
    pd.DataFrame({"x": [1.0]}).to_parquet(inner / REFERENCE)
    (inner / EVIDENCE).write_text("{}")
    (folder / "winback_model.py").write_text(bundle(hashes(inner)))
    (folder / "MLmodel").write_text("flavors: {python_function: {}}\n")
    version = types.SimpleNamespace(
        name="winback",
        version="1",
        tags={FILES: hashlib.sha256(listing(hashes(folder))).hexdigest()},
    )
    client = types.SimpleNamespace(get_model_version=lambda *_: version)
    monkeypatch.setattr(registry, "registry", lambda: client)
    monkeypatch.setattr(registry, "download_model", lambda *_: folder)
    return folder


def all_files(folder):
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]


@TAMPERED
def test_damaged_artifacts_are_refused_before_they_are_parsed(models, monkeypatch, figure):
    whole = open_model(str(models))
    assert whole.answers.winback is not None
    parsed = []
    monkeypatch.setattr(registry, "load_answers", lambda *given: parsed.append(given))
    draw, files = random.Random(1), all_files(models)
    for _ in range(400):
        undo, what = damaged(draw, files)
        with pytest.raises(ModelRefused, match="refused; "):
            open_model(str(models))
        assert not parsed, what
        undo()
    monkeypatch.undo()
    assert open_model(str(models)).content == whole.content
    figure(tries=400)


@TAMPERED
def test_damaged_registered_models_are_refused_before_they_are_parsed(
    registered, monkeypatch, figure
):
    assert open_model("models:/winback/1").version == "winback/1"
    parsed = []
    monkeypatch.setattr(registry, "load_answers", lambda *given: parsed.append(given))
    draw, files = random.Random(2), all_files(registered)
    for _ in range(300):
        undo, what = damaged(draw, files)
        with pytest.raises(ModelRefused, match="not those of version 1 at registration"):
            open_model("models:/winback/1")
        assert not parsed, what
        undo()
    (registered / "smuggled.py").write_text("import os")
    with pytest.raises(ModelRefused, match="not those of version 1"):
        open_model("models:/winback/1")
    figure(tries=301)


def consumers_class(registered, monkeypatch):
    """What a process without winback finds in the script of the model."""
    script = registered / "winback_model.py"
    found = importlib.util.spec_from_file_location("registered_winback", script)
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "registered_winback", module)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found.loader.exec_module(module)
    return module.WinbackModel


@TAMPERED
@pytest.mark.filterwarnings("ignore")  # what mlflow warns of is not ours to mend
def test_a_consumer_refuses_damaged_models_too(registered, finished, monkeypatch, figure):
    monkeypatch.setattr(mlflow.models, "set_model", lambda _: None)
    folder = registered / "artifacts" / "models"
    context = types.SimpleNamespace(artifacts={"models": str(folder)})
    customers = pd.read_parquet(finished / "data/features/current.parquet").head(5)
    model = consumers_class(registered, monkeypatch)()
    model.load_context(context)
    answers = open_model("models:/winback/1").answers
    right = answer(answers, customers)
    pd.testing.assert_frame_equal(model.predict(None, customers), right, check_exact=True)
    draw = random.Random(3)
    files = [file for part in PARTS for file in all_files(folder / part)]
    for _ in range(280):
        undo, _ = damaged(draw, files)
        with pytest.raises(ValueError, match="missing, truncated or changed"):
            model.load_context(context)
        undo()
    script = registered / "winback_model.py"
    text = script.read_bytes()
    for _ in range(20):
        place = draw.randrange(text.index(b"import numpy"), len(text))
        script.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        with pytest.raises((ImportError, SyntaxError)):
            consumers_class(registered, monkeypatch)
    figure(tries=300)


class Touching:
    """What a pickle does that somebody wants executed."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@TAMPERED
def test_nothing_is_ever_unpickled(models, registered, tmp_path, capsys):
    bomb = pickle.dumps(Touching(tmp_path / "executed"))
    for name in ("model.pkl", "python_model.pkl", "formula.json", "x0.txt", "decision.json"):
        (models / "winback" / name).write_bytes(bomb)
        (registered / name).write_bytes(bomb)
        (registered / "artifacts" / "models" / "winback" / name).write_bytes(bomb)
    given = ("--features", "x", "--out", str(tmp_path / "out"), "--no-suppressions", "--model")
    assert main(["score", *given, str(models)]) == 9
    assert main(["score", *given, "models:/winback/1"]) == 9
    write_manifest(models / "winback")  # now they are what was "saved"
    assert main(["score", *given, str(models)]) == 9
    assert not (tmp_path / "executed").exists()
    assert "Traceback" not in capsys.readouterr().err
    pickle.loads(bomb)
    assert (tmp_path / "executed").exists()  # the payload is live


@TAMPERED
@pytest.mark.parametrize("name", ["../../outside.txt", "/etc/hostname", "a/../../outside.txt"])
def test_no_name_leads_out_of_the_folder_of_a_model(models, tmp_path, name, capsys):
    for place in (tmp_path, models):
        (place / "outside.txt").write_text("a secret")
    folder = models / "winback"
    formula = json.loads((folder / "formula.json").read_bytes())
    target = (folder / name).resolve()
    body = target.read_bytes()
    formula["sha256"][name] = hashlib.sha256(body).hexdigest()
    (folder / "formula.json").write_text(json.dumps(formula))
    write_manifest(folder)
    with pytest.raises(ModelRefused, match="is missing, truncated or changed"):
        open_model(str(models))
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    manifest["files"][name] = {"bytes": len(body), "sha256": formula["sha256"][name]}
    (folder / "_manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRefused, match="lies outside the folder"):
        open_model(str(models))


@TAMPERED
@pytest.mark.parametrize(
    "formula",
    [
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"sha256": []}',
        b'{"sha256": {"x0.txt": 5}}',
        EMPTY.replace(b'"outputs": []', b'"outputs": ["y"]'),
        EMPTY.replace(b'{}, "outputs": []', b'{"y": ["ref", "y"]}, "outputs": ["y"]'),
        EMPTY.replace(b'{}, "outputs": []', b'{"y": ["import", "os"]}, "outputs": ["y"]'),
        EMPTY.replace(b'"columns": []', b'"columns": [7]'),
        EMPTY.replace(b'"columns": []', b'"columns": NaN'),
    ],
)
def test_forged_formulas_with_a_right_manifest_are_refused_without_a_crash(models, formula):
    (models / "winback" / "formula.json").write_bytes(formula)
    write_manifest(models / "winback")
    with pytest.raises(ModelRefused, match="refused; "):
        open_model(str(models))


@pytest.mark.parametrize("model", ["models:/", "models:/winback", "models:/a/b/c", "models:/@", ""])
def test_names_of_models_that_cannot_be_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    client = types.SimpleNamespace()
    monkeypatch.setattr(registry, "registry", lambda: client)
    with pytest.raises(ModelRefused):
        open_model(model)
    assert not list(Path().iterdir())

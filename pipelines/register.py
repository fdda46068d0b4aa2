"""`winback register`: log the finished run in MLflow and register its models as one version.

It reads finished files only, so it can be called again at will: the same models, by content, make
no second version.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema

from ..models.decision.decision import DECISION_FILE
from ..models.decision.recommend import DECISION_COLUMNS
from ..models.formula.answers import Answers, answer, input_columns
from ..models.formula.formula import FORMULA_FILE, RETENTION
from .job.exit_codes import ModelRefused
from .job.progress import say, step
from .registry.aliases import by_alias, finish_moving
from .registry.bundle import bundle
from .registry.model_card import model_card
from .registry.opened_model import (
    AS_OF,
    CONTENT,
    EVIDENCE,
    FILES,
    MODELS,
    PARTS,
    REFERENCE,
    content_hash,
    download_model,
    hashes,
    listing,
    open_model,
    populations,
    registry,
)
from .registry.provenance import origin, uncommitted
from .registry.run_record import Finished, log_run, run_name, use_experiment
from .registry.signing import SIGNATURE, private_key, sign
from .settings.sources import Source
from .storage.atomic import verify
from .storage.mlflow_home import MODEL_NAME
from .storage.trained_models import model_files, read_answers
from .tables.even_rows import even_rows
from .tables.safe_csv import read_table

PACKAGES = ("mlflow", "numpy", "pandas")  # what the registered model imports
# Python keeps the bytecode of a module in a folder of this name beside it, and runs that instead of
# the module. A file of this name leaves no room for one: whoever loads a model in place changes
# nothing of what was registered, and no forged bytecode runs past the model's look at its own code.
BYTECODE = "__pycache__"
EXAMPLE_OF = 20  # known values, at least, of which one of the example is made
OUTLINE_ROWS = 500_000  # of today's customers, from which the references and the example are made
REFERENCE_ROWS = 5_000  # of each population, to measure drift by
ABOUT = (
    "Who is about to leave, who of the lost returns, with which offer, and what that earns. One "
    "row per customer in, flat columns out. Each version has a model card; use @champion."
)
TYPES = {str: DataType.string, float: DataType.double, bool: DataType.boolean}


def register(
    source: Source, run: Finished, *, allow_dirty: bool = False, sign_with: Path | None = None
) -> str:
    """Log and register; the URI of the model version.

    With `sign_with`, a file with a private key, the version is signed; versions that are not signed
    with that key do not count as registered already.

    Raises
    ------
    ValueError
        If there is no model, the key is none, or files that made it are not committed and
        `allow_dirty` is not set.
    """
    key = private_key(sign_with) if sign_with else None
    answers = read_answers(run.churn, run.winback, run.decision)
    if not answers.formulas:
        raise ValueError("register: there is no model to register; run `winback run` first")
    changed = uncommitted(source.path)
    if changed and not allow_dirty:
        raise ValueError(
            f"register: {len(changed)} files are not as in the last commit "
            f"({', '.join(changed[:5])}), so nobody could find out later what made this model; "
            "commit them, or register --allow-dirty"
        )
    client = registry()
    content = content_hash(*(model_files(part) for part in (run.churn, run.winback, run.decision)))
    features = verify(run.features)
    tags = origin(features, dirty=bool(changed)) | {CONTENT: content}
    card = model_card(
        source,
        as_of=features["as_of"],
        decision=answers.decision if answers.winback else None,
        retention=answers.decision.retention if answers.decision else None,
        churn=run.churn,
        policies=run.policies,
    )
    finish_moving(client)
    use_experiment(client)
    _end_killed_runs(client)
    for registered in client.search_model_versions(f"name = '{MODEL_NAME}'"):
        if registered.tags.get(CONTENT) == content and _signed(registered, key):
            say(f"these models are registered already, as version {registered.version}")
            _introduce(client, registered, card)
            return f"models:/{MODEL_NAME}/{registered.version}"
    with (
        step("logging the run and registering the models"),
        mlflow.start_run(run_name=run_name(source, tags), tags=tags),
    ):
        log_run(source, run, features, card)
        with tempfile.TemporaryDirectory() as folder:
            customers = even_rows(run.features / "current.parquet", most=OUTLINE_ROWS)
            models = _gather(run, answers, customers, Path(folder) / "models")
            model_uri = _log_model(answers, models, typical(customers))
            logged = download_model(model_uri, Path(folder) / "logged")
            if hashes(logged / MODELS) != hashes(models):
                raise ValueError("register: the store does not give back the models that it got")
            files = listing(hashes(logged))
            tags[FILES] = hashlib.sha256(files).hexdigest()
            if key is not None:
                tags[SIGNATURE] = sign(key, files, tags[AS_OF])
        # The tags come with the version: killed before, there is none; after, it is whole.
        with contextlib.redirect_stderr(io.StringIO()):  # MLflow says there what we say ourselves
            made = mlflow.register_model(model_uri, MODEL_NAME, tags=tags)
    _introduce(client, made, card)
    return f"models:/{MODEL_NAME}/{made.version}"


def _signed(version: ModelVersion, key: Ed25519PrivateKey | None) -> bool:
    """Whether a version is signed with a key; true if none is asked for."""
    if key is None:
        return True
    try:
        open_model(f"models:/{MODEL_NAME}/{version.version}", signed_by=key.public_key())
    except ModelRefused:
        return False
    return True


def _introduce(client: MlflowClient, made: ModelVersion, card: str) -> None:
    """Card and alias of a version, unless it has them or a later one is the challenger.

    The alias is the last step: a version newer than the challenger is one whose registration was
    killed before it.
    """
    challenger = by_alias(client, MODEL_NAME, "challenger")
    if challenger is not None and int(challenger.version) >= int(made.version):
        return
    client.update_registered_model(MODEL_NAME, ABOUT)
    client.update_model_version(MODEL_NAME, made.version, card)
    client.set_registered_model_alias(MODEL_NAME, "challenger", made.version)


def _end_killed_runs(client: MlflowClient) -> None:
    """Runs that a killed registration left RUNNING: finished where they made a version."""
    experiment = client.get_experiment_by_name(MODEL_NAME)
    if experiment is None:
        return
    versions = {
        version.run_id for version in client.search_model_versions(f"name = '{MODEL_NAME}'")
    }
    for run in client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'"):
        if CONTENT in run.data.tags:
            status = "FINISHED" if run.info.run_id in versions else "KILLED"
            client.set_terminated(run.info.run_id, status)


def _gather(run: Finished, answers: Answers, customers: pd.DataFrame, models: Path) -> Path:
    """The folder that is registered: both models, today's customers in outline, the evidence."""
    evidence = {}
    for part, folder in zip(PARTS, (run.churn, run.winback, run.decision), strict=True):
        _copy_model(folder, models / part)
        if part == "winback" and answers.retention is not None:
            _copy_model(folder / RETENTION, models / part / RETENTION)
            evidence["retention"] = {"unseen": _memory(folder, "retention_unseen")}
        if (folder / FORMULA_FILE).exists():
            evidence[part] = _evidence(folder)
    (models / EVIDENCE).write_text(json.dumps(evidence, sort_keys=True))
    outline = marginals(customers, list(input_columns(answers)))
    outline.to_parquet(models / REFERENCE, index=False)
    return models


def _evidence(folder: Path) -> dict[str, Any]:
    """What the training left behind to grade its model by, see `registry.Opened`."""
    memory = _memory(folder, "unseen")
    grades = folder / "metrics.csv"
    if not grades.exists():
        return {"unseen": memory}
    table = read_table(grades)
    ranking = table[(table["slice"] == "all") & (table["metric"] == "auc")]
    aucs = ranking[["model", "value", "gain_lo"]].to_dict("records")
    return {"unseen": memory, "aucs": aucs}


def _memory(folder: Path, key: str) -> dict[str, Any]:
    memory: dict[str, Any] | None = verify(folder).get(key)
    if memory is None:
        raise ValueError(
            f"{folder}: does not say which rows it has not learned from; run `winback run` again"
        )
    return memory


def marginals(customers: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """A sample of each feature per population, every column sorted by itself.

    It is what drift is measured by; no row of it is a customer.
    """
    kept = [name for name in columns if name in customers.columns]
    labels = populations(customers)
    parts = []
    for label in sorted(labels.unique()):
        rows = customers.loc[labels == label, kept]
        rows = rows.sample(min(len(rows), REFERENCE_ROWS), random_state=0)
        ordered = {name: rows[name].sort_values(ignore_index=True) for name in kept}
        parts.append(pd.DataFrame(ordered).assign(population=label))
    return pd.concat(parts, ignore_index=True)


def typical(customers: pd.DataFrame) -> pd.DataFrame:
    """One row per population, of medians and most frequent values, and so of no real customer.

    What is known of fewer than `EXAMPLE_OF` customers of a population is missing in its row.
    """
    rows = []
    for label, group in customers.groupby(populations(customers)):
        told = group.loc[:, group.count() >= EXAMPLE_OF]
        row = {
            name: values.median()
            if pd.api.types.is_numeric_dtype(values)
            else next(iter(values.mode()), None)
            for name, values in told.items()
        }
        rows.append(row | ({"population": label} if "population" in group else {}))
    return pd.DataFrame(rows).reindex(columns=customers.columns)


def _log_model(answers: Answers, models: Path, example: pd.DataFrame) -> str:
    columns = input_columns(answers)
    if "population" in example.columns:
        columns["population"] = False  # which model answers, see `models.formula.answers`
    rows = example[list(columns)].astype(
        {name: "float64" if number else "object" for name, number in columns.items()}
    )
    outputs = answer(answers, rows)
    # Of answers alone: MLflow's double refuses int64, and what may be of any type it checks value
    # by value, at several times the model's cost. The model says itself what it does not take.
    signature = ModelSignature(
        outputs=Schema(
            [
                ColSpec(TYPES[DECISION_COLUMNS.get(name, float)], name, required=False)
                for name in outputs.columns
            ]
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "winback_model.py"
        script.write_bytes(bundle(hashes(models)).encode())
        with _no_bytecode():  # MLflow runs the model before it uploads the folder
            logged = mlflow.pyfunc.log_model(
                name=MODEL_NAME,
                python_model=str(script),
                artifacts={"models": str(models)},
                signature=signature,
                input_example=rows,
                pip_requirements=[f"{name}=={version(name)}" for name in PACKAGES],
            )
        file = Path(folder) / BYTECODE
        file.write_text("This file keeps the folder as it was registered.\n")
        MlflowClient().log_model_artifact(str(logged.model_id), str(file))
    return str(logged.model_uri)


@contextlib.contextmanager
def _no_bytecode() -> Iterator[None]:
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _copy_model(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    named = {FORMULA_FILE, DECISION_FILE}
    if (source / FORMULA_FILE).exists():
        named |= set(json.loads((source / FORMULA_FILE).read_text())["sha256"])
    for name in sorted(named):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)

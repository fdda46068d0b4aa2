"""`winback register`: log the finished run in MLflow and register its models as one version.

It reads finished files only, so it can be called again at will: the same models, by content, make
no second version.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from ..models.formula import FORMULA_FILE
from ..models.inference import DECISION_FILE, Answers, answer, input_columns
from .bundle import bundle
from .params import PARAMS_FILE
from .parts import read_answers
from .progress import say, step
from .registry import (
    CONTENT,
    FILES,
    PARTS,
    REFERENCE,
    content_hash,
    download,
    files_hash,
    hashes,
    model_texts,
    populations,
)
from .settings import read_yaml
from .store import verify
from .tracking import MODEL_NAME, artifact_root, tracking_uri

PACKAGES = ("lightgbm", "mlflow", "numpy", "pandas")  # what the registered model imports
REFERENCE_ROWS = 5_000  # of each population, to measure drift by


def register(
    *,
    features: Path,
    churn: Path,
    winback: Path,
    metrics: Path,
    report: Path,
    allow_dirty: bool = False,
) -> str:
    """Log and register; the URI of the model version.

    Raises
    ------
    ValueError
        If there is no model, or tracked files are changed and `allow_dirty` is not set.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    answers = read_answers(churn, winback)
    if answers.churn is None and answers.winback is None:
        raise ValueError("register: there is no model to register; run `winback run` first")
    changed = _changed_files()
    if changed and not allow_dirty:
        raise ValueError(
            f"register: {len(changed)} tracked files differ from the last commit "
            f"({', '.join(changed[:5])}), so nobody could find out later what made this model; "
            "commit them, or register --allow-dirty"
        )
    mlflow.set_tracking_uri(tracking_uri())
    client = MlflowClient()
    content = content_hash(model_texts(churn), model_texts(winback))
    for found in client.search_model_versions(f"name = '{MODEL_NAME}'"):
        if found.tags.get(CONTENT) == content:
            say(f"these models are registered already, as version {found.version}")
            return f"models:/{MODEL_NAME}/{found.version}"
    _experiment(client)
    tags = _origin(verify(features)["as_of"], bool(changed)) | {CONTENT: content}
    with step("logging the run and registering the models"), mlflow.start_run(tags=tags):
        mlflow.log_params(dict(_flat(read_yaml(PARAMS_FILE))))
        mlflow.log_metrics({k: v for k, v in _flat(json.loads(metrics.read_text())) if _number(v)})
        mlflow.log_artifact(str(report))
        customers = pd.read_parquet(features / "current.parquet")
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder) / "models"
            for part, folder_of in zip(PARTS, (churn, winback), strict=True):
                _copy_model(folder_of, models / part)
            reference = models / REFERENCE
            marginals(customers, list(input_columns(answers))).to_parquet(reference, index=False)
            made = _log_model(answers, models, typical(customers))
    with tempfile.TemporaryDirectory() as folder:
        found = client.get_model_version(MODEL_NAME, str(made))
        tags[FILES] = files_hash(download(found, Path(folder)))
    for name, text in tags.items():
        client.set_model_version_tag(MODEL_NAME, str(made), name, text)
    client.set_registered_model_alias(MODEL_NAME, "challenger", str(made))
    return f"models:/{MODEL_NAME}/{made}"


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
    """One row per population, of medians and most frequent values: an example who is nobody."""
    rows = []
    for label, group in customers.groupby(populations(customers)):
        row = {
            name: values.median()
            if pd.api.types.is_numeric_dtype(values)
            else next(iter(values.mode()), None)
            for name, values in group.items()
        }
        rows.append(row | ({"population": label} if "population" in row else {}))
    return pd.DataFrame(rows).reindex(columns=customers.columns)


def _log_model(answers: Answers, models: Path, example: pd.DataFrame) -> int:
    columns = input_columns(answers)
    if "population" in example.columns:
        columns["population"] = False  # who is asked what, see `models.inference.answer`
    rows = example[list(columns)].astype(
        {name: "float64" if number else "object" for name, number in columns.items()}
    )
    outputs = answer(answers, rows)
    # MLflow's double refuses int64, its long refuses floats: numbers are of any type, and the model
    # says itself what is not a number.
    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec(AnyType() if number else DataType.string, name, required=False)
                for name, number in columns.items()
            ]
        ),
        outputs=Schema(
            [
                ColSpec(DataType.string if outputs[name].dtype == "str" else DataType.double, name)
                for name in outputs.columns
            ]
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "winback_model.py"
        script.write_bytes(bundle(hashes(models)).encode())
        logged = mlflow.pyfunc.log_model(
            name=MODEL_NAME,
            python_model=str(script),
            artifacts={"models": str(models)},
            signature=signature,
            input_example=rows,
            pip_requirements=[f"{name}=={version(name)}" for name in PACKAGES],
            registered_model_name=MODEL_NAME,
        )
    return int(logged.registered_model_version)


def _copy_model(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    if not (source / FORMULA_FILE).exists():
        return
    named = {
        FORMULA_FILE,
        DECISION_FILE,
        *json.loads((source / FORMULA_FILE).read_text())["sha256"],
    }
    for name in sorted(named):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def _experiment(client: MlflowClient) -> None:
    if client.get_experiment_by_name(MODEL_NAME) is None:
        client.create_experiment(MODEL_NAME, artifact_location=artifact_root())
    mlflow.set_experiment(MODEL_NAME)


def _origin(as_of: str, dirty: bool) -> dict[str, str]:
    lock = Path("dvc.lock")
    return {
        "winback.as_of": as_of,
        "winback.version": version("winback"),
        "winback.git": _git("rev-parse", "HEAD").strip() + ("-dirty" if dirty else ""),
        "winback.dvc_lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "",
        "winback.dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
    }


def _changed_files() -> list[str]:
    return _git("diff", "--name-only", "HEAD", "--", ".", ":!dvc.lock").split()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and value == value

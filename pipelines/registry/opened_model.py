"""Opening a model from the registry or a folder; hashes are checked before anything is parsed.

No code of a registered model is executed here: its files are data, and `models.formula.answers` of
this package, whose text the model carries for others, answers with them.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from mlflow.tracking import MlflowClient

from ...models.decision.decision import DECISION_FILE
from ...models.formula.answers import Answers, answer, input_columns, load_answers
from ...models.formula.formula import FORMULA_FILE, RETENTION
from ..job.exit_codes import ModelRefused
from ..storage.atomic import file_hash
from ..storage.mlflow_home import tracking_uri
from ..storage.trained_models import model_files
from .signing import SIGNATURE, check_signature

CONTENT, AS_OF = "winback.content", "winback.as_of"
FILES = "winback.files"
GATE = "winback.gate."  # tag of a version: what a gate of its promotion found
REFERENCE, EVIDENCE = "reference.parquet", "evidence.json"
ADDED_BY_MLFLOW = ("registered_model_meta",)  # a file that it adds to a downloaded model
PARTS = ("churn", "winback", "decision")
MODELS = Path("artifacts/models")  # in the folder that MLflow keeps


@dataclass(frozen=True)
class Opened:
    """A model ready to answer.

    Attributes
    ----------
    answers
        What `models.formula.answers.answer` takes.
    version
        What the rows that it scores say: NAME/VERSION, or a hash for a folder.
    content
        SHA-256 over the formulas and the decision, which hold the hashes of the boosters.
    reference
        Features of the customers for whom it was registered (see `register.marginals`), or None.
    as_of
        The moment it was trained for; empty if unknown.
    evidence
        Per part, what its training left behind to grade it by: `unseen` (see
        `models.evaluation.unseen`) and `aucs`, those of the model and its baselines on the rows
        held out then.
    """

    answers: Answers
    version: str
    content: str
    reference: pd.DataFrame | None = None
    as_of: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


def registry() -> MlflowClient:
    """The client of the registry in use."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in ("mlflow", "alembic"):  # what they do is said by the steps of the job
            logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(tracking_uri())
    return MlflowClient()


def open_model(model: str, *, signed_by: Ed25519PublicKey | None = None) -> Opened:
    """A model by registry URI (models:/NAME@ALIAS or models:/NAME/VERSION) or by folder.

    A folder holds `churn/` and `winback/` as the training stages write them, and `decision/` as
    stage recommend does. Files are read once: the bytes that are hashed are those that are parsed.
    With `signed_by` a model is refused that was not signed with the private key of that one.

    Raises
    ------
    ModelRefused
        If there is no such model, a file of it is missing, truncated or changed, or it is not
        signed as asked for.
    """
    try:
        if model.startswith("models:/"):
            return _registered(model, signed_by)
        if signed_by is not None:
            raise ValueError("a folder is not signed; models of a registry may be")
        return _of_folder(Path(model))
    except Exception as error:  # a forged file may raise any error
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelRefused(f"{model}: refused; {why}") from error


def content_hash(*parts: dict[str, bytes]) -> str:
    """SHA-256 over the formula and the decision of each part."""
    digest = hashlib.sha256()
    for files in parts:
        for name in (FORMULA_FILE, DECISION_FILE):
            digest.update(files.get(name, b"-"))
        digest.update(files.get(f"{RETENTION}{FORMULA_FILE}", b""))
    return digest.hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by its path in it."""
    return {
        file.relative_to(folder).as_posix(): file_hash(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ADDED_BY_MLFLOW
    }


def listing(files: Mapping[str, str]) -> bytes:
    """Paths and hashes as the one text that is hashed and signed."""
    return json.dumps(files, sort_keys=True).encode()


def populations(customers: pd.DataFrame) -> pd.Series:
    """The population of each row; one for all where there is no such column."""
    if "population" not in customers.columns:
        return pd.Series("all", index=customers.index)
    return customers["population"].astype("str").fillna("unknown")


def download_model(uri: str, folder: Path) -> Path:
    """The folder with everything that MLflow keeps of a model."""
    folder.mkdir(exist_ok=True)
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def _of_folder(folder: Path) -> Opened:
    if not folder.is_dir():
        raise ValueError("there is no such folder, and a registry URI begins with models:/")
    texts = [model_files(folder / part) for part in PARTS]
    return _opened(texts)


def _registered(model: str, signed_by: Ed25519PublicKey | None) -> Opened:
    client = registry()
    name, at, alias = model.removeprefix("models:/").partition("@")
    if at:
        version = client.get_model_version_by_alias(name, alias)
    else:
        name, _, number = name.partition("/")
        if not number:
            raise ValueError("which version is missing; write models:/NAME@ALIAS or /NAME/VERSION")
        version = client.get_model_version(name, number)
    with tempfile.TemporaryDirectory() as parent:
        folder = download_model(f"models:/{version.name}/{version.version}", Path(parent))
        contents = _read_files(folder)
    found = listing({name: hashlib.sha256(body).hexdigest() for name, body in contents.items()})
    if hashlib.sha256(found).hexdigest() != version.tags.get(FILES):
        raise ValueError(f"its files are not those of version {version.version} at registration")
    as_of = version.tags.get(AS_OF, "")
    if signed_by is not None:
        check_signature(signed_by, version.tags.get(SIGNATURE, ""), found, as_of)
    texts = [
        {
            Path(name).relative_to(part).as_posix(): body
            for name, body in contents.items()
            if Path(name).is_relative_to(part)
        }
        for part in (MODELS / name for name in PARTS)
    ]
    sample = contents[(MODELS / REFERENCE).as_posix()]
    evidence = json.loads(contents[(MODELS / EVIDENCE).as_posix()])
    opened = _opened(texts, version=f"{version.name}/{version.version}")
    return replace(
        opened,
        reference=pd.read_parquet(io.BytesIO(sample)),
        as_of=as_of,
        evidence=evidence,
    )


def _read_files(folder: Path) -> dict[str, bytes]:
    """Each file below a folder by its path in it; of the same files as `hashes`."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ADDED_BY_MLFLOW
    }


def _opened(texts: list[dict[str, bytes]], *, version: str = "") -> Opened:
    answers = load_answers(*texts)
    if not answers.formulas:
        raise ValueError("it holds no model")
    empty_row = pd.DataFrame({name: [None] for name in input_columns(answers)})
    answer(answers, empty_row)  # a model that cannot answer is refused before a customer is read
    content = content_hash(*texts)
    return Opened(answers, version or content[:12], content)

"""Opening the trained models and the decision from the folders of their stages."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...models.decision.decision import DECISION_FILE, Decision, decision_from_json
from ...models.formula.answers import Answers, load_answers
from ...models.formula.formula import FORMULA_FILE, RETENTION
from .atomic import MANIFEST, StoreError, read_verified

MODEL_FILES = {FORMULA_FILE, DECISION_FILE, f"{RETENTION}{FORMULA_FILE}"}


def read_answers(churn: Path, winback: Path, decision: Path | None = None) -> Answers:
    """The models of both training stages and the decision, if its folder is given.

    Each file's hash is checked before it is parsed.

    Raises
    ------
    StoreError
        If a folder is damaged, or its files are no models.
    """
    folders = [churn, winback, *([decision] if decision else [])]
    files = [model_files(folder) for folder in folders]
    try:
        return load_answers(*files)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        names = ", ".join(str(folder) for folder in folders)
        raise StoreError(
            f"{names}: a file is no model of this version ({error!r}); run the stages again"
        ) from error


def read_decision(folder: Path) -> Decision:
    """The decision of stage recommend; its hash is checked before it is parsed.

    Raises
    ------
    StoreError
        If the folder is damaged or holds none.
    """
    files = read_verified(folder)
    if DECISION_FILE not in files:
        raise StoreError(f"{folder / DECISION_FILE}: not found; run the stage recommend again")
    return decision_from_json(files[DECISION_FILE])


def model_files(folder: Path) -> dict[str, bytes]:
    """Files of a model or decision, compared with the manifest; empty where there is none."""
    files = read_verified(folder)
    return files if MODEL_FILES & set(files) else {}


def models_version(*models: Path) -> str:
    """A short hash of the models in some folders, as their manifests name them."""
    digest = hashlib.sha256()
    for folder in models:
        digest.update((folder / MANIFEST).read_bytes())
    return digest.hexdigest()[:12]

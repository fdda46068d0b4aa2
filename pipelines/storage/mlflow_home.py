"""Where MLflow keeps runs and models: the server that is named, else a file of this repository."""

from __future__ import annotations

import os
from pathlib import Path

MODEL_NAME = "winback"


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else SQLite under the repository.

    A path relative to the working directory would be lost with the temporary copy in which
    `dvc exp run --temp` works; DVC_ROOT names that of the repository.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or _default_uri()


def artifact_root() -> str | None:
    """Where the default store keeps files; None leaves it to the server that is named.

    Left to itself the default store would write below the working directory.
    """
    # MLflow writes the uri that it is given into the environment, so that tells nothing.
    return (root() / "mlartifacts").as_uri() if tracking_uri() == _default_uri() else None


def _default_uri() -> str:
    return f"sqlite:///{root() / 'mlflow.db'}"


def root() -> Path:
    """The repository: DVC_ROOT inside a DVC run, else the nearest folder above with a .dvc."""
    if named := os.environ.get("DVC_ROOT"):
        return Path(named)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)

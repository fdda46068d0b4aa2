"""`winback score`: what a registered model answers for every customer of a parquet file."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import pandas as pd

from .progress import step
from .store import replace_file
from .tracking import tracking_uri

KEYS = ("customer_id", "as_of", "population")


def score(*, features: Path, model: str, out: Path) -> int:
    """Write the answers beside the keys of each customer; rows written.

    Parameters
    ----------
    features
        Parquet with one row per customer: customer_id and the columns of the model, in any order.
    model
        Registry URI, such as models:/winback@champion.
    out
        Parquet; readers see the old or the new file, never half of one.

    Raises
    ------
    ValueError
        If there is no such model, or the file lacks customer_id or columns of the model.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(tracking_uri())
    rows = pd.read_parquet(features)
    if "customer_id" not in rows.columns:
        raise ValueError(f"{features}: column customer_id is missing; every row needs its customer")
    with step(f"scoring {len(rows):,} customers with {model}"):
        loaded = mlflow.pyfunc.load_model(model)
        answers = loaded.unwrap_python_model().predict(None, rows)
        keys = rows[[name for name in KEYS if name in rows.columns]]
        table = pd.concat([keys, answers], axis=1).assign(model_version=_version(model))
        replace_file(out, lambda handle: table.to_parquet(handle, index=False))
    return len(table)


def _version(model: str) -> str:
    name, _, alias = model.removeprefix("models:/").partition("@")
    if not alias:
        return model
    return f"{name}/{mlflow.MlflowClient().get_model_version_by_alias(name, alias).version}"

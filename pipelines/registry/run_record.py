"""What MLflow keeps of a finished run: its name, settings, grades, data and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

from ..settings.params import PARAMS_FILE
from ..settings.sources import Source
from ..settings.yaml_dataclasses import read_yaml
from ..storage.atomic import MANIFEST
from ..storage.mlflow_home import MODEL_NAME, artifact_root
from ..storage.without_customers import page_without
from ..tables.portable_names import portable_name
from .pictures import pictures

CARD = "model_card.md"
LEARNED_FROM = ("churn.parquet", "winback.parquet", "retention.parquet")


@dataclass(frozen=True)
class Finished:
    """Where the stages left what is registered; metrics, policies and report are files."""

    features: Path
    churn: Path
    winback: Path
    decision: Path
    metrics: Path
    policies: Path
    plots: Path
    report: Path


def run_name(source: Source, tags: Mapping[str, str]) -> str:
    """Source, day of the data and revision, such as `kumar 2015-01-01 0a1b2c3`."""
    revision = tags["winback.git"]
    short = revision[:7] + ("-dirty" if revision.endswith("-dirty") else "")
    parts = (source.name, tags["winback.as_of"][:10], tags["winback.dvc_experiment"] or short)
    return " ".join(filter(None, parts))


def use_experiment(client: MlflowClient) -> None:
    """Log into the experiment of this package, which keeps its files where the project says."""
    if client.get_experiment_by_name(MODEL_NAME) is None:
        client.create_experiment(MODEL_NAME, artifact_location=artifact_root())
    mlflow.set_experiment(MODEL_NAME)


def log_run(source: Source, run: Finished, features: Mapping[str, Any], card: str) -> None:
    """What `dvc exp show` knows of the run, its data, the report without customers, its pictures.

    Parameters
    ----------
    features
        The manifest of the folder of features, verified.
    card
        The model card, markdown.
    """
    mlflow.log_params(dict(_flat(read_yaml(PARAMS_FILE))))
    metrics = _flat(json.loads(run.metrics.read_text()))
    mlflow.log_metrics({portable_name(name): value for name, value in metrics if _number(value)})
    mlflow.log_text(card, CARD)
    mlflow.log_text(page_without(run.report.read_text(), None)[0], run.report.name)
    mlflow.log_artifact(str(run.policies))
    mlflow.log_artifacts(str(run.plots), "plots")
    mlflow.log_artifact(str(run.features / MANIFEST), "features")
    _log_inputs(source, features)
    for name, figure in pictures(run.plots):
        mlflow.log_figure(figure, f"plots/{name}.png")


def _log_inputs(source: Source, features: Mapping[str, Any]) -> None:
    """The training tables as inputs: name, hash and rows, none of their customers."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    for name in LEARNED_FROM:
        if name in features["files"]:
            facts = features["files"][name]
            made_by = {"source": source.name, "rows": str(facts["rows"]), "sha256": facts["sha256"]}
            table = MetaDataset(  # type: ignore[abstract]
                CodeDatasetSource(tags=made_by),
                name=f"{source.name} {name.removesuffix('.parquet')}",
                digest=facts["sha256"][:16],
            )
            mlflow.log_input(table, context="training")


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and value == value

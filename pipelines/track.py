"""`winback track`: the finished run as a run of MLflow, without registering its models.

It reads finished files, so it can be called after any run or `dvc exp run`; the same run is logged
once.
"""

from __future__ import annotations

import hashlib

import mlflow

from .registry.opened_model import registry
from .registry.provenance import origin, uncommitted
from .registry.run_record import Finished, log_run, run_name, use_experiment
from .settings.params import PARAMS_FILE
from .settings.sources import Source
from .storage.atomic import verify

TRACKED = "winback.tracked"  # tag: a digest of the settings, the grades and the data


def track(source: Source, run: Finished) -> str:
    """Log the finished run; the id of the MLflow run, an old one where it was logged before."""
    features = verify(run.features)
    tags = origin(features, dirty=bool(uncommitted(source.path)))
    parts = (PARAMS_FILE.read_bytes(), run.metrics.read_bytes(), tags["winback.data"].encode())
    tags[TRACKED] = hashlib.sha256(b"\0".join(parts)).hexdigest()
    client = registry()
    use_experiment(client)
    known = mlflow.search_runs(
        filter_string=f"tags.`{TRACKED}` = '{tags[TRACKED]}' and attributes.status = 'FINISHED'",
        output_format="list",
    )
    if known:
        return str(known[0].info.run_id)
    with mlflow.start_run(run_name=run_name(source, tags), tags=tags) as started:
        log_run(source, run, features, f"# {source.title}\n\nNot registered.\n")
    return str(started.info.run_id)

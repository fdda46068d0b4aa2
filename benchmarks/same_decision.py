"""Whether everybody is told the same: the list, batch scoring, the registry and HTTP.

    python benchmarks/same_decision.py [FOLDER]

FOLDER holds a finished `winback run` (default: here). Every customer of its list is answered four
ways, and rows that differ from the list are counted, column by column of the decision.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
from results import show

from winback.models.decision.recommend import DECISION_COLUMNS

PORT, ROWS_PER_REQUEST, STARTS_WITHIN = 5091, 2_000, 180
PROGRAMS = Path(sys.executable).parent


def differing(told: pd.DataFrame, listed: pd.DataFrame) -> dict[str, int]:
    """Rows whose answer is not that of the list, by column; numbers may differ by 1e-9."""
    counts = {}
    for name, kind in DECISION_COLUMNS.items():
        ours, theirs = told[name].to_numpy(object), listed[name].to_numpy(object)
        if kind is float:
            equal = np.isclose(ours.astype(float), theirs.astype(float), 0, 1e-9, equal_nan=True)
        else:
            equal = (ours == theirs) | (pd.isna(ours) & pd.isna(theirs))
        counts[name] = int((~equal.astype(bool)).sum())
    return counts


def over_http(customers: pd.DataFrame, uri: str, folder: Path) -> pd.DataFrame:
    """Answers of MLflow's server, some customers a request."""
    command = (
        *(PROGRAMS / "mlflow", "models", "serve", "--model-uri", uri),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(PORT)),
    )
    base = f"http://127.0.0.1:{PORT}"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(f"{base}/ping")
        answers = []
        for start in range(0, len(customers), ROWS_PER_REQUEST):
            rows = customers.iloc[start : start + ROWS_PER_REQUEST]
            body = rows.to_json(orient="split", index=False, double_precision=15)
            request = urllib.request.Request(
                f"{base}/invocations",
                f'{{"dataframe_split": {body}}}'.encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=120) as answered:
                answers += json.loads(answered.read())["predictions"]
    finally:
        os.killpg(server.pid, 15)
        server.wait()
    return pd.DataFrame(answers)


def _wait(address: str) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def main() -> None:
    """Answer four ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    os.chdir(parser.parse_args().folder)
    os.environ["PATH"] = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"  # MLflow looks for uvicorn
    if not Path("data/recommendations.parquet").exists():
        parser.error("no finished run in this folder; make run first, or name another")
    listed = pd.read_parquet("data/recommendations.parquet").sort_values("customer_id")
    rows = pd.read_parquet("data/features/current.parquet")
    rows = rows[rows["customer_id"].isin(listed["customer_id"])]
    rows = rows.sort_values("customer_id", ignore_index=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{scratch}/mlflow.db"
        winback = str(PROGRAMS / "winback")
        subprocess.run([winback, "register", "--allow-dirty"], check=True, capture_output=True)
        import mlflow  # after the registry was named

        uri = "models:/winback@challenger"
        asked = scratch / "customers.parquet"
        rows.to_parquet(asked, index=False)
        scored = scratch / "scores"
        given = ("--features", asked, "--no-suppressions", "--model", uri, "--out", scored)
        subprocess.run([winback, "score", *given], check=True, capture_output=True)
        answers = {
            "score": pd.read_parquet(scored).sort_values("customer_id"),
            "pyfunc": mlflow.pyfunc.load_model(uri).predict(rows),
            "HTTP": over_http(rows.drop(columns="as_of"), uri, scratch),
        }
        counts = {way: differing(told, listed) for way, told in answers.items()}
    title = f"{len(listed):,} customers; rows that differ from the list"
    show(title, pd.DataFrame(counts).T.rename_axis("way"))


if __name__ == "__main__":
    main()

"""What MLflow adds to a prediction: the registered model through pyfunc beside the model alone.

The models of the finished run are registered in a registry of its own, in a temporary folder, and
asked about every row of `data/features/current.parquet`: by this package, through MLflow with the
signature that `winback register` gives, and through MLflow with a signature that takes inputs of
any type, which MLflow checks value by value. CPU seconds of the process, the least of three
predictions after a warm-up. All answers have to be equal. Run `winback run` first; it takes about a
minute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature, set_signature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from results import show

from winback.models.formula.answers import answer, input_columns
from winback.pipelines.storage.trained_models import read_answers

CURRENT, MODELS = Path("data/features/current.parquet"), Path("artifacts")
REPEATS = 3


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")  # of mlflow
    customers = pd.read_parquet(CURRENT)
    answers = read_answers(MODELS / "churn", MODELS / "winback", MODELS / "decision")
    columns = {**input_columns(answers), "population": False}
    with tempfile.TemporaryDirectory() as place:
        registered = register(Path(place))
        any_type = shutil.copytree(registered, Path(place) / "any_type")
        inputs = [
            ColSpec(AnyType() if number else DataType.string, name, required=False)
            for name, number in columns.items()
        ]
        inputs.append(ColSpec(AnyType(), "customer_id", required=False))
        outputs = mlflow.models.get_model_info(str(registered)).signature.outputs
        set_signature(str(any_type), ModelSignature(inputs=Schema(inputs), outputs=outputs))
        asked = {
            "model alone": lambda rows: answer(answers, rows),
            "pyfunc, inputs of any type": mlflow.pyfunc.load_model(str(any_type)).predict,
            "pyfunc as registered": mlflow.pyfunc.load_model(str(registered)).predict,
        }
        compare(asked, customers)


def compare(
    asked: dict[str, Callable[[pd.DataFrame], pd.DataFrame]], customers: pd.DataFrame
) -> None:
    """One line per way to ask, the first of which the others are compared with."""
    rows, expected = [], None
    for name, predict in asked.items():
        found = predict(customers)
        expected = found if expected is None else expected
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        rows.append({"asked": name, "CPU s": min(_cpu(predict, customers) for _ in range(REPEATS))})
    table = pd.DataFrame(rows).set_index("asked")
    table["of the model alone"] = table["CPU s"] / table["CPU s"].iloc[0]
    show(f"Predicting {len(customers):,} customers", table, decimals=2)


def register(folder: Path) -> Path:
    """Register the finished run in a folder; where MLflow keeps the model."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    mlflow.set_tracking_uri(environment["MLFLOW_TRACKING_URI"])
    mlflow.create_experiment("winback", (folder / "mlartifacts").as_uri())
    command = [str(Path(sys.executable).parent / "winback"), "register", "--allow-dirty"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    (logged,) = (folder / "mlartifacts").rglob("MLmodel")
    return logged.parent


def _cpu(predict: Callable[[pd.DataFrame], pd.DataFrame], customers: pd.DataFrame) -> float:
    begun = time.process_time()
    predict(customers)
    return time.process_time() - begun


if __name__ == "__main__":
    main()

"""What a consumer of the registry loads: one flat row of answers per customer.

MLflow keeps this file as code, with the texts of the modules that it needs put before it, so that
the model loads in an environment without winback.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from ...models.formula.answers import Answers, answer, input_columns, load_answers

# SHA-256 of each file of the model; `bundle` writes it here.
FILES: dict[str, str] = {}


class WinbackModel(PythonModel):
    """Churn, return, uplift and profit per offer from native boosters and JSON."""

    answers: Answers

    def load_context(self, context: Any) -> None:
        """Read the models; each file's SHA-256 is checked before any of them is parsed."""
        folder = Path(context.artifacts["models"])
        bodies = {name: _checked(folder / name, expected) for name, expected in FILES.items()}
        parts: dict[str, dict[str, bytes]] = {"churn": {}, "winback": {}, "decision": {}}
        for name, body in bodies.items():
            part, _, file = name.partition("/")
            if part in parts:
                parts[part][file] = body
        self.answers = load_answers(parts["churn"], parts["winback"], parts["decision"])

    def predict(
        self,
        context: Any,  # noqa: ARG002  MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Answers for each row of features; missing numbers and unknown categories are allowed.

        MLflow checks nothing of the input, since the signature is of the answers alone.

        Raises
        ------
        ValueError
            If a column is missing or stands twice, text stands where a number belongs, or no text
            where text does.
        """
        customers = pd.DataFrame(model_input)  # also of what JSON holds
        twice = customers.columns[customers.columns.duplicated()]
        if len(twice):
            raise ValueError(f"features: column '{twice[0]}' stands twice; keep one of them")
        _check_texts(self.answers, customers)
        return answer(self.answers, customers)


def _check_texts(answers: Answers, customers: pd.DataFrame) -> None:
    """Refuse numbers, moments and pandas categories in columns of text."""
    texts = [name for name, number in input_columns(answers).items() if not number]
    for name in (*texts, "population"):
        if name not in customers.columns:
            continue
        found = customers[name].dtype
        if found.kind != "O" or isinstance(found, pd.CategoricalDtype):
            raise ValueError(
                f"features: column '{name}' must be text, found {found}; cast it before scoring"
            )


def _checked(file: Path, expected: str) -> bytes:
    body = file.read_bytes() if file.is_file() else b""
    digest = hashlib.sha256(body).hexdigest()
    if digest != expected:
        raise ValueError(
            f"model file '{file.parent.name}/{file.name}' has SHA-256 {digest[:12]}, expected "
            f"{expected[:12]}; it is missing, truncated or changed: restore it or register it again"
        )
    return body


mlflow.models.set_model(WinbackModel())

"""What a consumer of the registry loads: one flat row of answers per customer.

MLflow keeps this file as code, with the texts of `models.formula` and `models.inference` put
before it, so that the model loads in an environment that has never heard of winback.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from ..models.inference import Answers, answer, load_answers


class WinbackModel(PythonModel):
    """Churn, return, uplift and profit per offer from native boosters and JSON."""

    answers: Answers

    def load_context(self, context: Any) -> None:
        """Read the models; each file's SHA-256 is checked before it is parsed."""
        folder = Path(context.artifacts["models"])
        parts = [
            {file.name: file.read_bytes() for file in sorted((folder / part).glob("*"))}
            for part in ("churn", "winback")
        ]
        self.answers = load_answers(*parts)

    def predict(
        self,
        context: Any,  # noqa: ARG002  MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Answers for each row of features; missing numbers and unknown categories are allowed."""
        return answer(self.answers, model_input)


mlflow.models.set_model(WinbackModel())

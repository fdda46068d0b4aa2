"""The readout of the experiment in winback.parquet, and its tables in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ...models.experiment.readout import Readout, readout
from ..settings.experiments import Experiment
from .comparable_rows import OF_CAMPAIGNS, of_experiment
from .safe_csv import save_table

OPTIONAL = ("campaign", "cost", "propensity", "returned_at", "value")
TAILORED = "tailored"  # the arm in which the offer follows the stated reason
EXPLORED_AT_LEAST = 0.001  # propensity of an offer in a campaign that is compared with others
TABLES = ("balance", "overlap", "levels", "effects", "offers", "pairs", "power")


def experiment_readout(
    rows: pd.DataFrame,
    experiment: Experiment,
    *,
    features: list[str],
    smallest_p: float,
    seed: int,
    allow_mismatch: bool = False,
) -> Readout:
    """The readout of rows of winback.parquet, of the experiment or of campaigns.

    Raises
    ------
    ExperimentError
        If the experiment is broken, and why.
    """
    frame, contact = sent_rows(rows, experiment, features)
    campaigns = not of_experiment(rows).any()
    if campaigns:
        contact.pop(TAILORED, None)
    return readout(
        frame,
        control=experiment.control,
        rng=np.random.default_rng(seed),
        contact_cost=contact,
        expected=[experiment.control, *contact],
        planned=None if campaigns else experiment.shares or None,
        lowest_propensity=EXPLORED_AT_LEAST if campaigns else 0.01,
        covariates=rows[features],
        alpha=smallest_p,
        allow_mismatch=allow_mismatch,
    )


def sent_rows(
    rows: pd.DataFrame, experiment: Experiment, features: list[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Rows without features and unknown columns, and the cost of a contact by offer."""
    frame = rows.drop(columns=[*features, *OF_CAMPAIGNS])
    unknown = [name for name in OPTIONAL if frame[name].isna().all()]
    frame = frame.drop(columns=unknown)
    contact = {name: offer.contact_cost for name, offer in experiment.offers.items()}
    if experiment.tailored:
        contact[TAILORED] = max(contact.values()) + experiment.tailoring_cost
    return frame, contact


def write_readout(results: Readout, folder: Path) -> None:
    """Its tables as CSV and the rest as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        save_table(getattr(results, name), folder / f"{name}.csv")
    facts = {
        "control": results.control,
        "rows": results.rows,
        "notes": list(results.notes),
        "sample_ratio_p_value": results.sample_ratio.p_value,
        "balance_p_value": None if np.isnan(results.balance_p_value) else results.balance_p_value,
    }
    (folder / "readout.json").write_text(json.dumps(facts, indent=1, sort_keys=True))

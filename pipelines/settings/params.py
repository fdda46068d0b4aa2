"""params.yaml as frozen dataclasses: one class per section, one section per stage.

Nothing heavy is imported here, so that a typo in any section is found before any work begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .yaml_dataclasses import from_mapping, read_yaml

PARAMS_FILE = Path("params.yaml")


@dataclass(frozen=True)
class Machine:
    """What the run may use; it changes how fast, never what comes out."""

    threads: int
    memory_limit: str


@dataclass(frozen=True)
class Ingest:
    """Where the raw tables come from."""

    source: str
    seed: int


@dataclass(frozen=True)
class Featurize:
    """Windows of the features, in days, and the as-of dates of the churn training set."""

    windows_days: tuple[int, ...]
    snapshots: int
    snapshot_every_days: int


@dataclass(frozen=True)
class TrainChurn:
    """The churn model: LightGBM settings and the shares of its slices in time."""

    learning_rate: float
    num_leaves: int
    rounds: int
    least_rows_in_leaf: int
    largest_sample: int
    calibrate_share: float
    test_share: float
    seed: int


@dataclass(frozen=True)
class TrainWinback:
    """The win-back models: held-out share, cross-fitting, and the alarm of a broken experiment."""

    test_share: float
    folds: int
    smallest_srm_p: float
    seed: int


@dataclass(frozen=True)
class Evaluate:
    """Intervals of the evaluation on held-out rows."""

    level: float
    bootstraps: int
    seed: int


@dataclass(frozen=True)
class Recommend:
    """Who gets which offer: the objective, its limits and the rules that exclude."""

    objective: Literal["profit", "roi", "returns"] | None
    budget: float | None
    capacity: dict[str, int]
    holdout_share: float
    cooldown_days: float
    lost_limit: int
    hopeless_reasons: tuple[str, ...]
    least_experiment_rows: int
    smallest_profit: float
    new_days: float
    high_risk: float
    lapse_days: tuple[float, ...]
    lapse_discount_percent: tuple[float, ...]
    explained: int
    seed: int


@dataclass(frozen=True)
class Promote:
    """What a challenger is allowed, and how much it has to be graded on."""

    oldest_days: float
    drift_limit: float
    least_rows: int
    seed: int


@dataclass(frozen=True)
class Report:
    """Size of the tables of customers in the report, and which drift of a feature it points out."""

    rows: int
    drift_warn: float
    drift_alarm: float


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    machine: Machine
    ingest: Ingest
    featurize: Featurize
    train_churn: TrainChurn
    train_winback: TrainWinback
    evaluate: Evaluate
    recommend: Recommend
    report: Report
    promote: Promote


def read_params(path: Path = PARAMS_FILE) -> Params:
    """params.yaml, checked.

    Raises
    ------
    ValueError
        If a section or key is unknown or missing, or a value has another type; the message names
        the section, the key and what is allowed.
    """
    return from_mapping(Params, read_yaml(path), path.name)

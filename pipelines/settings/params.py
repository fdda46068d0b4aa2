"""params.yaml as frozen dataclasses: one class per section, one section per stage.

Nothing heavy is imported here, so that a typo in any section is found before any work begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .yaml_dataclasses import from_mapping, read_yaml

PARAMS_FILE = Path("params.yaml")

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
ShareOrNone = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Machine:
    """What the run may use; it changes how fast, never what comes out."""

    threads: Count
    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?([KMGT]i?B|%)$")]


@dataclass(frozen=True)
class Ingest:
    """Where the raw tables come from."""

    source: str
    seed: Seed


@dataclass(frozen=True)
class Featurize:
    """Windows of the features, in days, and the as-of dates of the churn training set."""

    windows_days: Annotated[tuple[Count, ...], Field(min_length=1)]
    snapshots: Count
    snapshot_every_days: Count


@dataclass(frozen=True)
class TrainChurn:
    """The churn model: LightGBM settings and the shares of its slices in time.

    In tables without dates of at most `tuned_rows` rows, `tuning_fits` settings are tried.
    """

    learning_rate: Positive
    num_leaves: Annotated[int, Field(ge=2)]
    rounds: Count
    least_rows_in_leaf: Count
    largest_sample: Count
    tuned_rows: Annotated[int, Field(ge=0)]
    tuning_fits: Annotated[int, Field(ge=0)]
    calibrate_share: Share
    test_share: Share
    seed: Seed


@dataclass(frozen=True)
class TrainWinback:
    """The win-back models: held-out share, cross-fitting, and the alarm of a broken experiment."""

    test_share: Share
    folds: Annotated[int, Field(ge=2)]
    smallest_srm_p: ShareOrNone
    seed: Seed


@dataclass(frozen=True)
class Evaluate:
    """Intervals of the evaluation on held-out rows."""

    level: Share
    bootstraps: Annotated[int, Field(ge=2)]
    seed: Seed


@dataclass(frozen=True)
class Recommend:
    """Who gets which offer: the objective, its limits and the rules that exclude."""

    objective: Literal["profit", "roi", "returns"] | None
    budget: NotNegative | None
    capacity: dict[str, Annotated[int, Field(ge=0)]]
    holdout_share: ShareOrNone
    exploration_share: ShareOrNone
    cooldown_days: NotNegative
    lost_limit: Count
    hopeless_reasons: tuple[str, ...]
    least_experiment_rows: Annotated[int, Field(ge=0)]
    smallest_profit: float
    new_days: NotNegative
    high_risk: Probability
    lapse_days: tuple[float, ...]
    lapse_discount_percent: tuple[float, ...]
    explained: Annotated[int, Field(ge=0)]
    seed: Seed


@dataclass(frozen=True)
class Promote:
    """What a challenger is allowed, and how much it has to be graded on."""

    kept_apart: Share
    oldest_days: Positive
    drift_limit: Positive
    value_margin: Positive
    auc_margin: Positive
    least_rows: Count


@dataclass(frozen=True)
class Report:
    """Size of the tables of customers in the report."""

    rows: Annotated[int, Field(ge=0)]


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
        If a section or key is unknown or missing, or a value has another type or is out of range;
        the message lists every mistake with its section, its key and what is allowed.
    """
    return from_mapping(Params, read_yaml(path), f"{path.name}:")

"""The churn model: fitted on snapshots, calibrated, and graded on later snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..evaluation.probability import (
    METRICS,
    RetentionProfit,
    best_cutoff,
    bootstrap_grades,
    grade_slices,
)
from ..evaluation.slices import slice_levels
from ..evaluation.time_split import DAY_SECONDS, PARTS, day_numbers, split_by_time
from ..evaluation.twins import count_twins, twin_keys
from ..formula.calibration import (
    platt_expression,
    platt_map,
    reliability_table,
)
from ..formula.explain import importance
from ..formula.formula import Expression, Formula, evaluate
from ..groups import group_labels
from ..regression.blend import LOG_ODDS, PLAIN, Boosting, choose, fit_blend
from .baselines import alert_rule, rfm_logistic

OUTPUT = "churn_probability"
REFIT_ROWS = 60_000  # up to here the calibration rows are worth learning from as well
RFM_COLUMNS = ("days_since_last_order", "orders_360d", "spend_360d")
ALERT_COLUMNS = ("days_since_last_order", "mean_days_between_orders")


@dataclass(frozen=True)
class ChurnModel:
    """A fitted churn model and its grades.

    Attributes
    ----------
    formula
        One output, `churn_probability`.
    metrics
        model, slice, level, rows, metric, value, lo, hi, gain, gain_lo, gain_hi on the test part;
        gain is that model minus the churn model on the same rows. Intervals (of whole customers
        drawn again) stand at slice "all" only.
    reliability
        Predicted against observed shares on the test part.
    cutoffs
        model, threshold, share, profit: whom it pays most to contact on the test part, as a
        probability from which on and as a share of all, and the money per customer that earns.
    parts
        part, first, last, rows, customers, churn_rate.
    importance
        feature, importance (mean absolute share in the probability), direction.
    split, notes
        How the parts were made, and what was left out for want of columns.
    """

    formula: Formula
    metrics: pd.DataFrame
    reliability: pd.DataFrame
    cutoffs: pd.DataFrame
    parts: pd.DataFrame
    importance: pd.DataFrame
    split: str
    notes: tuple[str, ...]

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Churn probability (rows,), columns taken by name."""
        return evaluate(self.formula, frame)[OUTPUT].to_numpy()


def fit_churn(
    snapshots: pd.DataFrame,
    *,
    features: Sequence[str],
    gap_days: float | None,
    boosting: Boosting = PLAIN,
    calibrate_share: float = 0.15,
    test_share: float = 0.2,
    slices: Sequence[str] | None = None,
    repeats: int = 50,
    seed: int,
    threads: int = 1,
) -> ChurnModel:
    """Fit, calibrate and grade a churn model.

    Parameters
    ----------
    snapshots
        One row per customer and as-of date: customer_id, as_of, churned (0/1) and the features, in
        any order of rows; group_id where customers share their fate.
    features
        Columns to learn from.
    gap_days
        How far the label looks ahead, in days (lead and horizon): parts that follow each other
        are at least this far apart. None where labels have no dates, see
        `time_split.split_by_time`.
    boosting
        Settings of the boosting; the calibration part may choose fewer rounds.
    calibrate_share, test_share
        See `time_split.split_by_time`.
    slices
        Columns to grade by, of `snapshots`; None takes those of `slices.SLICE_COLUMNS`
        that are there.
    repeats
        Bootstrap draws behind the intervals.

    Raises
    ------
    ValueError
        If columns are missing, the label is not 0/1, a key is repeated, or a part of the split
        lacks leavers or stayers.
    """
    rows = ordered_snapshots(snapshots, [*features, *(slices or ())])
    split = split_by_time(
        rows,
        gap_days=gap_days,
        calibrate_share=calibrate_share,
        test_share=test_share,
        seed=seed,
        features=features,
    )
    outcome = rows["churned"].to_numpy(dtype=np.float64)
    check_parts(split.part, outcome, PARTS, dated=gap_days is not None)
    train, calibrate, test = (split.part == part for part in PARTS)
    formula = fit_calibrated(
        rows[list(features)],
        outcome,
        train,
        calibrate,
        boosting,
        seed=seed,
        threads=threads,
    )
    test_rows = rows[test]
    probabilities = {"churn": evaluate(formula, test_rows, threads=threads)[OUTPUT].to_numpy()}
    baselines, notes = _baselines(rows[train], outcome[train], test_rows)
    probabilities |= baselines
    metrics = _metrics(
        outcome[test],
        probabilities,
        group_labels(test_rows).to_numpy(),
        slice_levels(rows[train], test_rows, slices),
        repeats,
        seed,
    )
    drivers, _ = importance(formula, test_rows, outputs=[OUTPUT], families={}, threads=threads)
    return ChurnModel(
        formula=formula,
        metrics=metrics,
        reliability=reliability_table(probabilities["churn"], outcome[test]),
        cutoffs=_cutoffs(outcome[test], probabilities),
        parts=_describe_parts(rows, split.part, outcome),
        importance=drivers.drop(columns="output"),
        split=split.how,
        notes=(*notes, *(_twins(rows, features) if gap_days is None else ())),
    )


def fit_calibrated(
    frame: pd.DataFrame,
    outcome: np.ndarray,
    train: np.ndarray,
    calibrate: np.ndarray,
    boosting: Boosting,
    *,
    seed: int,
    threads: int = 1,
) -> Formula:
    """Fit the blend on the rows `train`; choose its weights and calibrate on the rows `calibrate`.

    With up to `REFIT_ROWS` rows the blend is fitted again on both, under the settings
    and the calibration found.
    """
    blend = fit_blend(frame[train], outcome[train], boosting, seed=seed, threads=threads)
    choice = choose(blend, frame[calibrate], outcome[calibrate])
    formula = blend.formula(choice, OUTPUT)
    log_odds = evaluate(
        Formula(formula.columns, formula.expressions, (LOG_ODDS,), formula.boosters),
        frame[calibrate],
        threads=threads,
    )[LOG_ODDS].to_numpy()
    raw: Expression = ["ref", LOG_ODDS]
    expression = platt_expression(*platt_map(log_odds, outcome[calibrate]), raw)
    if train.sum() + calibrate.sum() <= REFIT_ROWS:
        both = train | calibrate
        blend = fit_blend(frame[both], outcome[both], boosting, seed=seed, threads=threads)
        formula = blend.formula(choice, OUTPUT)
    expressions = {**formula.expressions, OUTPUT: expression}
    return Formula(formula.columns, expressions, (OUTPUT,), formula.boosters)


def ordered_snapshots(snapshots: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Snapshots sorted by their keys, after a check of columns, labels and keys.

    Raises
    ------
    ValueError
        If columns are missing, the label is not 0/1, or a key is repeated.
    """
    needed = ["churned", "customer_id", "as_of", *columns]
    missing = [name for name in needed if name not in snapshots.columns]
    if missing:
        raise ValueError(
            f"snapshots: columns {', '.join(missing)} are missing; build them in featurize or "
            "correct the names"
        )
    if not snapshots["churned"].isin([0, 1]).all():
        raise ValueError(
            "snapshots: label 'churned' must be 0 or 1 in every row; leave out snapshots whose "
            "label has not matured"
        )
    rows = snapshots.sort_values(["customer_id", "as_of"], kind="stable", ignore_index=True)
    repeated = rows.duplicated(["customer_id", "as_of"])
    if repeated.any():
        raise ValueError(
            f"snapshots: {int(repeated.sum())} rows repeat a customer at the same as_of; keep one"
        )
    return rows


def _twins(rows: pd.DataFrame, features: Sequence[str]) -> Iterator[str]:
    twins = count_twins(twin_keys(rows, features))
    if twins:
        yield (
            f"{twins:,} of {len(rows):,} rows have a twin, equal in every feature; twins are kept "
            "in one part, since a copy in training would give the answer away"
        )


def check_parts(
    part: np.ndarray, outcome: np.ndarray, names: Sequence[str], *, dated: bool = True
) -> None:
    """Refuse to fit where one of the named parts of the rows (rows,) lacks leavers or stayers.

    Without dates there is no cure by other dates.

    Raises
    ------
    ValueError
        As it says.
    """
    cure = "take more as-of dates or a longer horizon" if dated else "it needs more rows"
    for name in names:
        held = outcome[part == name]
        if not 0 < held.sum() < len(held):
            raise ValueError(
                f"snapshots: the {name} part has {int(held.sum())} leavers in {len(held)} rows, "
                f"and needs leavers and stayers; {cure}"
            )


def _baselines(
    train: pd.DataFrame, outcome: np.ndarray, test: pd.DataFrame
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Test probabilities by baseline, and notes on those left out as their columns are absent."""
    probabilities, notes = {}, []
    if missing := [name for name in RFM_COLUMNS if name not in train.columns]:
        notes.append(f"baseline rfm_logistic left out: no column {', '.join(missing)}")
    else:
        probabilities["rfm_logistic"] = rfm_logistic(train, outcome, test, RFM_COLUMNS)
    silence, own_gap = ALERT_COLUMNS
    if missing := [name for name in ALERT_COLUMNS if name not in train.columns]:
        notes.append(f"baseline alert_rule left out: no column {', '.join(missing)}")
    else:
        probabilities["alert_rule"] = alert_rule(
            train, outcome, test, silence=silence, own_gap=own_gap
        )
    return probabilities, notes


def _metrics(
    outcome: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    groups: np.ndarray,
    slices: Mapping[str, np.ndarray],
    repeats: int,
    seed: int,
) -> pd.DataFrame:
    whole = bootstrap_grades(outcome, probabilities, cluster=groups, repeats=repeats, seed=seed)
    whole = whole.assign(slice="all", level="all", rows=len(outcome))
    parts = grade_slices(outcome, probabilities, slices).melt(
        id_vars=["model", "slice", "level", "rows"],
        value_vars=["base_rate", *METRICS],
        var_name="metric",
    )
    names = ["model", "slice", "level", "rows", "metric", "value"]
    names += ["lo", "hi", "gain", "gain_lo", "gain_hi"]
    table = pd.concat([whole, parts], ignore_index=True) if len(parts) else whole
    return table.reindex(columns=names).astype({"rows": "int64"})


def _cutoffs(outcome: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"model": name, **vars(best_cutoff(outcome, probability, RetentionProfit()))}
            for name, probability in probabilities.items()
        ]
    )


def _describe_parts(rows: pd.DataFrame, part: np.ndarray, outcome: np.ndarray) -> pd.DataFrame:
    seconds = np.round(day_numbers(rows["as_of"]) * DAY_SECONDS).astype(np.int64)
    days = pd.to_datetime(seconds, unit="s")
    table = pd.DataFrame(
        {"part": part, "as_of": days, "customer": rows["customer_id"], "churned": outcome}
    )
    grouped = table.groupby("part").agg(
        first=("as_of", "min"),
        last=("as_of", "max"),
        rows=("churned", "size"),
        customers=("customer", "nunique"),
        churn_rate=("churned", "mean"),
    )
    order = [name for name in (*PARTS, "gap") if name in grouped.index]
    return grouped.loc[order].reset_index()

"""Baselines that a churn model has to beat: a logistic regression on RFM, and an alert rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

ALERT_MULTIPLE = 2.0


def rfm_logistic(
    train: pd.DataFrame, outcome: np.ndarray, test: pd.DataFrame, columns: Sequence[str]
) -> np.ndarray:
    """Churn probability (rows of test,) by a logistic regression on a few columns.

    Columns enter as signed logarithms, standardized; a missing value is the median plus a flag.
    """
    train_logs, test_logs = _logarithms(train[list(columns)]), _logarithms(test[list(columns)])
    middle = np.array([_median(values) for values in train_logs.T])
    design = np.hstack([np.where(np.isnan(train_logs), middle, train_logs), np.isnan(train_logs)])
    mean, spread = design.mean(axis=0), design.std(axis=0)
    spread[spread < 1e-12] = 1.0
    with threadpool_limits(limits=1, user_api="blas"):  # BLAS rounds by its number of threads
        model = LogisticRegression(max_iter=1000).fit((design - mean) / spread, outcome)
    fresh = np.hstack([np.where(np.isnan(test_logs), middle, test_logs), np.isnan(test_logs)])
    churned = list(model.classes_).index(1)
    return np.asarray(model.predict_proba((fresh - mean) / spread)[:, churned])


def alert_rule(
    train: pd.DataFrame,
    outcome: np.ndarray,
    test: pd.DataFrame,
    *,
    silence: str,
    own_gap: str,
) -> np.ndarray:
    """Churn probability (rows of test,) by an alert rule: silent for longer than usual.

    An alert is a silence longer than `ALERT_MULTIPLE` times the customer's own mean gap between
    purchases; customers with one purchase or none are a group of their own. Each group gets the
    churn rate that it had in training.
    """
    overall = float(outcome.mean())
    groups = _alert_groups(train, silence, own_gap)
    rates = pd.Series(outcome).groupby(groups).agg(["sum", "count"])
    share = (rates["sum"] + overall) / (rates["count"] + 1)
    test_groups = pd.Series(_alert_groups(test, silence, own_gap))
    return test_groups.map(share).fillna(overall).to_numpy(dtype=np.float64)


def _alert_groups(frame: pd.DataFrame, silence: str, own_gap: str) -> np.ndarray:
    quiet = frame[silence].to_numpy(dtype=np.float64, na_value=np.nan)
    usual = frame[own_gap].to_numpy(dtype=np.float64, na_value=np.nan)
    unknown = np.isnan(quiet) | np.isnan(usual)
    return np.where(unknown, 2, (quiet > ALERT_MULTIPLE * usual).astype(int))


def _median(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(np.median(present)) if len(present) else 0.0


def _logarithms(frame: pd.DataFrame) -> np.ndarray:
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))

"""Effects by causalml, EconML and perpetual on tables of `benchmarks/uplift.py`; one thread.

Runs in an environment of its own (`make bench` makes it): it reads train.parquet (columns, then
offer, outcome, propensity) and score.parquet of a folder and writes `<peer>.parquet` with one
column per offer and `<peer>.json` with the CPU seconds of fitting and of predicting.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor

CONTROL = "none"
TREES = {
    "n_estimators": 100,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 100,
    "n_jobs": 1,
    "verbosity": -1,
    "random_state": 0,
}
Effects = Callable[[np.ndarray], np.ndarray]


def fit_peer(
    name: str, X: np.ndarray, offer: np.ndarray, outcome: np.ndarray, share: dict[str, float]
) -> Effects:
    """Fit one peer; the result maps rows to effects of the sorted offers."""
    binary = set(np.unique(outcome)) <= {0.0, 1.0}
    offers = sorted(set(offer) - {CONTROL})
    if name.startswith("causalml"):
        return _fit_causalml(name, X, offer, outcome, share, binary)
    if name == "perpetual uplift":
        return _fit_perpetual(X, offer, outcome, offers)
    codes = pd.Index([CONTROL, *offers]).get_indexer(pd.Index(offer))
    regression = LGBMClassifier(**TREES) if binary else LGBMRegressor(**TREES)
    if name == "econml CausalForestDML":
        from econml.dml import CausalForestDML

        model = CausalForestDML(
            model_y=regression,
            model_t=LGBMClassifier(**TREES),
            discrete_treatment=True,
            discrete_outcome=binary,
            n_jobs=1,
            random_state=0,
        )
    else:
        from econml.dr import DRLearner, LinearDRLearner
        from sklearn.dummy import DummyClassifier

        settings = {
            "model_propensity": DummyClassifier(),
            "model_regression": regression,
            "discrete_outcome": binary,
            "random_state": 0,
        }
        if name == "econml LinearDRLearner":
            model = LinearDRLearner(**settings)
        else:
            model = DRLearner(**settings, model_final=LGBMRegressor(**TREES))
    model.fit(outcome, codes, X=X)
    return lambda rows: np.column_stack(
        [np.ravel(model.effect(rows, T0=0, T1=code)) for code in range(1, len(offers) + 1)]
    )


def _fit_causalml(
    name: str,
    X: np.ndarray,
    offer: np.ndarray,
    outcome: np.ndarray,
    share: dict[str, float],
    binary: bool,
) -> Effects:
    from causalml.inference import meta

    kind = name.removeprefix("causalml ")
    regressor, classifier = LGBMRegressor(**TREES), LGBMClassifier(**TREES)
    # Its propensities are those of an offer among the rows of that offer and the control.
    pair = {
        one: np.full(len(X), share[one] / (share[one] + share[CONTROL]))
        for one in share
        if one != CONTROL
    }
    if kind == "DR":
        model = meta.BaseDRRegressor(learner=regressor, control_name=CONTROL)
        model.fit(X=X, treatment=offer, y=outcome, p=pair, seed=0)
        return lambda rows: model.predict(rows)
    if kind == "X":
        model = (
            meta.BaseXClassifier(
                outcome_learner=classifier, effect_learner=regressor, control_name=CONTROL
            )
            if binary
            else meta.BaseXRegressor(learner=regressor, control_name=CONTROL)
        )
        model.fit(X=X, treatment=offer, y=outcome, p=pair)
        return lambda rows: model.predict(
            rows, p={one: np.full(len(rows), values[0]) for one, values in pair.items()}
        )
    if kind == "S":
        made = meta.BaseSClassifier if binary else meta.BaseSRegressor
    else:
        made = meta.BaseTClassifier if binary else meta.BaseTRegressor
    model = made(learner=classifier if binary else regressor, control_name=CONTROL)
    model.fit(X=X, treatment=offer, y=outcome)
    return lambda rows: model.predict(rows)


def _fit_perpetual(
    X: np.ndarray, offer: np.ndarray, outcome: np.ndarray, offers: list[str]
) -> Effects:
    """Its R-learner knows one offer: each is fitted on its own rows and those of the control."""
    from perpetual.uplift import UpliftBooster

    boosters = []
    for name in offers:
        pair = (offer == name) | (offer == CONTROL)
        booster = UpliftBooster(num_threads=1, seed=0)
        boosters.append(booster.fit(X[pair], (offer[pair] == name).astype(float), outcome[pair]))
    return lambda rows: np.column_stack([booster.predict(rows) for booster in boosters])


def main() -> None:
    """Fit the peers named after the folder and write what they say."""
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    train = pd.read_parquet(folder / "train.parquet")
    score = pd.read_parquet(folder / "score.parquet")
    offer = train.pop("offer").astype(str).to_numpy(dtype=object)
    outcome = train.pop("outcome").to_numpy(dtype=float)
    train = train.drop(columns="propensity")
    X, rows = train.to_numpy(dtype=float), score.to_numpy(dtype=float)
    share = dict(pd.Series(offer).value_counts(normalize=True))
    offers = sorted(set(offer) - {CONTROL})
    for name in sys.argv[2:]:
        started = time.process_time()
        effects = fit_peer(name, X, offer, outcome, share)
        fitted = time.process_time()
        found = pd.DataFrame(effects(rows), columns=offers)
        seconds = [fitted - started, time.process_time() - fitted]
        found.to_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()

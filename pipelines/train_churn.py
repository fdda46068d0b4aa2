"""Stage train_churn: grade a churn model on later dates, then fit the one that ships on all.

Customers who are kept apart are left out of the model that ships, so that it can be compared with
another one later.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pandas as pd

from ..models.churn.churn import fit_churn
from ..models.churn.shipped import fit_shipped
from ..models.churn.staleness import staleness
from ..models.churn.tuning import tune_churn
from ..models.evaluation.held_out import kept_apart
from ..models.evaluation.twins import twin_keys
from ..models.evaluation.unseen import remember_share
from ..models.groups import group_labels, has_groups
from ..models.regression.blend import Boosting
from .job.progress import say, step
from .settings.boosting import boosting
from .settings.params import Machine, TrainChurn
from .settings.sources import Source
from .storage.atomic import NewFolder, replace_folder
from .storage.stage_outputs import why_skipped, write_formula
from .tables.safe_csv import save_table
from .tables.training_rows import drawn_rows


def train_churn(
    source: Source,
    params: TrainChurn,
    machine: Machine,
    *,
    apart_share: float,
    features: Path,
    out: Path,
) -> None:
    """Grade a churn model, fit the one that ships; write its formula and the tables of grades.

    `apart_share` of the customers never reach a model that ships.
    """
    with replace_folder(out) as new:
        why = why_skipped(features, "churn")
        if why or source.churn is None:
            new.extra["skipped"] = {"churn": why}
            say(f"no churn model: {why}")
            return
        frame, names = drawn_rows(
            features, "churn", machine, most=params.largest_sample, seed=params.seed
        )
        gap_days = source.churn.gap_days
        alike = frame["customer_id"] if gap_days is not None else twin_keys(frame, names)
        together = group_labels(frame, alone=alike)
        learned = frame[~kept_apart(together, share=apart_share)]
        settings = boosting(params)
        if gap_days is None and len(frame) <= params.tuned_rows and params.tuning_fits:
            settings = _tuned(learned, names, params, machine, new)
        with step(f"grades of a churn model on {len(frame):,} snapshots"):
            model = fit_churn(
                frame,
                features=names,
                gap_days=gap_days,
                boosting=settings,
                calibrate_share=params.calibrate_share,
                test_share=params.test_share,
                seed=params.seed,
                threads=machine.threads,
            )
        if gap_days is not None:
            with step("how the churn model ages"):
                aged = staleness(
                    frame,
                    features=names,
                    gap_days=gap_days,
                    boosting=settings,
                    test_share=params.test_share,
                    seed=params.seed,
                    threads=machine.threads,
                )
                save_table(aged, new.path / "staleness.csv")
        with step(f"churn model that ships, on {len(learned):,} snapshots"):
            shipped = fit_shipped(
                learned,
                features=names,
                gap_days=gap_days,
                boosting=settings,
                calibrate_share=params.calibrate_share,
                seed=params.seed,
                threads=machine.threads,
            )
        write_formula(new.path, shipped)
        for name in ("metrics", "reliability", "cutoffs", "parts", "importance"):
            save_table(getattr(model, name), new.path / f"{name}.csv")
        memory = remember_share(
            apart_share,
            columns=() if gap_days is not None else names,
            grouped=has_groups(frame),
        )
        for note in model.notes:
            say(note)
        new.extra.update(split=model.split, notes=list(model.notes), unseen=memory)


def _tuned(
    learned: pd.DataFrame,
    names: list[str],
    params: TrainChurn,
    machine: Machine,
    new: NewFolder,
) -> Boosting:
    """The best of a few settings, for a table of few rows without dates; all tried are kept."""
    with step(f"settings of the churn model, {params.tuning_fits} tried"):
        tried = tune_churn(
            learned,
            features=names,
            gap_days=None,
            fits=params.tuning_fits,
            calibrate_share=params.calibrate_share,
            test_share=params.test_share,
            start=boosting(params),
            seed=params.seed,
            threads=machine.threads,
        )
    save_table(tried, new.path / "tuning.csv")
    best, start = tried.iloc[0], boosting(params)
    typed = {one.name: type(getattr(start, one.name))(best[one.name]) for one in fields(Boosting)}
    return Boosting(**typed)

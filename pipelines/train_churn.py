"""Stage train_churn: fit and grade the churn model."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ..models.churn.churn import fit_churn
from ..models.churn.staleness import staleness
from ..models.churn.tuning import tune_churn
from ..models.evaluation.unseen import remember_snapshots
from ..models.regression.blend import Boosting
from .job.progress import say, step
from .settings.boosting import boosting
from .settings.params import Machine, TrainChurn
from .settings.sources import Source
from .storage.atomic import replace_folder
from .storage.stage_outputs import training_rows, why_skipped, write_formula
from .tables.safe_csv import save_table


def train_churn(
    source: Source, params: TrainChurn, machine: Machine, *, features: Path, out: Path
) -> None:
    """Fit, calibrate and grade the churn model; write its formula and its tables of grades."""
    with replace_folder(out) as new:
        why = why_skipped(features, "churn")
        if why or source.churn is None:
            new.extra["skipped"] = {"churn": why}
            say(f"no churn model: {why}")
            return
        frame, names = training_rows(features, "churn")
        gap_days = source.churn.gap_days
        settings = boosting(params)
        if gap_days is None and len(frame) <= params.tuned_rows and params.tuning_fits:
            with step(f"settings of the churn model, {params.tuning_fits} tried"):
                tried = tune_churn(
                    frame,
                    features=names,
                    gap_days=None,
                    fits=params.tuning_fits,
                    calibrate_share=params.calibrate_share,
                    test_share=params.test_share,
                    start=settings,
                    seed=params.seed,
                    threads=machine.threads,
                )
            save_table(tried, new.path / "tuning.csv")
            best = tried.iloc[0]
            settings = Boosting(
                **{
                    field.name: type(getattr(settings, field.name))(best[field.name])
                    for field in fields(Boosting)
                }
            )
        with step(f"churn model on {len(frame):,} snapshots"):
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
        write_formula(new.path, model.formula)
        for name in ("metrics", "reliability", "cutoffs", "parts", "importance"):
            save_table(getattr(model, name), new.path / f"{name}.csv")
        memory = remember_snapshots(
            frame,
            gap_days=gap_days,
            calibrate_share=params.calibrate_share,
            test_share=params.test_share,
            seed=params.seed,
            features=names,
        )
        for note in model.notes:
            say(note)
        new.extra.update(split=model.split, notes=list(model.notes), unseen=memory)

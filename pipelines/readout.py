"""`winback readout`: what an experiment says, before and without any model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from ..models.experiment.readout import Readout
from .featurize import featurize
from .ingest import ingest
from .settings.params import Params
from .settings.sources import Source
from .storage.atomic import replace_folder
from .storage.stage_outputs import feature_names, why_skipped
from .tables.experiment_readout import experiment_readout, write_readout


def read_out(
    source: Source, params: Params, *, out: Path | None, allow_mismatch: bool = False
) -> str:
    """Read out the experiment of a source; the text to show, and tables in `out` if wanted.

    Raises
    ------
    ExperimentError
        If the experiment is broken, and why.
    ValueError
        If the source has no experiment.
    """
    with tempfile.TemporaryDirectory() as folder:
        tables, features = Path(folder) / "tables", Path(folder) / "features"
        ingest(
            source,
            tables,
            truth=Path(folder) / "truth",
            memory_limit=params.machine.memory_limit,
            threads=params.machine.threads,
            seed=params.ingest.seed,
        )
        featurize(source, params.featurize, params.machine, tables=tables, out=features)
        if why := why_skipped(features, "winback"):
            raise ValueError(f"nothing to read out: {why}")
        rows = pd.read_parquet(features / "winback.parquet")
        names = feature_names(features, rows)
    if source.experiment is None:
        raise ValueError(f"{source.path}: experiment is missing; name the control and the offers")
    found = experiment_readout(
        rows,
        source.experiment,
        features=names,
        smallest_p=params.train_winback.smallest_srm_p,
        seed=params.train_winback.seed,
        allow_mismatch=allow_mismatch,
    )
    if out is not None:
        with replace_folder(out) as new:
            write_readout(found, new.path)
    return text(found)


def text(found: Readout) -> str:
    """The readout for a terminal: is it honest, what did each arm bring, what did each add."""
    ratio = found.sample_ratio
    lines = [
        f"{found.rows:,} customers, control {found.control}",
        "",
        f"Sizes of the arms against the plan: p = {ratio.p_value:.3f} "
        f"(alarm below {ratio.alpha:g}); a loss of {ratio.detectable_loss:.1%} of an arm "
        "would have been noticed",
        _columns(ratio.arms[["arm", "planned_share", "expected", "rows", "difference"]]),
    ]
    if not np.isnan(found.balance_p_value):
        lines += ["", f"Arms predicted from what was known before: p = {found.balance_p_value:.3f}"]
    levels = found.levels.drop(columns="se")
    lines += ["", "Per customer in each arm, 95% intervals:", _columns(levels)]
    effects = found.effects.drop(columns="se")
    lines += ["", f"Against {found.control}, Holm over the arms:", _columns(effects)]
    if len(found.offers):
        offers = found.offers.drop(columns="se")
        lines += ["", "By the offer really sent, arms pooled:", _columns(offers)]
    lines += ["", *(f"Note: {note}" for note in found.notes), ""]
    return "\n".join(lines)


def _columns(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{value:.5g}", na_rep="")

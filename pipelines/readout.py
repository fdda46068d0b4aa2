"""`winback readout`: what an experiment says, before and without any model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from ..models.experiment.campaign import CampaignReadout, campaign_readout
from ..models.experiment.readout import ExperimentError, Readout
from .featurize import featurize
from .ingest import ingest
from .settings.params import Params
from .settings.sources import Experiment, Source
from .storage.atomic import replace_folder
from .storage.stage_outputs import feature_names, why_skipped
from .tables.comparable_rows import comparable, of_experiment
from .tables.experiment_readout import (
    experiment_readout,
    sent_rows,
    write_readout,
)
from .tables.safe_csv import save_table

EXPERIMENT = "The experiment"
EXPLORED = "Customers of campaigns who could have been sent every offer, weighted by their chances"
DIFFERENT = 0.05  # adjusted p-value below which two offers differ


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
    ours = ~of_experiment(rows)
    campaign = _campaign(rows[ours], source.experiment, names, params) if ours.any() else None
    texts = [campaign_text(campaign)] if campaign else []
    written = {}
    for title, part in _parts(rows, ours, source.experiment.control).items():
        try:
            found = experiment_readout(
                part,
                source.experiment,
                features=names,
                smallest_p=params.train_winback.smallest_srm_p,
                seed=params.train_winback.seed,
                allow_mismatch=allow_mismatch,
            )
        except ExperimentError as error:
            if campaign is None:
                raise
            texts.append(f"{title}: the offers cannot be compared with each other: {error}\n")
        else:
            written[title] = found
            texts.append(text(found) if campaign is None else f"{title}\n\n{text(found)}")
    if out is not None:
        with replace_folder(out) as new:
            for title, found in written.items():
                write_readout(found, new.path / ("" if title == EXPERIMENT else "explored"))
            if campaign is not None:
                save_table(campaign.effects, new.path / "chosen.csv")
    return "\n".join(texts)


def _parts(rows: pd.DataFrame, ours: np.ndarray, control: str) -> dict[str, pd.DataFrame]:
    """The experiment, and what campaigns drew from all offers, each on its own."""
    explored = comparable(rows[ours].reset_index(drop=True), control)
    parts = {EXPERIMENT: rows[~ours], EXPLORED: explored}
    return {title: part.reset_index(drop=True) for title, part in parts.items() if len(part)}


def _campaign(
    rows: pd.DataFrame, experiment: Experiment, features: list[str], params: Params
) -> CampaignReadout:
    frame, contact = sent_rows(rows, experiment, features)
    return campaign_readout(
        frame.assign(chosen=rows["chosen"]),
        control=experiment.control,
        contact_cost=contact,
        covariates=rows[features],
        alpha=params.train_winback.smallest_srm_p,
    )


def campaign_text(found: CampaignReadout) -> str:
    """The readout of a campaign for a terminal."""
    return "\n".join(
        [
            f"{found.rows:,} customers for whom an offer was chosen",
            "",
            "Chosen offers against no offer, among those for whom they were chosen, Holm over the "
            "offers, 95% intervals:",
            _columns(found.effects.drop(columns=["se", "adjusted"])),
            "",
            *(f"Note: {note}" for note in found.notes),
            "",
        ]
    )


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
    lines += _pairs(found.pairs)
    lines += ["", *(f"Note: {note}" for note in found.notes), ""]
    return "\n".join(lines)


def _pairs(pairs: pd.DataFrame) -> list[str]:
    """Arms against each other, and which of them cannot be told apart by return."""
    if pairs.empty:
        return []
    lines = [
        "",
        "Offers against each other, Holm over the pairs:",
        _columns(pairs.drop(columns="se")),
    ]
    alike = pairs[(pairs["outcome"] == "returned") & ~(pairs["p_holm"] < DIFFERENT)]
    if len(alike):
        named = "; ".join(f"{row.arm} and {row.against}" for row in alike.itertuples())
        lines += ["", f"These offers cannot be told apart by return: {named}"]
    return lines


def _columns(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{value:.5g}", na_rep="")

"""`winback readout`: what an experiment says, before and without any model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ..models.experiment.campaign import CampaignReadout, campaign_readout
from ..models.experiment.effect_tables import outcome_columns
from ..models.experiment.observational import adjusted_effects
from ..models.experiment.readout import ExperimentError, Readout
from ..models.groups import shared_labels
from .featurize import featurize
from .ingest import ingest
from .job.progress import say
from .job.result import Result
from .reporting.readout_text import (
    campaign_text,
    campaign_verdict,
    full_text,
    leading_effects,
    leading_outcome,
    not_told_apart,
    observational_text,
    short_text,
    verdict,
)
from .settings.experiments import Experiment
from .settings.params import Params
from .settings.source_files import made_from
from .settings.sources import EXPERIMENTS, PARTS, Population, Source
from .storage.atomic import StoreError, replace_folder, verify
from .storage.stage_outputs import feature_names, why_skipped
from .tables.comparable_rows import comparable, of_experiment
from .tables.experiment_readout import experiment_readout, sent_rows, write_readout
from .tables.safe_csv import save_table

TOO_FEW = ("small arm", "no outcome")  # checks of a campaign that hide no experiment beside it
SAID = {"outcome": {"returned": "stayed"}}  # of active customers
EXPERIMENT = "The experiment"
Found = TypeVar("Found", Readout, CampaignReadout)
EXPLORED = "Customers of campaigns who could have been sent every offer, weighted by their chances"


@dataclass(frozen=True)
class Standing:
    """Where tables and features of an earlier run may stand."""

    tables: Path
    features: Path


@dataclass(frozen=True)
class ReadOut:
    """What was read out of a source.

    Attributes
    ----------
    campaign
        What the chosen offers of campaigns added; None where there was no campaign.
    compared
        By title, the offers compared with each other: in the experiment, and on customers of
        campaigns who could have been sent every offer.
    not_compared
        By title, why they could not be compared.
    unread
        Why campaigns could not be read out, where there are some; else empty.
    """

    source: Source
    population: Population
    campaign: CampaignReadout | None
    compared: Mapping[str, Readout]
    not_compared: Mapping[str, str]
    unread: str

    def verdict(self) -> str:
        """A line or two on each that say what to think of it."""
        lines = [campaign_verdict(self.campaign, self.source)] if self.campaign else []
        lines += [verdict(found, self.source) for found in self.compared.values()]
        return "\n".join(lines)

    def text(self, *, everything: bool) -> str:
        """Verdict and short tables of each, or every table, for a terminal."""
        parts = [campaign_text(self.campaign, self.source)] if self.campaign else []
        parts += [f"Our campaigns are not read yet: {self.unread}"] if self.unread else []
        for title, found in self.compared.items():
            told = full_text if everything else short_text
            headline = f"{title}\n\n" if self.campaign or self.unread else ""
            parts.append(headline + told(found, self.source))
        for title, why in self.not_compared.items():
            parts.append(f"{title}: the offers cannot be compared with each other: {why}")
        if self.compared and not everything:
            of_active = " --population active" if self.population == "active" else ""
            parts.append(f"Every table: winback readout --all{of_active}")
        return "\n\n".join(parts)

    def facts(self) -> dict[str, Any]:
        """The same for machines."""
        notes = [note for found in self.compared.values() for note in found.notes]
        return {
            "source": self.source.name,
            "honest": not any(note.startswith("overridden") for note in notes),
            "verdict": self.verdict(),
            "campaign_unread": self.unread,
            "campaign": self.campaign
            and {
                "rows": self.campaign.rows,
                "effects": self.campaign.effects.to_dict("records"),
                "notes": self.campaign.notes,
            },
            "experiment": _facts(self.compared.get(EXPERIMENT)),
            "explored": _facts(self.compared.get(EXPLORED)),
        }


def _facts(found: Readout | None) -> dict[str, Any] | None:
    if found is None:
        return None
    outcome = leading_outcome(found.effects)
    return {
        "rows": found.rows,
        "control": found.control,
        "outcome": outcome,
        "effects": leading_effects(found).drop(columns="adjusted").to_dict("records"),
        "not_told_apart": not_told_apart(found, outcome),
        "sample_ratio_p_value": found.sample_ratio.p_value,
        "balance_p_value": found.balance_p_value,
        "notes": found.notes,
    }


def read_out(
    source: Source,
    params: Params,
    *,
    standing: Standing | None,
    population: Population = "lost",
    out: Path | None = None,
    allow_mismatch: bool = False,
    everything: bool = False,
) -> Result:
    """Read out the experiment of a source: verdict and tables, and CSV files in `out` if wanted.

    Parameters
    ----------
    standing
        Tables and features to read where they are of this source and these settings; None reads
        or simulates the source anew, in a temporary folder.
    population
        Whose experiment: that among lost customers, or among active ones.
    out
        Folder for the tables.
    allow_mismatch
        Whether arms may have odd sizes or differ.
    everything
        Whether the text holds every table.

    Raises
    ------
    ExperimentError
        If the experiment is broken, and why.
    ValueError
        If the source has no experiment among them.
    """
    experiment = source.experiment_among(population)
    with _features(source, params, standing) as features:
        if why := why_skipped(features, PARTS[population]):
            other = population == "lost" and source.retention is not None
            instead = "; among active customers there is one: --population active" if other else ""
            raise ValueError(f"nothing to read out: {why}{instead}")
        if experiment is None:
            raise ValueError(
                f"{source.path}: {EXPERIMENTS[population]} is missing; name the control and the "
                "offers"
            )
        rows = pd.read_parquet(features / f"{PARTS[population]}.parquet")
        names = feature_names(features, rows)
    if experiment.observational:
        return _observational(source, experiment, rows, names, params, out)
    ours = ~of_experiment(rows)
    campaign, unread = None, ""
    if ours.any():
        try:
            campaign = _campaign(rows[ours], experiment, names, params)
        except ExperimentError as error:
            if error.check not in TOO_FEW or ours.all():
                raise
            unread = str(error)
    compared, not_compared = {}, {}
    for title, part in _parts(rows, ours, experiment.control).items():
        try:
            compared[title] = experiment_readout(
                part,
                experiment,
                features=names,
                smallest_p=params.train_winback.smallest_srm_p,
                seed=params.train_winback.seed,
                allow_mismatch=allow_mismatch,
            )
        except ExperimentError as error:
            if campaign is None and title == EXPERIMENT:
                raise
            not_compared[title] = str(error)
    if population == "active":
        campaign = campaign and _of_active(campaign)
        compared = {title: _of_active(found) for title, found in compared.items()}
    if out is not None:
        with replace_folder(out) as new:
            for title, found in compared.items():
                write_readout(found, new.path / ("" if title == EXPERIMENT else "explored"))
            if campaign is not None:
                save_table(campaign.effects, new.path / "chosen.csv")
    said = ReadOut(source, population, campaign, compared, not_compared, unread)
    return Result(said.text(everything=everything), {**said.facts(), "out": out})


def _of_active(found: Found) -> Found:
    """With the name that the outcome has among active customers: to return is to stay there."""
    tables: dict[str, Any] = {
        name: table.replace(SAID)
        for name, table in vars(found).items()
        if isinstance(table, pd.DataFrame)
    }
    return replace(found, **tables)


def _observational(
    source: Source,
    experiment: Experiment,
    rows: pd.DataFrame,
    names: list[str],
    params: Params,
    out: Path | None,
) -> Result:
    """Offers that the source calls targeted: adjusted effects and bounds, under their own name."""
    frame, _ = sent_rows(rows, experiment, names)
    sent = frame["offer"].astype(str).to_numpy(dtype=object)
    contact = {name: offer.contact_cost for name, offer in experiment.offers.items()}
    used = {name: cost for name, cost in contact.items() if name in set(sent)}
    outcomes = outcome_columns(frame, sent, contact_cost=used)
    tables = [
        adjusted_effects(
            rows[names],
            sent,
            outcomes[outcome].to_numpy(),
            control=experiment.control,
            seed=params.train_winback.seed,
            clusters=shared_labels(rows),
        ).assign(outcome=outcome)
        for outcome in ("returned", "profit")
        if outcome in outcomes
    ]
    effects = pd.concat(tables, ignore_index=True)
    if out is not None:
        with replace_folder(out) as new:
            save_table(effects, new.path / "observational.csv")
    facts = {"source": source.name, "observational": effects.to_dict("records"), "out": out}
    return Result(observational_text(effects, len(rows)), facts)


@contextmanager
def _features(source: Source, params: Params, standing: Standing | None) -> Iterator[Path]:
    """The folder of features: the one that stands if it is of this source, else made on the way."""
    if standing is not None and _of_this_source(source, params, standing):
        say(f"reading {standing.tables} and {standing.features} as they stand")
        yield standing.features
        return
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
        yield features


def _of_this_source(source: Source, params: Params, standing: Standing) -> bool:
    try:
        tables, features = verify(standing.tables), verify(standing.features)
    except StoreError:
        return False
    of_tables = made_from(source, params.ingest.seed)
    of_features = made_from(source, params.featurize, tables["digest"])
    return tables.get("made_from") == of_tables and features.get("made_from") == of_features


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

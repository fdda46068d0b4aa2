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

from ..models.experiment.campaign import CampaignReadout
from ..models.experiment.effect_tables import outcome_columns
from ..models.experiment.maturity import value_known
from ..models.experiment.observational import adjusted_effects
from ..models.experiment.readout import ExperimentError, Readout
from ..models.groups import shared_labels
from .featurize import featurize
from .ingest import ingest
from .job.progress import say
from .job.result import Result
from .reporting.readout_text import (
    campaigns_text,
    campaigns_verdict,
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
from .storage.stage_outputs import feature_names
from .tables.campaigns_read import CampaignsRead, campaigns_readout, share_days
from .tables.comparable_rows import comparable, of_experiment
from .tables.experiment_readout import experiment_readout, sent_rows, write_readout
from .tables.safe_csv import save_table

SHARES: dict[Population, str] = {"lost": "returned", "active": "stayed"}
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
    campaigns
        What the chosen offers of campaigns added; None where there was no campaign.
    compared
        By title, the offers compared with each other: in the experiment, and on customers of
        campaigns who could have been sent every offer.
    not_compared
        By title, why they could not be compared.
    """

    source: Source
    population: Population
    campaigns: CampaignsRead | None
    compared: Mapping[str, Readout]
    not_compared: Mapping[str, str]

    def verdict(self) -> str:
        """A line or two on each that say what to think of it."""
        share = SHARES[self.population]
        lines = [campaigns_verdict(self.campaigns, self.source, share)] if self.campaigns else []
        lines += [verdict(found, self.source) for found in self.compared.values()]
        return "\n".join(filter(None, lines))

    def text(self, *, everything: bool) -> str:
        """Verdict and short tables of each, or every table, for a terminal."""
        share = SHARES[self.population]
        parts = [campaigns_text(self.campaigns, self.source, share)] if self.campaigns else []
        for title, found in self.compared.items():
            told = full_text if everything else short_text
            headline = f"{title}\n\n" if self.campaigns else ""
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
            "campaigns": self.campaigns and _each(self.campaigns),
            "campaign_unread": str((self.campaigns and self.campaigns.error) or ""),
            "campaign": self.campaigns
            and self.campaigns.whole
            and {
                "rows": self.campaigns.whole.rows,
                "effects": self.campaigns.whole.effects.to_dict("records"),
                "notes": self.campaigns.whole.notes,
            },
            "experiment": _facts(self.compared.get(EXPERIMENT)),
            "explored": _facts(self.compared.get(EXPLORED)),
        }


def _each(campaigns: CampaignsRead) -> list[dict[Any, Any]]:
    """The table of campaigns, moments as text."""
    times = campaigns.each.select_dtypes("datetime")
    return campaigns.each.assign(**times.astype(str)).to_dict("records")


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
    with _inputs(source, params, standing) as stands:
        features = verify(stands.features)
        if why := features["skipped"].get(PARTS[population]):
            other = population == "lost" and source.retention is not None
            instead = "; among active customers there is one: --population active" if other else ""
            raise ValueError(f"nothing to read out: {why}{instead}")
        if experiment is None:
            raise ValueError(
                f"{source.path}: {EXPERIMENTS[population]} is missing; name the control and the "
                "offers"
            )
        rows = pd.read_parquet(stands.features / f"{PARTS[population]}.parquet")
        names = feature_names(stands.features, rows)
        if experiment.observational:
            return _observational(source, experiment, rows, names, params, out)
        now = pd.Timestamp(features["as_of"])
        horizon = experiment.value_horizon_days
        ours = ~of_experiment(rows)
        known = np.empty(len(rows), dtype=bool)
        for mine in (ours, ~ours):  # campaigns without a name are none of the experiment
            known[mine] = value_known(rows[mine], now=now, horizon_days=horizon)
        rows["value_known"] = known
        campaigns = campaigns_readout(
            rows[ours].reset_index(drop=True),
            experiment,
            features=names,
            tables=stands.tables,
            now=now,
            share_days=share_days(source, population),
            alpha=params.train_winback.smallest_srm_p,
        )
    if campaigns and campaigns.error and ours.all():
        raise campaigns.error
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
            if title == EXPERIMENT and not (campaigns and campaigns.whole):
                raise
            not_compared[title] = str(error)
    if population == "active":
        if campaigns and campaigns.whole:
            campaigns = replace(campaigns, whole=_of_active(campaigns.whole))
        compared = {title: _of_active(found) for title, found in compared.items()}
    if out is not None:
        with replace_folder(out) as new:
            for title, found in compared.items():
                write_readout(found, new.path / ("" if title == EXPERIMENT else "explored"))
            if campaigns:
                save_table(campaigns.each, new.path / "campaigns.csv")
            if campaigns and campaigns.whole:
                save_table(campaigns.whole.effects, new.path / "chosen.csv")
    said = ReadOut(source, population, campaigns, compared, not_compared)
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
def _inputs(source: Source, params: Params, standing: Standing | None) -> Iterator[Standing]:
    """Tables and features: those that stand if they are of this source, else made on the way."""
    if standing is not None and _of_this_source(source, params, standing):
        say(f"reading {standing.tables} and {standing.features} as they stand")
        yield standing
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Standing(Path(folder) / "tables", Path(folder) / "features")
        ingest(
            source,
            made.tables,
            truth=Path(folder) / "truth",
            memory_limit=params.machine.memory_limit,
            threads=params.machine.threads,
            seed=params.ingest.seed,
        )
        featurize(source, params.featurize, params.machine, tables=made.tables, out=made.features)
        yield made


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

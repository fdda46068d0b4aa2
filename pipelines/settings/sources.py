"""What a data set is: `sources/<name>.yaml` as frozen dataclasses.

A source says where its tables are (DuckDB SQL over files, or SQL in a database), or which world to
simulate; what churn means there; what the randomized experiment offered and cost; and which columns
no model may see. How we model it stands in params.yaml instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import PlainValidator

from ...features.churn_definition import ChurnDefinition
from ...features.contract.contract import TABLES
from ..storage.places import Place, place
from .experiments import Experiment, Retention
from .yaml_dataclasses import MOMENT, NO_KEY, suggest

RESPONSES = "campaigns.responses"  # among the queries of a source
Population = Literal["lost", "active"]  # whom an experiment or a campaign is among
PARTS: dict[Population, str] = {"lost": "winback", "active": "retention"}  # of features, of a model
EXPERIMENTS: dict[Population, str] = {"lost": "experiment", "active": "retention"}  # of a source

WITHOUT_DATES = ("customers", "attributes", "suppressions")  # tables beside an undated label


class SourceError(ValueError):
    """Raw data that cannot be read: a missing file, a failing query, a refusing database."""


@dataclass(frozen=True)
class TableQuery:
    """Where one table comes from.

    Attributes
    ----------
    query
        DuckDB SQL over files, or, with `uri`, SQL of that database.
    uri
        The database, e.g. postgresql://user:password@host/name; `${VARIABLE}` keeps secrets out.
    version_query
        SQL in the database whose result changes when the table does, where the default (a hash
        of all rows, computed by the database) is too slow.
    variables
        Pairs of value and name of the environment variables that stand in the query.
    """

    query: str
    uri: str | None = None
    version_query: str | None = None
    variables: Annotated[tuple[tuple[str, str], ...], NO_KEY] = ()

    def __post_init__(self) -> None:
        if not self.query.strip():
            raise ValueError("query must be SQL, found nothing")
        if self.version_query and not self.uri:
            raise ValueError("version_query is for databases (uri); a file's content is hashed")


@dataclass(frozen=True)
class Campaigns:
    """Campaigns of `winback campaign`: their logs are read as rows of the table offers.

    Attributes
    ----------
    folder
        Of all campaigns, on this machine or in an object store.
    responses
        What came of them, where the orders do not tell it: customer_id, campaign, returned or
        returned_at, and if known value and offer_cost.
    """

    folder: Annotated[Place, PlainValidator(place)] = Path("data/campaigns")
    responses: TableQuery | None = None


@dataclass(frozen=True)
class Source:
    """One data set.

    Attributes
    ----------
    name
        Lower-case letters, digits and _.
    title
        What stands over the report.
    about, where_to_get
        What the data are, and where their files come from; told where files are missing.
    currency
        What stands before an amount of money in the report, such as "$" or "EUR ".
    as_of
        The "now" of the data, UTC; without it, the end of the last event.
    observed_from
        Departures before it were not recorded: no training snapshot lies before it.
    views
        DuckDB SQL by name, for the queries of the tables to select from.
    tables
        Queries by table of the contract; customers is needed.
    simulate
        In the place of tables: the parameters of a simulated world, which looks as far ahead as
        `churn` does.
    churn
        When a customer counts as lost. Without it there is no churn model.
    experiment
        What was offered to lost customers at random. Without it no offer is recommended to them.
    retention
        What was offered to active customers at random. Without it none is recommended to them.
    campaigns
        What our own campaigns sent.
    suppressions
        "none" where nobody can object; else the table of suppressions must be there.
    known_afterwards
        Columns known only after the outcome; a query that selects one as an attribute is refused.
    protected
        Columns of `attributes` that no model sees, for reasons of fairness; the report shows offers
        and risks by their groups.
    allowed
        Columns of `attributes` that may be features although their names or values look like an
        id, free text or a protected fact, such as a count called NumberOfAddress.
    path
        The file it was read from.
    """

    name: str
    title: str
    about: str = ""
    where_to_get: str = ""
    currency: str = ""
    as_of: Annotated[datetime, MOMENT] | None = None
    observed_from: Annotated[datetime, MOMENT] | None = None
    views: Mapping[str, TableQuery] = field(default_factory=dict)
    tables: Mapping[str, TableQuery] = field(default_factory=dict)
    simulate: Mapping[str, Any] | None = None
    churn: ChurnDefinition | None = None
    experiment: Experiment | None = None
    retention: Retention | None = None
    campaigns: Campaigns | None = None
    suppressions: Literal["none"] | None = None
    known_afterwards: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    path: Annotated[Path, NO_KEY] = Path()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"name must be lower-case letters, digits and _, found '{self.name}'")
        if bool(self.tables) == (self.simulate is not None):
            given = "both" if self.tables else "neither"
            raise ValueError(f"must have either tables or simulate, found {given}")
        ahead = (self.simulate or {}).get("churn_horizon_days")
        if self.churn and ahead not in (None, self.churn.horizon_days):
            raise ValueError(
                f"simulate: churn_horizon_days must be churn.horizon_days "
                f"({self.churn.horizon_days}), found {ahead}; leave it out, and it is"
            )
        for name in self.tables:
            if name not in TABLES:
                raise ValueError(f"tables: unknown table '{name}'; {suggest(name, [*TABLES])}")
        for name, view in self.views.items():
            if name in TABLES or view.uri:
                raise ValueError(
                    f"views.{name}: must be DuckDB SQL under a name that no table has; "
                    "rename it, or make it a table"
                )
        if self.tables and "customers" not in self.tables:
            raise ValueError("tables: customers is missing; every source has customers")
        for name in self.allowed:
            if name in (*self.known_afterwards, *self.protected):
                raise ValueError(
                    f"allowed: '{name}' stands under known_afterwards or protected as well; "
                    "remove one of them"
                )
        if self.churn is not None and not self.churn.dated:
            _check_label_source(self)
        if "suppressions" in self.tables and self.suppressions == "none":
            raise ValueError("suppressions: is none, but there is a table of them; remove one")
        if self.retention is not None:
            _check_retention(self)
        elif "offers" in self.tables and self.experiment is None:
            raise ValueError("experiment is missing; the table offers needs it (offers, control)")
        if self.campaigns and self.experiment is None and self.retention is None:
            raise ValueError("experiment is missing; campaigns need it (offers, control)")

    @property
    def retention_experiment(self) -> Experiment | None:
        """The experiment among active customers in the terms of the other one.

        To return is to stay there, and the return window is the horizon of churn.
        """
        if self.retention is None or self.churn is None:
            return None
        return Experiment(
            **vars(self.retention),
            return_window_days=self.churn.horizon_days,
            outcome="stayed",
        )

    def experiment_among(self, population: Population) -> Experiment | None:
        """The experiment among lost or among active customers; None if there is none."""
        return self.experiment if population == "lost" else self.retention_experiment

    @property
    def offer_names(self) -> tuple[str, ...] | None:
        """All names that may stand in `offers.offer`; None for any."""
        experiments = map(self.experiment_among, PARTS)
        names = tuple(name for one in experiments if one for name in one.offer_names)
        return names or None

    @property
    def queries(self) -> dict[str, TableQuery]:
        """Everything that is read, by name: views first, then tables, then responses."""
        responses = self.campaigns.responses if self.campaigns else None
        return {**self.views, **self.tables} | ({RESPONSES: responses} if responses else {})


def _check_retention(source: Source) -> None:
    """Raise ValueError if the experiment among active customers cannot be told or measured."""
    if source.churn is None or not source.churn.dated:
        raise ValueError(
            "retention: needs churn of kind contract or inactivity, which says who was active and "
            "who stayed"
        )
    try:
        retained = source.retention_experiment
    except ValueError as error:
        raise ValueError(f"retention: {error}") from error
    assert retained is not None
    twice = {*retained.offer_names} & {
        *(source.experiment.offer_names if source.experiment else ())
    }
    if twice:
        raise ValueError(
            f"retention: '{min(twice)}' is a name of experiment as well; the names tell whose rows "
            "are whose, so give it another one here and in the query of offers"
        )
    if retained.value_horizon_days <= source.churn.horizon_days:
        raise ValueError(
            f"retention: value_horizon_days must be above churn.horizon_days "
            f"({source.churn.horizon_days}), found {retained.value_horizon_days}"
        )


def _check_label_source(source: Source) -> None:
    """Raise ValueError if a source whose label has no dates has tables or offers that have."""
    if "attributes" not in source.tables:
        raise ValueError(
            "churn: kind label needs the table attributes, which has the column of the label"
        )
    for name in source.tables:
        if name not in WITHOUT_DATES:
            raise ValueError(
                f"churn: kind label is for {', '.join(WITHOUT_DATES)} alone, found '{name}'; where "
                "events have dates, use kind contract or inactivity"
            )

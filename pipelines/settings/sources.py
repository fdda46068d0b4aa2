"""What a data set is: `sources/<name>.yaml` as frozen dataclasses.

A source says where its tables are (DuckDB SQL over files, or SQL in a database), or which world to
simulate; what churn means there; what the randomized experiment offered and cost; and which columns
no model may see. How we model it stands in params.yaml instead.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import PlainValidator

from ...features.churn_definition import ChurnDefinition
from ...features.contract.contract import REASONS, TABLES
from ...models.offers import Offer, check_doses
from ..storage.places import Place, place
from .yaml_dataclasses import MOMENT, NO_KEY, SettingsError, from_mapping, read_yaml, suggest

RESPONSES = "campaigns.responses"  # among the queries of a source

WITHOUT_DATES = ("customers", "attributes", "suppressions")  # tables beside an undated label

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class SourceError(ValueError):
    """Raw data that cannot be read: a missing file, a failing query, a refusing database."""


@dataclass(frozen=True)
class Experiment:
    """The randomized experiment of a source.

    Attributes
    ----------
    offers
        Costs by name of offer, the control not among them.
    control
        The name under which customers stand who were offered nothing.
    return_window_days
        A return counts when it comes within so many days of the offer.
    value_horizon_days
        What a return earns is summed over so many days from the offer.
    objective
        What a campaign shall maximize here, where that differs from params.yaml.
    doses
        Offers that are doses of one thing, such as discounts of 10, 20 and 30 percent: dose by
        offer, by a name for each such family. A response is taken to rise with the dose, the
        control is dose 0.
    shares
        Planned share of each arm, where the logged propensities do not tell it.
    tailored
        The policy sent in the arm 'tailored': offer by stated reason.
    tailoring_cost
        Cost of tailoring, for each customer contacted in that arm.
    outcome
        What a return is called in reports.
    value
        What the value of a return is called in reports.
    observational
        Offers were targeted, not drawn at random: `winback readout` adjusts and bounds the
        effects, and no list is made from them.
    """

    offers: Mapping[str, Offer]
    control: str = "none"
    return_window_days: int = 90
    value_horizon_days: int = 365
    objective: Literal["profit", "roi", "returns"] | None = None
    doses: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    tailored: Mapping[str, str] = field(default_factory=dict)
    tailoring_cost: float = 0.0
    outcome: str = "returned"
    value: str = "value"
    observational: bool = False

    def __post_init__(self) -> None:
        if not self.offers:
            raise ValueError("offers must name at least one offer beside the control, found none")
        if self.control in self.offers:
            raise ValueError(f"offers must not list the control '{self.control}'; it costs nothing")
        for name in ("return_window_days", "value_horizon_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.tailoring_cost < 0:
            raise ValueError(f"tailoring_cost must be at least 0, found {self.tailoring_cost:g}")
        check_doses(self.doses, self.offers)
        for reason, offer in self.tailored.items():
            if reason not in REASONS:
                raise ValueError(f"tailored: unknown reason '{reason}'; {suggest(reason, REASONS)}")
            if offer not in self.offers:
                raise ValueError(
                    f"tailored: unknown offer '{offer}'; {suggest(offer, [*self.offers])}"
                )

    @property
    def offer_names(self) -> tuple[str, ...]:
        """All names that may stand in `offers.offer`, the control first."""
        return (self.control, *self.offers)


@dataclass(frozen=True)
class Retention:
    """A randomized experiment among active customers: an offer before they leave.

    Its rows stand in the table `offers` under names of their own, the control's too. Whoever is
    still a customer `churn.horizon_days` later has stayed; what counts is what comes after.

    Attributes
    ----------
    offers
        Costs by name of offer, the control not among them.
    control
        The name under which customers stand who were offered nothing.
    value_horizon_days
        What a customer kept earns is summed from the end of the churn horizon up to so many days
        after the offer.
    shares
        Planned share of each arm, where the logged propensities do not tell it.
    """

    offers: Mapping[str, Offer]
    control: str
    value_horizon_days: int = 365
    shares: Mapping[str, float] = field(default_factory=dict)


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
        Of all campaigns; an address in an object store is one too.
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
        What the data are and where they come from; both stand in the error when files are missing.
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
        In the place of tables: the parameters of a simulated world.
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
        if self.campaigns and self.experiment is None:
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

    @property
    def offer_names(self) -> tuple[str, ...] | None:
        """All names that may stand in `offers.offer`; None for any."""
        experiments = (self.experiment, self.retention_experiment)
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


def load_source(
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Source:
    """Read a source file.

    Parameters
    ----------
    path
        `sources/<name>.yaml`.
    overrides
        Parameters of the simulated world that replace those of the file, such as its scale;
        without effect on a source that has tables.
    environment
        For `${VARIABLE}` and `${VARIABLE:-default}` in queries and uris; default: that of the
        process.

    Raises
    ------
    SettingsError
        Listing every unknown, missing or mistyped key with its place, and unset variables.
    """
    variables = os.environ if environment is None else environment
    source = replace(from_mapping(Source, read_yaml(path), f"{path}:"), path=path)
    if source.simulate is not None:
        return replace(source, simulate={**source.simulate, **(overrides or {})})
    problems: list[str] = []

    def expanded(part: str, queries: Mapping[str, TableQuery]) -> dict[str, TableQuery]:
        return {
            name: _expanded(table, variables, f"{path}: {part}.{name}", problems)
            for name, table in queries.items()
        }

    views, tables = expanded("views", source.views), expanded("tables", source.tables)
    campaigns = source.campaigns
    if campaigns:
        folder = campaigns.folder
        if isinstance(folder, Path):
            folder = Path(_from_root(str(folder), variables.get("DVC_ROOT")))
        answered = {"responses": campaigns.responses} if campaigns.responses else {}
        campaigns = replace(campaigns, folder=folder, **expanded("campaigns", answered))
    if problems:
        raise SettingsError(problems)
    return replace(source, views=views, tables=tables, campaigns=campaigns)


def made_from(source: Source, *settings: Any) -> str:
    """A digest of what a source says of its data, and of the settings used beside it.

    Stages write it into their manifests, so that others can tell whether what stands there is of
    this source. Titles, passwords and where the files lie do not count.
    """
    described = asdict(source)
    for name in ("title", "about", "where_to_get", "currency", "path", "views", "tables"):
        del described[name]
    if source.retention is None:
        del described["retention"]  # whoever has none keeps the digest of before
    if source.experiment and not source.experiment.doses:
        del described["experiment"]["doses"]  # as it was before there were any
    if source.campaigns:
        described["campaigns"] = str(source.campaigns.folder)
    queries = {name: _as_written(table) for name, table in source.queries.items()}
    body = json.dumps([described, queries, settings], default=_plain)
    return hashlib.sha256(body.encode()).hexdigest()


def _as_written(table: TableQuery) -> str:
    """The query with the names of its variables in the place of their values."""
    query = table.query
    for value, name in sorted(table.variables, reverse=True):
        query = query.replace(value.replace("'", "''"), f"${{{name}}}") if value else query
    return query


def _plain(value: Any) -> Any:
    return vars(value) if is_dataclass(value) else str(value)


def _expanded(
    table: TableQuery, environment: Mapping[str, str], where: str, problems: list[str]
) -> TableQuery:
    """The query and uri with their variables put in."""
    used: dict[str, str] = {}

    def value_of(match: re.Match[str]) -> str:
        variable, default = match[1], match[2]
        value = environment.get(variable) or default
        if value is None:
            problems.append(f"{where}: environment variable {variable} is not set; set it")
            return ""
        if not table.uri:
            value = _from_root(value, environment.get("DVC_ROOT"))
        used[value] = variable
        return value

    uri = _VARIABLE.sub(value_of, table.uri) if table.uri else None
    query = _VARIABLE.sub(lambda match: value_of(match).replace("'", "''"), table.query)
    # Without the final semicolon, so that the query can stand in brackets.
    bare = query.strip().rstrip(";").rstrip()
    return replace(table, query=bare, uri=uri, variables=tuple(used.items()))


def _from_root(value: str, root: str | None) -> str:
    """A relative path as it is, or below DVC_ROOT where only that exists (temporary copies)."""
    if root and not Path(value).is_absolute() and not Path(value).exists():
        below = Path(root) / value
        return str(below) if below.exists() else value
    return value

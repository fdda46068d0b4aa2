"""The parts of a feature family: its features, the aggregates they use, and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import narwhals as nw

from ..churn_definition import ChurnDefinition
from ..expressions import columns_of, divided, ratio
from ..windows import DAY, Tables

Unit = Literal["days", "count", "currency", "share", "ratio", "flag", "category", "number"]


@dataclass(frozen=True)
class Feature:
    """One feature: `value` is an expression over the aggregates and attached columns."""

    name: str
    unit: Unit
    meaning: str
    value: nw.Expr = field(repr=False, compare=False)


@dataclass(frozen=True)
class Aggregate:
    """One number per snapshot: the sum, min or max (`how`) of `value` over visible events.

    Sums and counts are float64, which is exact in any order for whole numbers below 2**53. DuckDB
    is slower otherwise: it sums int64 in 128 bits, and CASE costs more than a cast of a condition.
    """

    name: str
    how: str
    value: nw.Expr = field(repr=False, compare=False)


@dataclass(frozen=True)
class Family:
    """A group of features about one subject.

    Attributes
    ----------
    aggregates
        Aggregates by view of `assemble.VIEWS`; each view is read once.
    attach
        Adds columns that are no aggregates: called with the frame so far and with the snapshots,
        it returns the frame with its columns joined.
    """

    name: str
    features: tuple[Feature, ...]
    aggregates: Mapping[str, tuple[Aggregate, ...]] = field(default_factory=dict)
    attach: Callable[[nw.LazyFrame, nw.LazyFrame], nw.LazyFrame] | None = field(
        default=None, repr=False, compare=False
    )


@dataclass(frozen=True)
class Inputs:
    """What families are built from: tables, windows in days, churn definition, activity kinds."""

    tables: Tables
    windows_days: tuple[int, ...]
    definition: ChurnDefinition
    kinds: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()

    @property
    def trend_days(self) -> int:
        """The window of trends and of counts by kind: the second shortest, or the only one."""
        return sorted(self.windows_days)[min(1, len(self.windows_days) - 1)]

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether there is such a table, and such a column in it."""
        if table not in self.tables:
            return False
        return column is None or column in columns_of(self.tables[table])


def count_if(name: str, condition: nw.Expr) -> Aggregate:
    """Number of visible events that meet the condition."""
    return Aggregate(name, "sum", condition.cast(nw.Float64))


def count_all(name: str) -> Aggregate:
    """Number of visible events."""
    return Aggregate(name, "sum", nw.lit(1.0))


def sum_if(name: str, column: str, condition: nw.Expr | None = None) -> Aggregate:
    """Sum of a column of whole numbers over visible events that meet the condition."""
    value = nw.col(column).cast(nw.Float64)
    return Aggregate(
        name, "sum", value if condition is None else value * condition.cast(nw.Float64)
    )


def latest(name: str, column: str, condition: nw.Expr | None = None) -> Aggregate:
    """Latest moment among visible events that meet the condition; null if none does."""
    value = nw.col(column)
    return Aggregate(name, "max", value if condition is None else nw.when(condition).then(value))


def earliest(name: str, column: str) -> Aggregate:
    """Earliest moment among visible events."""
    return Aggregate(name, "min", nw.col(column))


def trend(recent: nw.Expr, before: nw.Expr) -> nw.Expr:
    """The difference over the sum, from -1 (stopped) to 1 (new); null if both are 0."""
    return ratio(recent - before, recent + before)


def currency(cents: nw.Expr) -> nw.Expr:
    """Cents as currency units."""
    return divided(cents, 100)


def flag(condition: nw.Expr) -> nw.Expr:
    """1 where the condition holds, else 0."""
    return nw.when(condition).then(1).otherwise(0).cast(nw.Int8)


def elapsed_days(start: nw.Expr, end: nw.Expr) -> nw.Expr:
    """Days from one moment to another, as a fraction."""
    return divided(end - start, DAY)

"""Checks of tables against the data contract, which find every violation at once.

The checks read any frame that narwhals reads (DuckDB, pandas, Polars, Spark). A table is scanned
once for the rules about single rows, once for its key and once for the rules about customers; only
rows that break a rule are read again, for examples.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import narwhals as nw
from narwhals.dtypes import DType

from .as_text import text_problem
from .column_types import FLOAT, FREE_TYPES, NUMBER, TEXT, type_name, type_problems
from .contract import KINDS, RESERVED, TABLES, Column, Table, plain_name, tables_with_label
from .violation import ContractError, Violation, hashed

EARLIEST = datetime(1900, 1, 1)
LARGEST = 1e12  # sums of a customer over years stay exact in cents
_SHOWN = 5  # ids and positions of rows
_SHOWN_VALUES = 3


@dataclass(frozen=True)
class _Rule:
    """A rule about the values of a column; `bad` is true for the rows that break it."""

    column: str
    expected: str
    bad: nw.Expr
    cure: str
    found: str = ""


def require(
    tables: Mapping[str, Any],
    *,
    as_of: datetime,
    offers: Collection[str] | None = None,
    known_afterwards: Collection[str] = (),
    label: str | None = None,
    row: str = "",
) -> None:
    """Raise one `ContractError` with every violation that `check` finds, if there is any."""
    violations = check(
        tables,
        as_of=as_of,
        offers=offers,
        known_afterwards=known_afterwards,
        label=label,
        row=row,
    )
    if violations:
        raise ContractError(violations)


def check(
    tables: Mapping[str, Any],
    *,
    as_of: datetime,
    offers: Collection[str] | None = None,
    known_afterwards: Collection[str] = (),
    label: str | None = None,
    row: str = "",
) -> list[Violation]:
    """Every violation of the contract in these tables.

    Parameters
    ----------
    tables
        Frames by table name, native or narwhals, eager or lazy.
    as_of
        The time up to which the data goes, UTC without a zone; no event may be later.
    offers
        Names allowed in `offers.offer`, the control among them; None for any.
    known_afterwards
        Names of columns that are known only after the outcome, which no attribute may have.
    label
        The column of `attributes` that says who left; None where departures have dates.
    row
        A column of every table that is no part of it: the position of the row, from 1, for
        messages. Empty where there is none.

    Returns
    -------
    list of Violation
        In the order of the contract; empty if the tables meet it.
    """
    frames = {name: _lazy(table) for name, table in tables.items()}
    violations = [_unknown_table(name) for name in frames if name not in TABLES]
    if "customers" not in frames:
        cure = "add a query for it to the source"
        violations.append(Violation("customers", "", "exist", "no such table", 0, (), cure))
    id_types: dict[str, DType] = {}
    for name, table in tables_with_label(label).items():
        if name not in frames:
            continue
        frame = frames[name].drop(row) if row else frames[name]
        schema = frame.collect_schema()
        table_violations = _schema_violations(table, schema, frames, known_afterwards)
        broken = {violation.column for violation in table_violations}
        sound = [column for column in schema.names() if column not in broken]
        table_violations += _value_violations(
            table, frames[name], schema, sound, as_of, offers, row
        )
        table_violations += _key_violations(table, frames[name], sound, row)
        identifier = table.customer or "customer_id"
        if identifier in sound:
            id_types[name] = schema[identifier]
        table_violations += _customer_violations(table, frames, sound, id_types, row)
        violations += table_violations
    return violations


def _lazy(table: Any) -> nw.LazyFrame[Any]:
    frame = nw.from_native(table)
    return frame if isinstance(frame, nw.LazyFrame) else frame.lazy()


def _unknown_table(name: str) -> Violation:
    near = difflib.get_close_matches(name, TABLES, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    cure = f"{hint}rename or remove it"
    return Violation(name, "", f"be one of {', '.join(TABLES)}", "an unknown table", 0, (), cure)


def _schema_violations(
    table: Table,
    schema: nw.Schema,
    frames: Mapping[str, Any],
    known_afterwards: Collection[str],
) -> list[Violation]:
    """Columns that are missing, unknown, known only after the outcome or of the wrong type."""

    def violation(column: str, expected: str, found: str, cure: str) -> Violation:
        return Violation(table.name, column, expected, found, 0, (), cure)

    names = schema.names()
    violations: list[Violation] = []
    for column in table.columns:
        if column.needed and column.name not in names:
            cure = "select it in the source's query"
            violations.append(violation(column.name, "exist", f"only {', '.join(names)}", cure))
    if table.one_of and table.instead not in frames and not {*table.one_of} & {*names}:
        cure = f"select one of {', '.join(table.one_of)}, or add the table {table.instead}"
        violations.append(violation(table.one_of[0], "exist", "no outcome", cure))
    later = {plain_name(name) for name in known_afterwards}
    for name, dtype in schema.items():
        known_column = table.column(name)
        if known_column is not None:
            problems = type_problems(known_column.kind, dtype)
            if problems and isinstance(dtype, TEXT):
                example = _first_values(frames[table.name], name, 1)
                problems = [text_problem(known_column.kind, name, *map(str, example))]
            violations += [violation(name, *problem) for problem in problems]
        elif not table.takes_more:
            allowed = [column.name for column in table.columns]
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            cure = f"{hint}remove or rename it in the source's query"
            violations.append(
                violation(name, f"be one of {', '.join(allowed)}", "an unknown column", cure)
            )
        elif plain_name(name) in later:
            expected = "be known before the outcome"
            violations.append(
                violation(name, expected, "a column known only after it", "do not select it")
            )
        elif name.lower() in RESERVED:
            expected = "not have the name of a column of the training tables"
            cure = "rename it in the source's query"
            violations.append(violation(name, expected, f"'{name.lower()}'", cure))
        elif not isinstance(dtype, FREE_TYPES):
            expected = "be a number, text, true or false"
            cure = "cast it in the source's query, a date to days before known_at"
            violations.append(violation(name, expected, type_name(dtype), cure))
    return violations


def _value_violations(
    table: Table,
    frame: nw.LazyFrame[Any],
    schema: nw.Schema,
    sound: Sequence[str],
    as_of: datetime,
    offers: Collection[str] | None,
    row: str,
) -> list[Violation]:
    """Violations of the rules about single rows, all in one scan."""
    rules: list[_Rule] = []
    for name in sound:
        column = table.column(name) or Column(name, "number", "", empty=True)
        allowed = tuple(offers) if (table.name, name) == ("offers", "offer") and offers else None
        rules += _rules_of(column, schema[name], as_of, allowed or column.allowed)
    for earlier, later in table.in_order:
        if earlier in sound and later in sound:
            expected = f"not be before {earlier}"
            cure = "correct it, or leave it empty"
            rules.append(_Rule(later, expected, nw.col(later) < nw.col(earlier), cure))
    counts = [rule.bad.cast(nw.Int64).sum().alias(f"{number}") for number, rule in enumerate(rules)]
    scan = frame.select(nw.len().alias("rows"), *counts).collect()
    identifier = table.customer or "customer_id"
    identifier = identifier if identifier in sound else ""
    violations = []
    if table.name == "customers" and not int(scan["rows"][0]):
        cure = "check the source's query"
        violations.append(Violation("customers", "", "have rows", "none", 0, (), cure))
    for number, rule in enumerate(rules):
        count = int(scan[f"{number}"][0] or 0)
        if count:
            violations.append(_broken(table, frame.filter(rule.bad), rule, count, identifier, row))
    return violations


def _rules_of(
    column: Column, dtype: DType, as_of: datetime, allowed: tuple[str, ...] | None
) -> list[_Rule]:
    """The rules for the values of one column."""
    name, value = column.name, nw.col(column.name)
    fix = "correct or leave out these rows in the source's query"
    rules = []
    if not column.empty:
        rules.append(_Rule(name, "not be empty", value.is_null(), fix, "nothing"))
    if column.kind == "id" and isinstance(dtype, nw.String):
        blank = value.str.strip_chars() == ""
        rules.append(_Rule(name, "not be empty", blank, fix, "blank text"))
    elif column.kind == "id" and isinstance(dtype, nw.UInt64 | nw.Int128 | nw.UInt128):
        rules.append(_Rule(name, "be below 2^63", value >= 2**63, "cast it to text"))
    if isinstance(dtype, FLOAT):
        finite = "use a number, or leave it empty (NULL)"
        rules.append(_Rule(name, "be finite", value.is_nan(), finite, "NaN"))
        infinite = (value == float("inf")) | (value == float("-inf"))
        rules.append(_Rule(name, "be finite", infinite, finite, "infinity"))
    if column.kind == "time":
        cure = f"{fix}, or set as_of in the source"
        rules.append(_Rule(name, f"not be after {as_of} (as_of)", value > as_of, cure))
        rules.append(_Rule(name, f"not be before {EARLIEST:%Y}", value < EARLIEST, fix))
    if column.kind in ("money", "number") and isinstance(dtype, NUMBER):
        huge = (value.abs() >= LARGEST) & (value.abs() < float("inf"))
        rules.append(_Rule(name, f"be below {LARGEST:.0e}", huge, fix))
    if column.kind == "probability":
        outside = (value <= 0) | ((value > 1) & (value < float("inf")))
        rules.append(_Rule(name, f"be {KINDS['probability']}", outside, fix))
    if column.kind == "whole" and isinstance(dtype, FLOAT):
        finite_value = value.abs() < float("inf")
        rules.append(_Rule(name, "be a whole number", finite_value & (value % 1 != 0), fix))
    if column.kind == "flag" and not isinstance(dtype, nw.Boolean):
        rules.append(_Rule(name, "be 0 or 1", ~value.is_in([0, 1]) & ~value.is_null(), fix))
    if column.low is not None:
        below = (value < column.low) & (value > float("-inf"))
        rules.append(_Rule(name, f"be at least {column.low:g}", below, fix))
    if column.high is not None:
        above = (value > column.high) & (value < float("inf"))
        rules.append(_Rule(name, f"be at most {column.high:g}", above, fix))
    if allowed is not None:
        unknown = ~value.is_in(list(allowed)) & ~value.is_null()
        cure = "map it to one of these in the source's query"
        if column.name == "offer":
            cure += (
                ", or add it to the experiment; one that is no longer sent stays there, with a "
                "capacity of 0 (recommend.capacity in params.yaml)"
            )
        rules.append(_Rule(name, f"be one of {', '.join(allowed)}", unknown, cure))
    return rules


def _broken(
    table: Table, rows: nw.LazyFrame[Any], rule: _Rule, count: int, identifier: str, row: str
) -> Violation:
    """The violation of a rule, with example values, positions and hashed ids."""
    found = rule.found
    if not found:
        values = rows.select(value=nw.col(rule.column)).unique().sort("value")
        shown = values.head(_SHOWN_VALUES).collect()["value"]
        try:
            found = ", ".join(str(value) for value in shown.to_list())
        except OverflowError:
            found = "times beyond the year 9999"
    ids = _example_ids(rows, identifier)
    positions = _first_values(rows, row)
    return Violation(
        table.name, rule.column, rule.expected, found, count, ids, rule.cure, positions
    )


def _example_ids(rows: nw.LazyFrame[Any], column: str) -> tuple[str, ...]:
    """Up to five ids of these rows, hashed; none if there is no column of ids."""
    return tuple(hashed(identifier) for identifier in _first_values(rows, column))


def _first_values(rows: nw.LazyFrame[Any], column: str, count: int = _SHOWN) -> tuple[Any, ...]:
    """The smallest values of a column; none if there is no such column ("")."""
    if not column:
        return ()
    values = rows.select(value=nw.col(column)).drop_nulls().unique().sort("value")
    return tuple(values.head(count).collect()["value"].to_list())


def _key_violations(
    table: Table, frame: nw.LazyFrame[Any], sound: Sequence[str], row: str
) -> list[Violation]:
    """A violation if rows share a key."""
    key = [name for name in table.key if name in sound]
    needed = [name for name in table.key if name in sound or table.column(name).needed]  # type: ignore[union-attr]
    if not key or key != needed:
        return []
    filled = [name for name in key if not table.column(name).empty]  # type: ignore[union-attr]
    keyed = frame.drop_nulls(filled)
    groups = keyed.group_by(key).agg(rows=nw.len()).filter(nw.col("rows") > 1)
    surplus = groups.select(rows=nw.col("rows").sum(), keys=nw.len()).collect()
    keys = int(surplus["keys"][0])
    if not keys:
        return []
    expected = f"be unique together with {', '.join(key[1:])}" if len(key) > 1 else "be unique"
    count = int(surplus["rows"][0])
    ids = _example_ids(groups, key[0])
    found = f"{keys:,} {'key' if keys == 1 else 'keys'} used more than once"
    cure = "keep one row of each in the source's query"
    positions: list[int] = []
    if row:
        spans = keyed.group_by(key).agg(
            rows=nw.len(), first=nw.col(row).min(), last=nw.col(row).max()
        )
        repeated = spans.filter(nw.col("rows") > 1).sort("first").head(_SHOWN).collect()
        both = zip(repeated["first"].to_list(), repeated["last"].to_list(), strict=True)
        positions = [int(position) for pair in both for position in pair][:_SHOWN]
    return [Violation(table.name, key[0], expected, found, count, ids, cure, tuple(positions))]


def _customer_violations(
    table: Table,
    frames: Mapping[str, nw.LazyFrame[Any]],
    sound: Sequence[str],
    id_types: Mapping[str, DType],
    row: str,
) -> list[Violation]:
    """Rows whose customer is unknown, and times before that customer signed up.

    Of a table whose people need not be customers only the type of their ids is looked at.
    """
    name = table.customer or "customer_id"
    if table.name not in id_types or "customers" not in id_types:
        return []
    if isinstance(id_types[table.name], nw.String) != isinstance(id_types["customers"], nw.String):
        expected = f"have the type of customers.customer_id ({type_name(id_types['customers'])})"
        cure = "cast one of them in the source's query"
        found = type_name(id_types[table.name])
        return [Violation(table.name, name, expected, found, 0, (), cure)]
    if table.customer is None:
        return []
    customers = frames["customers"]
    dated = _without_zone(customers.collect_schema().get("signed_up_at"))
    start = nw.col("signed_up_at").min() if dated else nw.len()
    people = (
        customers.drop_nulls("customer_id")
        .group_by("customer_id")
        .agg(sign_up=start)
        .select(owner=nw.col("customer_id"), is_known=nw.lit(1), sign_up=nw.col("sign_up"))
    )
    times = [time for time in table.after_sign_up if time in sound] if dated else []
    columns = list(dict.fromkeys([name, *times, *([row] if row else [])]))
    joined = (
        frames[table.name].select(columns).join(people, how="left", left_on=name, right_on="owner")
    )
    orphan = nw.col("is_known").is_null() & ~nw.col(name).is_null()
    cure = "add these customers, or leave out these rows in the source's query"
    rules = [_Rule(name, "be in customers", orphan, cure, "unknown customers")]
    for time in times:
        expected = "not be before the customer's signed_up_at"
        cure = "correct the time, or signed_up_at"
        rules.append(_Rule(time, expected, nw.col(time) < nw.col("sign_up"), cure))
    counts = [rule.bad.cast(nw.Int64).sum().alias(f"{number}") for number, rule in enumerate(rules)]
    scan = joined.select(*counts).collect()
    return [
        _broken(table, joined.filter(rule.bad), rule, int(scan[f"{number}"][0]), name, row)
        for number, rule in enumerate(rules)
        if scan[f"{number}"][0]
    ]


def _without_zone(dtype: DType | None) -> bool:
    """Whether a column exists and has times without a zone, so that they can be compared."""
    return isinstance(dtype, nw.Datetime) and dtype.time_zone is None

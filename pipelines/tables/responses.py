"""Answers to campaigns (`campaigns.responses`): checked like a table, and matched with the logs."""

from __future__ import annotations

from typing import Any

import duckdb

from ...features.contract.as_text import text_problem
from ...features.contract.contract import TABLES, Kind
from ...features.contract.violation import ContractError, Violation, hashed
from ..job.progress import say
from ..settings.sources import RESPONSES, Source, SourceError
from .engine import WHOLE_TYPES

ANSWERS = ("returned", "returned_at", "value", "offer_cost")  # what may be known, as in offers
READ: dict[Kind, str] = {  # from text, in the types of the table offers; null if unreadable
    "flag": "case try_cast({0} as double) when 1 then true when 0 then false "
    "else try_cast({0} as boolean) end",
    "time": "try_cast({0} as timestamptz)::timestamp",
    "money": "try_cast({0} as decimal(18, 2))",
}
SHOWN = 5  # rows and ids in a message
FIRST = 2  # of those whom no campaign knows
NAMED = 5  # campaigns in a message
_NUMBERED = f'(select row_number() over () as row, * from "{RESPONSES}")'
_UNREADABLE = f"""
select count(*) over (), row, customer_id::varchar, {{name}}::varchar from {_NUMBERED}
where {{name}} is not null and {{read}} is null order by row limit {SHOWN}
"""
_REPEATED = f"""
select count(*) over (), sum(count(*)) over (), min(row), customer_id::varchar from {_NUMBERED}
where customer_id is not null and campaign is not null
group by customer_id::varchar, campaign::varchar having count(*) > 1 order by 3 limit {SHOWN}
"""
# Both sides have the keys as the answers have them: what a CSV made a date or a number is compared
# with the date or the number that the log would make.
_ANSWERS = f"""
create temp table answers as
select row, customer_id::varchar as customer_key, campaign::varchar as campaign_key, {{columns}}
from {_NUMBERED}
"""
_LOGS = """
create temp table logs as
select distinct customer_id::varchar as customer_id, campaign,
  {customer_id} as customer_key,
  {campaign} as campaign_key
from read_parquet($files)
"""
_SHARED = f"""
select count(*) over (), row, customer_key from answers
join logs using (customer_key, campaign_key)
group by row, customer_key having count(*) > 1 order by row limit {SHOWN}
"""
_ANSWERED = """
create temp table answered as
select logs.customer_id, logs.campaign, answers.* exclude (row, customer_key, campaign_key)
from answers join logs using (customer_key, campaign_key)
"""
_STRANGERS = """
create temp table strangers as
select row, customer_key, campaign_key,
  coalesce(campaign_key in (select campaign_key from logs), false) as has_log,
  coalesce(customer_key in (select customer_key from logs), false) as is_known
from answers anti join logs using (customer_key, campaign_key)
"""
_CAUSES = """
select (select count(*) from answers), count(*), count(*) filter (not has_log),
  count(*) filter (not is_known), coalesce(min(campaign_key) filter (not has_log), ''),
  coalesce(min(shape(customer_key)) filter (not is_known), '')
from strangers
"""
_SHAPE = r"""
create or replace temp macro shape(id) as
regexp_replace(regexp_replace(id, '\p{N}', '9', 'g'), '\p{L}', 'A', 'g')
"""


def match_responses(
    source: Source, connection: duckdb.DuckDBPyConnection, files: list[str]
) -> list[str]:
    """Make the table `answered`: customer_id and campaign as the logs have them, and the answers.

    Ids and names are compared as text. Times become UTC without a zone. How many answers are of
    nobody is said.

    Parameters
    ----------
    connection
        The engine with the responses; it reads the logs.
    files
        The logs, at least one.

    Returns
    -------
    list of str
        Which of `ANSWERS` are known.

    Raises
    ------
    SourceError
        If a column is missing, or all answers are of nobody.
    ContractError
        If answers cannot be read, or two are of one customer and campaign.
    """
    described = connection.execute(f'describe "{RESPONSES}"').fetchall()
    types = {name: kind for name, kind, *_ in described}
    keyed = {"customer_id", "campaign"} <= {*types}
    if not keyed or not {"returned", "returned_at"} & {*types}:
        raise SourceError(
            f"{RESPONSES}: columns customer_id, campaign, and returned or returned_at are needed, "
            f"found {', '.join(types)}; correct the query"
        )
    read = {name: _read(name) for name in ANSWERS if name in types}
    violations = [_unreadable(connection, name, types[name], sql) for name, sql in read.items()]
    if found := [each for each in (*violations, _repeated(connection)) if each]:
        raise ContractError(found)
    columns = ", ".join(f"{sql} as {name}" for name, sql in read.items())
    connection.execute(_ANSWERS.format(columns=columns))
    keys = {name: _compared(name, types[name]) for name in ("customer_id", "campaign")}
    connection.execute(_LOGS.format(**keys), {"files": files})
    if shared := _shared(connection):
        raise ContractError([shared])
    _refuse_strangers(source, connection)
    connection.execute(_ANSWERED)
    for table in ("answers", "logs", "strangers"):
        connection.execute(f"drop table {table}")
    return [*read]


def _kind(name: str) -> Kind:
    column = TABLES["offers"].column(name)
    assert column is not None
    return column.kind


def _read(name: str) -> str:
    return READ[_kind(name)].format(f"{name}::varchar")


def _compared(name: str, kind: str) -> str:
    """SQL for a key of the log as the answers have it, whose type is `kind`, if that is simple."""
    if kind in WHOLE_TYPES:  # else 1.5 would be 2
        return f"case when regexp_full_match({name}::varchar, '[+-]?\\d+') " + (
            f"then try_cast({name}::varchar as {kind})::varchar end"
        )
    return f"try_cast({name}::varchar as {kind if kind.isalpha() else 'varchar'})::varchar"


def _unreadable(
    connection: duckdb.DuckDBPyConnection, name: str, kind: str, read: str
) -> Violation | None:
    """The values of a column that are no such thing, if there are any."""
    rows = connection.execute(_UNREADABLE.format(name=name, read=read)).fetchall()
    if not rows:
        return None
    example = rows[0][3]
    expected, found, cure = text_problem(_kind(name), name, example)
    found = found if kind == "VARCHAR" else example
    return _violation(name, expected, found, rows[0][0], rows, cure)


def _repeated(connection: duckdb.DuckDBPyConnection) -> Violation | None:
    """The customers who answered twice to one campaign, if there are any."""
    rows = connection.execute(_REPEATED).fetchall()
    if not rows:
        return None
    keys, count = rows[0][:2]
    found = f"{keys:,} {'key' if keys == 1 else 'keys'} used more than once"
    expected, cure = "be unique together with campaign", "keep one row of each"
    shown = [row[1:] for row in rows]
    return _violation("customer_id", expected, found, count, shown, f"{cure} in the source's query")


def _shared(connection: duckdb.DuckDBPyConnection) -> Violation | None:
    """The answers that came as numbers, which several ids of the logs are, if there are any."""
    rows = connection.execute(_SHARED).fetchall()
    if not rows:
        return None
    found = "one that several ids of the log are as a number"
    cure = "read customer_id and campaign as text in the source's query (all_varchar = true)"
    return _violation("customer_id", "be the id of one customer", found, rows[0][0], rows, cure)


def _violation(
    column: str, expected: str, found: str, count: int, rows: list[tuple[Any, ...]], cure: str
) -> Violation:
    """A violation by rows of (count, position, id, ...)."""
    ids = tuple(dict.fromkeys(hashed(row[2]) for row in rows if row[2] is not None))
    positions = tuple(int(row[1]) for row in rows)
    return Violation(RESPONSES, column, expected, found, int(count), ids, cure, positions)


def _refuse_strangers(source: Source, connection: duckdb.DuckDBPyConnection) -> None:
    """Say how many answers are of nobody in the logs and why; refuse where all of them are."""
    connection.execute(_STRANGERS)
    connection.execute(_SHAPE)
    told, strange, *counts = connection.execute(_CAUSES).fetchall()[0]
    if not strange:
        return
    first = connection.execute(
        f"select row, coalesce(customer_key, '') from strangers order by row limit {FIRST}"
    ).fetchall()
    rows, ids = zip(*first, strict=True)
    more = " and more" if strange > FIRST else ""
    words = (
        f"{strange:,} of {told:,} rows of {RESPONSES} are of no customer in a log of campaigns "
        f"({'row' if strange == 1 else 'rows'} {', '.join(map(str, rows))}{more}; hashed ids "
        f"{', '.join(map(hashed, ids))}): {_cause(connection, strange, *counts)}"
    )
    if strange == told:
        raise SourceError(
            f"{source.path}: {words}; correct its columns customer_id and campaign, which must be "
            "as in log.parquet"
        )
    say(words)


def _cause(
    connection: duckdb.DuckDBPyConnection,
    strange: int,
    unnamed: int,
    unknown: int,
    campaign: str,
    shape: str,
) -> str:
    """Why most of these answers are likely to be of nobody."""
    if 2 * unnamed >= strange:
        (names,) = connection.execute(
            "select list(distinct campaign order by campaign) from logs"
        ).fetchall()[0]
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        return f"no log is of campaign '{campaign}' (logs: {', '.join(names[:NAMED])}{more})"
    if 2 * unknown < strange:
        return "they are in the log of another campaign"
    shapes = connection.execute(
        "select distinct shape(customer_id) from logs order by 1"
    ).fetchall()
    if (shape,) in shapes:
        return "no campaign chose an offer for them"
    return f"an id of them looks like '{shape}', those of the logs like '{shapes[0][0]}'"

"""The logs of our own campaigns as rows of the table offers."""

from __future__ import annotations

import duckdb

from ..job.progress import say
from ..settings.sources import RESPONSES, Source, SourceError
from .campaign_files import LOGGED, log_files

ANSWERS = {  # what may be known of a response, in the types of the table offers
    "returned": "boolean",
    "returned_at": "timestamp",
    "value": "decimal(18, 2)",
    "offer_cost": "decimal(18, 2)",
}
_SENT = """
create temp table sent as
select customers.customer_id, {columns}
from read_parquet($files) logged
join customers on customers.customer_id::varchar = logged.customer_id::varchar
"""
_ANSWERED = f"""
left join "{RESPONSES}" answer
on answer.campaign::varchar = logged.campaign
and answer.customer_id::varchar = logged.customer_id::varchar
"""
_STRANGERS = f"""
select
  count(*) filter (logged.customer_id is null),
  count(*),
  min(answer.campaign::varchar) filter (logged.customer_id is null)
from "{RESPONSES}" answer
left join (
  select distinct customer_id::varchar as customer_id, campaign from read_parquet($files)
) logged
on answer.campaign::varchar = logged.campaign and answer.customer_id::varchar = logged.customer_id
"""
_APPENDED = """
create table with_campaigns as
from offers union all by name from sent anti join offers using (customer_id, offered_at)
"""


def add_campaigns(source: Source, connection: duckdb.DuckDBPyConnection) -> None:
    """Append what campaigns sent, and what came of it, to the table offers of the engine.

    Left out are customers whom the source does not have any more, and offers that its own table
    has already. Without responses, the orders after an offer tell who returned.

    Parameters
    ----------
    source
        Whose tables stand in the engine, the responses among them.
    connection
        The engine; it reads the logs.

    Raises
    ------
    SourceError
        If neither orders nor responses tell which lost customers returned, or a column of the
        responses is missing.
    """
    if source.campaigns is None:
        return
    with log_files(source.campaigns.folder, source.name) as logs:
        if logs:
            _append(source, connection, [str(file) for file in logs.values()])


def _append(source: Source, connection: duckdb.DuckDBPyConnection, files: list[str]) -> None:
    listed = connection.execute("select table_name from duckdb_tables()").fetchall()
    tables = {name for (name,) in listed}
    columns = [f"logged.{name}" for name in (*LOGGED, "every_offer_open") if name != "customer_id"]
    query = _SENT
    if RESPONSES in tables:
        answers = _answers(connection)
        _refuse_strangers(source, connection, files)
        columns += [f"answer.{name}::{ANSWERS[name]} as {name}" for name in answers]
        query += _ANSWERED
    elif "orders" not in tables and _reached_the_lost(source, connection, files):
        raise SourceError(
            f"{source.path}: campaigns: no table says which customers returned; add the table "
            "orders, or a query under campaigns.responses"
        )
    connection.execute(query.format(columns=", ".join(columns)), {"files": files})
    if "offers" in tables:
        connection.execute(_APPENDED)
        connection.execute("drop table offers")
        connection.execute("alter table with_campaigns rename to offers")
    else:
        connection.execute("create table offers as from sent")
    connection.execute("drop table sent")


def _reached_the_lost(
    source: Source, connection: duckdb.DuckDBPyConnection, files: list[str]
) -> bool:
    """Whether an offer of the logs, or its control, is one of the experiment among the lost."""
    names = [] if source.experiment is None else [*source.experiment.offer_names]
    (found,) = connection.execute(
        "select count(*) > 0 from read_parquet($files) where offer in $names",
        {"files": files, "names": names},
    ).fetchall()[0]
    return bool(found)


def _refuse_strangers(
    source: Source, connection: duckdb.DuckDBPyConnection, files: list[str]
) -> None:
    """Say how many responses are of nobody in the logs; refuse where all of them are."""
    strange, told, campaign = connection.execute(_STRANGERS, {"files": files}).fetchall()[0]
    if not strange:
        return
    words = (
        f"{strange:,} of {told:,} rows of {RESPONSES} are of no customer in a log of campaigns, "
        f"such as one of campaign '{campaign}'"
    )
    if strange == told:
        raise SourceError(
            f"{source.path}: {words}; correct its columns customer_id and campaign, which must be "
            "as in log.parquet"
        )
    say(words)


def _answers(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns of the responses that tell what came of an offer."""
    columns = [name for name, *_ in connection.execute(f'describe "{RESPONSES}"').fetchall()]
    keyed = {"customer_id", "campaign"} <= {*columns}
    if not keyed or not {"returned", "returned_at"} & {*columns}:
        raise SourceError(
            f"{RESPONSES}: columns customer_id, campaign, and returned or returned_at are needed, "
            f"found {', '.join(columns)}; correct the query"
        )
    return [name for name in ANSWERS if name in columns]

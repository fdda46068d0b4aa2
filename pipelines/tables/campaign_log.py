"""The logs of our own campaigns as rows of the table offers."""

from __future__ import annotations

import duckdb

from ..settings.sources import RESPONSES, Source, SourceError
from .campaign_files import LOGGED, log_files
from .responses import match_responses

_SENT = """
create temp table sent as
select customers.customer_id, {columns}
from read_parquet($files) logged
join customers on customers.customer_id::varchar = logged.customer_id::varchar
"""
_WITH_ANSWERS = """
left join answered
on answered.campaign = logged.campaign and answered.customer_id = logged.customer_id::varchar
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
        If neither orders nor responses tell which lost customers returned, a column of the
        responses is missing, or all of them are of nobody.
    ContractError
        If responses cannot be read, or two are of one customer and campaign.
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
        known = match_responses(source, connection, files)
        columns += [f"answered.{name}" for name in known]
        query += _WITH_ANSWERS
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
    connection.execute("drop table if exists answered")


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

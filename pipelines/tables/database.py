"""Queries to databases through ADBC, with error messages free of secrets."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from ..settings.sources import Source, SourceError

_DRIVERS = {"postgresql": "adbc_driver_postgresql", "postgres": "adbc_driver_postgresql"}
_HOST = r"(?:[\w.%-]*|\[[\w:.%]+\])(?::\d*)?"
# What PostgreSQL and urlsplit take apart alike. Of another uri they would show, or look for a host
# by, a part of the password.
_URI = re.compile(rf"\w+://(?:[^@/?#\[\]]*@)?{_HOST}(?:,{_HOST})*(?:/[^@?#]*)?(?:\?\w+=[^#]*)?")
_CONNECT_SECONDS = 10
_SNAPSHOT = "set transaction isolation level repeatable read, read only"


@contextmanager
def open_databases(source: Source) -> Iterator[dict[str, Any]]:
    """An open cursor by uri, for each database of a source."""
    uris = {table.uri: name for name, table in source.queries.items() if table.uri}
    with ExitStack() as stack:
        yield {
            uri: stack.enter_context(open_database(uri, f"{source.path}: tables.{name}"))
            for uri, name in uris.items()
        }


@contextmanager
def open_database(uri: str, where: str, *, writes: bool = False) -> Iterator[Any]:
    """An ADBC cursor in one transaction, in which every query sees the same moment.

    Parameters
    ----------
    uri
        postgresql://user:password@host:port/name
    where
        The place of the uri, for messages.
    writes
        Whether it may write, seeing what others commit meanwhile; what it wrote is committed when
        the block ends without an error. Otherwise the transaction is read-only.

    Raises
    ------
    SourceError
        If the driver is missing or the database refuses; the password is not in the message.
    """
    driver = _driver(uri, where)
    try:
        connection = driver.connect(_with_timeout(uri))
    except driver.Error as error:
        raise SourceError(
            f"{where}: the database {without_password(uri)} refused the connection: "
            f"{_what_it_said(error, uri)}; check that it runs, and host, user and password"
        ) from None
    with connection, connection.cursor() as cursor:
        if not writes:
            run(cursor, _SNAPSHOT, uri=uri, where=where)
        try:
            yield cursor
            if writes:
                connection.commit()
        except driver.Error as error:
            raise SourceError(
                f"{where}: {without_password(uri)} failed: {_what_it_said(error, uri)}"
            ) from None


def run(cursor: Any, query: str, *, uri: str, where: str) -> None:
    """Execute a query; a failure becomes a `SourceError` that names its place."""
    driver = _driver(uri, where)
    try:
        cursor.execute(query)
    except driver.Error as error:
        raise SourceError(
            f"{where}: the query failed in {without_password(uri)}: {_what_it_said(error, uri)}; "
            "correct it in the source, in the SQL of that database"
        ) from None


def without_password(uri: str) -> str:
    """The uri with what is secret in it left out."""
    parts = urlsplit(uri)
    user = f"{parts.username}@" if parts.username else ""
    hosts = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{user}{hosts}", parts.path, "", ""))


def _driver(uri: str, where: str) -> Any:
    try:
        scheme = urlsplit(uri).scheme
        is_clear = scheme not in _DRIVERS or _URI.fullmatch(uri) is not None
    except ValueError:  # its message may hold a part of the password
        is_clear = False
    if not is_clear:
        raise SourceError(
            f"{where}: uri cannot be read; write '/', '#', '?', '@', '[' and ']' in a password as "
            "%2F, %23, %3F, %40, %5B and %5D"
        )
    if scheme not in _DRIVERS:
        raise SourceError(
            f"{where}: uri must begin with one of {', '.join(_DRIVERS)}, found '{scheme}'; "
            "export the table to parquet and query that instead"
        )
    try:
        return importlib.import_module(f"{_DRIVERS[scheme]}.dbapi")
    except ImportError:
        raise SourceError(
            f"{where}: reading a database needs its driver; pip install -e '.[postgres]' in "
            "the folder of this repository"
        ) from None


def _with_timeout(uri: str) -> str:
    """The uri as it is, and how long to wait for a connection unless it says so itself."""
    query = urlsplit(uri).query
    if "connect_timeout" in dict(parse_qsl(query)):
        return uri
    return f"{uri}{'&' if query else '?'}connect_timeout={_CONNECT_SECONDS}"


def _what_it_said(error: Exception, uri: str) -> str:
    """What the database said, on one line and without the password."""
    text = " ".join(str(error).split())
    parts = urlsplit(uri)
    for secret in (parts.password, dict(parse_qsl(parts.query)).get("password")):
        for form in {secret, unquote(secret), quote(unquote(secret), safe="")} if secret else ():
            text = text.replace(form, "***")
    return text

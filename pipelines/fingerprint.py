"""Stage fingerprint: a hash of the raw data, so that ingest reruns only when they change."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .settings.raw_files import raw_files, require_raw_files
from .settings.sources import Source
from .storage.atomic import file_hash, replace_file
from .tables.campaign_files import log_files
from .tables.database import open_databases, run

# Independent of the order of rows; 64 bits a row, summed exactly.
_CONTENT = "select count(*)::text, sum(hashtextextended(t::text, 0)::numeric)::text from (\n{}\n) t"


def fingerprint(source: Source, *, out: Path) -> None:
    """Hash the raw files or the tables of the database as they are now, and write the hash."""
    replace_file(out, (hash_raw(source) + "\n").encode())


def hash_raw(source: Source) -> str:
    """A hash that changes when, and only when, the raw data of a source change.

    Files are hashed by content. A table in a database is hashed by the database, or by
    `version_query`. Logs of campaigns count. A simulated source has no raw data.

    Raises
    ------
    SourceError
        If a file is missing or a database refuses.
    """
    require_raw_files(source)
    digest = hashlib.sha256(source.name.encode())
    for files in raw_files(source):
        digest.update(files.table.encode())
        for path in files.paths():
            digest.update(f"{path.name} {file_hash(path)}".encode())
    if source.campaigns:
        with log_files(source.campaigns.folder, source.name) as logs:
            for name, file in logs.items():
                digest.update(f"{name} {file_hash(file)}".encode())
    with open_databases(source) as cursors:
        for name, table in source.queries.items():
            if table.uri:
                query = table.version_query or _CONTENT.format(table.query)
                cursor, where = cursors[table.uri], f"{source.path}: tables.{name}"
                run(cursor, query, uri=table.uri, where=where)
                digest.update(f"{name} {cursor.fetchall()}".encode())
    return digest.hexdigest()

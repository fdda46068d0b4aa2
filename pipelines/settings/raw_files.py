"""The files that the queries of a source read, and where to get those that are missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from .sources import Source, SourceError

# Comments are matched too, so that a text inside one is none, and `--` inside a text no comment.
# DuckDB reads a file by its name in double quotes as well.
_TEXTS = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'((?:[^']|'')*)'|"((?:[^"]|"")*)\"""",
    re.DOTALL,
)
_READS = re.compile(r"\bread_\w+\s*\(\s*\[?\s*$", re.IGNORECASE)  # before its first file
_DATA_FILE = re.compile(r"\.(parquet|csv|tsv|json|jsonl|ndjson|txt)(\.gz|\.zst)?$", re.IGNORECASE)


@dataclass(frozen=True)
class RawFiles:
    """Files that a query reads: the path or pattern in the query, and its variable."""

    table: str
    pattern: str
    variable: str | None

    @property
    def remote(self) -> bool:
        """Whether the files lie elsewhere, so that they cannot be looked at from here."""
        return "://" in self.pattern

    def paths(self) -> list[Path]:
        """The files that are there, sorted; all files below where a folder is meant."""
        # Path.glob takes no absolute pattern.
        paths = sorted(Path(path) for path in glob(self.pattern, recursive=True))  # noqa: PTH207
        files = []
        for path in paths:
            inner = path.rglob("*") if path.is_dir() else [path]
            files += sorted(file for file in inner if file.is_file())
        return files


def raw_files(source: Source) -> list[RawFiles]:
    """The files that the queries of a source read, as the literals and names in them tell."""
    files = []
    for name, table in source.queries.items():
        if table.uri:
            continue
        for found in _TEXTS.finditer(table.query):
            literal, quoted = found[1] or "", found[2] or ""
            pattern = literal.replace("''", "'") or quoted.replace('""', '"')
            is_read = bool(literal and _READS.search(table.query, 0, found.start()))
            variable = next((env for value, env in table.variables if value in pattern), None)
            is_path, is_data = "/" in pattern, _DATA_FILE.search(pattern) is not None
            # What is in double quotes may also be the name of a column, such as "notes.txt".
            surely = is_data and is_path if quoted else is_data or (is_path and bool(variable))
            if is_read or surely or ((is_path or is_data) and _is_file(pattern)):
                files.append(RawFiles(name, pattern, variable))
    return files


def _is_file(pattern: str) -> bool:
    """Whether a text is a path or pattern of files that are there, whatever their names end in."""
    if not re.search(r"\w", pattern):  # a text such as */*, which matches what nobody meant
        return False
    return any(Path(path).is_file() for path in glob(pattern, recursive=True))  # noqa: PTH207


def require_raw_files(source: Source) -> None:
    """Raise one `SourceError` that names the missing raw files and says where to get them."""
    missing = {
        files.pattern: files
        for files in raw_files(source)
        if not files.remote and not files.paths()
    }
    if not missing:
        return
    lines = []
    for pattern, files in missing.items():
        cure = f"set {files.variable} to where it lies" if files.variable else "correct the query"
        lines.append(f"{source.path}: '{files.table}' reads {pattern}, not found; {cure}")
    lines.append(f"It is {(source.about or source.title).strip()}.")
    if source.where_to_get:
        lines.append(f"Get it from {source.where_to_get.strip()}")
    raise SourceError("\n".join(lines))

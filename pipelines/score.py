"""`winback score`: score every customer with a model, as an unattended job.

The rows are read as one stream and answered in parts of equal size. Each part is written beside
the output as it is done, so that a job that was killed goes on where it stopped; at the end all of
them appear at once under the output's name, beside a manifest. Readers see the old folder or the
new one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..models.formula.answers import input_columns
from .job.exit_codes import LockHeld, SuppressionsUnusable
from .job.lock import only_one
from .job.progress import say, step
from .registry.opened_model import Opened, open_model
from .registry.signing import public_key
from .scoring import input_rows as batch
from .scoring.drift import distance_from_registration
from .scoring.parts import Task, answer_parts, write_parquet, written_with
from .scoring.postgres_table import check_table, write_table
from .scoring.suppressions import Suppressions, read_suppressions, refuse_everybody
from .settings import moments
from .storage.atomic import MANIFEST, NewFolder, StoreError, file_hash, replace_file
from .storage.leftovers import work_folders
from .storage.places import (
    Address,
    Place,
    check_replaceable,
    local_copy,
    replace_folder,
    waiting,
)
from .storage.shared_files import stamp, stands
from .tables.safe_csv import csv_beside, has_csv, write_csv


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes
    ----------
    features
        A parquet file, or a folder of them, one row a customer; Spark takes those of an object
        store too, and event tables.
    out
        The folder to publish, of this machine or of an object store.
    model
        Registry URI, or a folder with churn/ and winback/.
    suppressions
        Parquet with the customer_id of everybody not to be scored; None where nobody can object.
    as_of
        The moment to score (naive UTC); None takes that of the rows.
    max_age_days
        Of the suppression list.
    drift_limit
        Largest distance of a feature (see `models.evaluation.drift`) that is accepted.
    part_rows
        Rows read per part; it bounds the memory and changes no score.
    threads
        Of LightGBM.
    csv
        Whether to write one CSV of all parts too, beside the folder under its name.
    table, uri
        A table of a PostgreSQL database that gets the scores too, once they are published.
    append
        Whether rows of other moments stay in that table.
    signed_by
        A file with a public key; models that were not signed with its private key are refused.
    """

    features: Place
    out: Place
    model: str
    suppressions: Place | None
    as_of: datetime | None = None
    max_age_days: float = 7.0
    drift_limit: float = 1.0
    part_rows: int = 100_000
    threads: int = 1
    csv: bool = False
    table: str | None = None
    uri: str = ""
    append: bool = False
    signed_by: Path | None = None

    @property
    def here(self) -> Path:
        """The published folder, or what stands for it on this machine while the job works."""
        return waiting(self.out).resolve() if isinstance(self.out, Address) else self.out


def score(job: Job) -> dict[str, Any]:
    """Score, publish, and return the manifest of what was published.

    Raises
    ------
    ValueError
        If the rows or the output folder are unusable.
    DriftBeyondLimit, SuppressionsUnusable, LockHeld, ModelRefused
        See `job.exit_codes`; the output stays as it was.
    """
    check_job(job)
    if isinstance(job.out, Path):
        job = replace(job, out=job.out.resolve())  # the same parts by whatever links it is named
    with only_one(job.here):
        check_out(job)
        opened = opened_for(job)
        assert isinstance(job.features, Path)
        files = batch.input_files(job.features)
        seen = [stamp(file) for file in files]
        columns = input_columns(opened.answers)
        batch.check_columns(files, columns)
        if job.table is not None:
            check_table(job.table, job.uri)
        now = moments.now()
        survey = batch.survey(files, as_of=job.as_of, now=now)
        listed = read_list(job, survey.as_of)
        distance = distance_from_registration(
            opened, files, rows=survey.rows, limit=job.drift_limit
        )
        inputs = {file.name: file_hash(file) for file in files}
        facts = named_facts(
            job, opened, survey.as_of, {"engine": "local", "inputs": inputs, "drift": distance}
        )
        facts["suppressions"] = listed.sha256 if listed else None
        if done := published_before(job, facts):
            return done
        work = work_folder(job.here, facts["job"])
        with (
            step(f"scoring {survey.rows:,} customers with {opened.version}"),
            undisturbed(job.here, work),
        ):
            task = Task(opened.answers, opened.version, survey.as_of, listed)
            parts = answer_parts(task, files, work, part_rows=job.part_rows, threads=job.threads)
        if [stamp(file) for file in files] != seen:
            clear_work(job.here)
            raise ValueError(f"{job.features}: changed while it was scored; start again")
        with undisturbed(job.here, work):
            latest = read_list(job, survey.as_of)
            manifest = publish(job, parts, facts, survey, latest)
        clear_work(job.here)
        to_table(job, manifest["as_of"])
    return manifest


def opened_for(job: Job) -> Opened:
    """The model that is asked for, signed as is asked for."""
    key = public_key(job.signed_by) if job.signed_by else None
    return open_model(job.model, signed_by=key)


def named_facts(
    job: Job, opened: Opened, as_of: datetime, more: Mapping[str, Any]
) -> dict[str, Any]:
    """What the manifest says of a job, and `job`, its name, by which a killed one goes on."""
    facts = {
        "as_of": as_of.isoformat(sep=" "),
        "csv": job.csv,
        "model": {"version": opened.version, "content": opened.content},
        "part_rows": job.part_rows,
        "winback": version("winback"),
        **more,
    }
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return facts | {"job": name}


def to_table(job: Job, as_of: str) -> None:
    """What was published for a moment as a table too, where one is asked for."""
    if job.table is not None:
        which = f" of {as_of}" if job.append else ""
        with step(f"replacing the rows{which} in {job.table}"):
            parts = sorted(job.here.glob("part-*.parquet"))
            only = datetime.fromisoformat(as_of) if job.append else None
            write_table(parts, job.table, job.uri, only_of=only)


def publish(
    job: Job,
    parts: Sequence[Path],
    facts: Mapping[str, Any],
    survey: batch.Survey,
    latest: Suppressions | None,
) -> dict[str, Any]:
    """Let all parts appear at once, without those who are on the list by now."""
    check_out(job)
    with replace_folder(job.out) as new:
        rows = sum(_export(part, new.path / part.name, latest) for part in parts)
        finish(new, facts, survey, rows, latest.sha256 if latest else None)
        if has_csv(job.here):  # the old CSV must not stand beside the new folder
            csv_beside(job.here).unlink(missing_ok=True)
    _write_csv(job)
    say(f"{rows:,} of {survey.rows:,} customers in {job.out}")
    return stands(job.out)


def finish(
    new: NewFolder, facts: Mapping[str, Any], survey: batch.Survey, rows: int, listed: str | None
) -> None:
    """Say in the manifest what was scored, and mark the folder as done.

    Raises
    ------
    ValueError, SuppressionsUnusable
        If nobody was scored: scores of somebody are not replaced by none.
    """
    asked = survey.rows - survey.elsewhere
    if not asked:
        raise ValueError(
            f"none of the {survey.rows:,} rows is of {survey.as_of}; --as-of takes a moment that "
            "rows say"
        )
    refuse_everybody(asked - rows, asked)
    (new.path / "_SUCCESS").write_bytes(b"")
    excluded = {"another as_of": survey.elsewhere, "suppressed": asked - rows}
    new.extra.update(facts)
    new.extra.update(
        rows_in=survey.rows,
        rows_out=rows,
        excluded={why: number for why, number in excluded.items() if number},
        suppressions=listed,
    )


def _export(part: Path, target: Path, latest: Suppressions | None) -> int:
    """A part under its final name, without those who objected since; how many rows it has."""
    if latest is not None and latest.sha256 != written_with(part):
        table = pq.read_table(part)
        allowed = table.filter(pc.invert(latest.hit(table["customer_id"])))
        write_parquet(allowed.combine_chunks(), target)
        return len(allowed)
    try:
        target.hardlink_to(part)
    except OSError:
        shutil.copyfile(part, target)
    return int(pq.read_metadata(part).num_rows)


def read_list(job: Job, as_of: datetime) -> Suppressions | None:
    """Who is not to be scored, None where nobody can object.

    Raises
    ------
    SuppressionsUnusable
        If the list cannot be relied on.
    """
    if job.suppressions is None:
        return None
    try:
        file: Any
        with local_copy(job.suppressions, "objections") as file:
            return read_suppressions(
                file,
                as_of=as_of,
                max_age_days=job.max_age_days,
                otherwise=", or give --no-suppressions where the business has none",
            )
    except StoreError as error:
        raise SuppressionsUnusable(f"suppressions: {error}; nothing was scored") from error


def check_job(job: Job) -> None:
    """Refuse limits that are none."""
    if job.append and job.table is None:
        raise ValueError("--append needs a table to add to; name it with --to-table")
    for option, least in (
        ("part_rows", 1),
        ("threads", 1),
        ("max_age_days", 0),
        ("drift_limit", 0),
    ):
        value = getattr(job, option)
        if not (math.isfinite(value) and value >= least):  # NaN would switch a limit off
            raise ValueError(
                f"--{option.replace('_', '-')} must be at least {least} and finite, found {value:g}"
            )


def check_out(job: Job) -> None:
    """A folder that holds no scores, or a CSV that is not of its scores, is not replaced."""
    if isinstance(job.out, Address):
        if job.csv or job.table is not None:
            raise ValueError("--csv and --to-table need an --out on this machine")
        check_replaceable(job.out)
        return
    out, file = job.out, csv_beside(job.out)
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file()):
        raise ValueError(f"{out}: is there already and holds no scores; name another --out")
    if job.csv and file.exists() and not has_csv(out):
        raise ValueError(f"{file}: is there already and not of these scores; name another --out")


def _write_csv(job: Job) -> None:
    if job.csv:
        parts = sorted(job.here.glob("part-*.parquet"))
        replace_file(csv_beside(job.here), lambda handle: write_csv(parts, handle))


def published_before(job: Job, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest of the output, if the same job finished it with the same list."""
    try:
        manifest = stands(job.out)
    except StoreError:
        return None
    if any(manifest.get(name) != facts[name] for name in ("job", "suppressions")):
        return None
    clear_work(job.here)
    say(f"{job.out} holds these scores already")
    if not csv_beside(job.here).exists():
        _write_csv(job)
    to_table(job, manifest["as_of"])
    return manifest


def work_folder(out: Path, name: str) -> Path:
    """Where the parts of this job wait; what other jobs left there is removed."""
    work = out.with_name(f".{out.name}.work-{name}")
    clear_work(out, but=work)
    work.mkdir(exist_ok=True)
    return work


@contextmanager
def undisturbed(out: Path, work: Path) -> Iterator[None]:
    """Refuse, instead of crashing, where somebody else removed the parts of this job meanwhile.

    The lock excludes other jobs, unless its file is removed; and folders are cleaned by hand.
    """
    disturbed = LockHeld(
        f"{out}: another job, or somebody by hand, removed the parts of this one in {work}; let "
        "that job finish and start again"
    )
    try:
        opened = os.open(work, os.O_RDONLY)  # while it is open, no new folder gets its number
    except FileNotFoundError:
        raise disturbed from None
    try:
        yield
    except Exception as error:
        missing = getattr(error, "filename", None) if isinstance(error, FileNotFoundError) else None
        ours = str(missing or "").startswith(f"{out.parent / f'.{out.name}.'}")
        if ours or not work.is_dir() or not os.path.samestat(os.fstat(opened), work.stat()):
            raise disturbed from error
        raise
    finally:
        os.close(opened)


def clear_work(out: Path, *, but: Path | None = None) -> None:
    """Remove the parts of jobs that wrote to a folder, those of one apart."""
    for work in work_folders(out):
        if work != but:
            with suppress(FileNotFoundError):  # somebody else removes it too
                shutil.rmtree(work)

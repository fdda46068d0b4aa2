"""`winback score`: the answers of a model for every customer, as a job that runs unattended.

The rows are read as one stream and answered in parts of equal size. Each part is written beside
the output as it is done, so that a job that was killed goes on where it stopped; at the end all of
them appear at once under the output's name, beside a manifest. Readers see the old folder or the
new one.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..models.drift import drift
from ..models.inference import Answers, answer, input_columns
from . import batch
from .lock import only_one
from .progress import say, step
from .refusals import DriftBeyondLimit
from .registry import Opened, file_hash, open_model, populations
from .spreadsheet import write_csv
from .store import MANIFEST, StoreError, replace_file, replace_folder, verify
from .suppression import Suppressions, read_suppressions

DRIFT_WARN, DRIFT_ALARM = 0.1, 0.25


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes
    ----------
    features
        A parquet file, or a folder of them, one row a customer.
    out
        The folder to publish.
    model
        Registry URI, or a folder with churn/ and winback/.
    suppressions
        Parquet with the customer_id of everybody not to be scored; None where nobody can object.
    as_of
        The moment to score (naive UTC); None takes that of the rows.
    max_age_days
        Of the suppression list.
    drift_limit
        Largest distance of a feature (see `models.drift`) with which to go on.
    part_rows
        Rows read per part; it bounds the memory and changes no score.
    threads
        Of LightGBM.
    csv
        Whether to add one CSV of all parts.
    """

    features: Path
    out: Path
    model: str
    suppressions: Path | None
    as_of: datetime | None = None
    max_age_days: float = 7.0
    drift_limit: float = 1.0
    part_rows: int = 100_000
    threads: int = 1
    csv: bool = False


def score(job: Job) -> dict[str, Any]:
    """Score, publish, and return the manifest of what was published.

    Raises
    ------
    ValueError
        If the rows or the output folder are unusable.
    DriftBeyondLimit, SuppressionsUnusable, LockHeld, ModelRefused
        See `refusals`; the output stays as it was.
    """
    _check_job(job)
    with only_one(job.out):
        _check_out(job.out)
        opened = open_model(job.model)
        files = batch.input_files(job.features)
        columns = input_columns(opened.answers)
        batch.check_columns(files, columns)
        now = datetime.now(UTC).replace(tzinfo=None)
        found = batch.survey(files, as_of=job.as_of, now=now)
        listed = _read_list(job, found.as_of)
        distance = _drift(job, opened, files, found.rows)
        facts = {
            "as_of": found.as_of.isoformat(sep=" "),
            "csv": job.csv,
            "drift": distance,
            "inputs": {file.name: file_hash(file) for file in files},
            "model": {"version": opened.version, "content": opened.content},
            "part_rows": job.part_rows,
            "winback": version("winback"),
        }
        name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        facts |= {"job": name, "suppressions": listed.sha256 if listed else None}
        if done := _published(job.out, facts):
            _clear_work(job.out)
            say(f"{job.out} holds these scores already")
            return done
        work = _work_folder(job.out, name)
        with step(f"scoring {found.rows:,} customers with {opened.version}"):
            parts = _score_parts(job, opened, files, found, listed, work)
        manifest = _publish(job, parts, facts, found.as_of)
        _clear_work(job.out)
    return manifest


def _score_parts(
    job: Job,
    opened: Opened,
    files: list[Path],
    found: batch.Survey,
    listed: Suppressions | None,
    work: Path,
) -> list[Path]:
    """Write the parts that are not there yet; all of them in order."""
    count = -(-found.rows // job.part_rows)
    parts = [work / f"part-{number:05d}.parquet" for number in range(count)]
    first = 0
    while first < count and _finished(parts[first], listed):
        first += 1
    if first:
        say(f"{first} of {count} parts are there from before")
    keys = [name for name in batch.KEYS if name in pq.read_schema(files[0]).names]
    columns = list(dict.fromkeys([*keys, *input_columns(opened.answers)]))
    stream = batch.chunks(files, columns, start=first * job.part_rows, rows=job.part_rows)
    for part, chunk in zip(parts[first:], stream, strict=True):
        table, excluded = _answered(chunk, opened, found.as_of, listed, job.threads)
        _write(part, table, {"rows_in": len(chunk), "excluded": dict(excluded)}, listed)
    return parts


def _answered(
    chunk: pa.Table,
    opened: Opened,
    as_of: datetime,
    listed: Suppressions | None,
    threads: int,
) -> tuple[pa.Table, Counter[str]]:
    """The answers for one chunk, and how many of its rows were left out and why."""
    kept = chunk.filter(batch.of_moment(batch.moments_of(chunk), as_of))
    excluded = Counter({"another as_of": len(chunk) - len(kept)})
    if listed is not None:
        allowed = kept.filter(pc.invert(listed.hit(kept["customer_id"])))
        excluded["suppressed"] = len(kept) - len(allowed)
        kept = allowed
    schema = _schema(opened.answers, kept.schema)
    if not len(kept):
        return schema.empty_table(), excluded
    frame = batch.typed(kept, input_columns(opened.answers))
    outputs = answer(opened.answers, frame, threads=threads)
    values: dict[str, Any] = {name: outputs[name] for name in outputs.columns}
    values |= {
        "customer_id": kept["customer_id"].cast(schema.field("customer_id").type),
        "as_of": pa.repeat(pa.scalar(as_of, batch.MOMENT), len(kept)),
        "model_version": pa.repeat(opened.version, len(kept)),
    }
    if "population" in schema.names:
        values["population"] = kept["population"].cast(pa.string())
    columns = [_column(values[field.name], field.type) for field in schema]
    return pa.table(columns, schema=schema), excluded


def _column(values: Any, kind: pa.DataType) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    return pa.array(values, type=kind, from_pandas=True)


def _schema(answers: Answers, given: pa.Schema) -> pa.Schema:
    """The columns of every part, whatever rows are in it."""
    whole = pa.types.is_integer(given.field("customer_id").type)
    fields = [
        pa.field("customer_id", pa.int64() if whole else pa.string()),
        pa.field("as_of", batch.MOMENT),
    ]
    if "population" in given.names:
        fields.append(pa.field("population", pa.string()))
    for formula in (answers.churn, answers.winback):
        fields += [pa.field(name, pa.float64()) for name in (formula.outputs if formula else ())]
    if answers.winback is not None:
        fields.append(pa.field("recommended_offer", pa.string()))
    fields.append(pa.field("model_version", pa.string()))
    return pa.schema(fields)


def _write(part: Path, table: pa.Table, facts: dict[str, Any], listed: Suppressions | None) -> None:
    """A part and, once it is safe on disk, the note that says so."""
    replace_file(part, lambda handle: pq.write_table(table, handle, compression="zstd"))
    note = facts | {
        "rows_out": len(table),
        "sha256": file_hash(part),
        "suppressions": listed.sha256 if listed else None,
    }
    replace_file(part.with_suffix(".json"), json.dumps(note, sort_keys=True).encode())


def _finished(part: Path, listed: Suppressions | None) -> bool:
    """Whether a part is whole, and was written with the list as it is now."""
    note = part.with_suffix(".json")
    if not (part.is_file() and note.is_file()):
        return False
    facts = json.loads(note.read_bytes())
    same_list = facts["suppressions"] == (listed.sha256 if listed else None)
    return bool(same_list and facts["sha256"] == file_hash(part))


def _publish(job: Job, parts: list[Path], facts: dict[str, Any], as_of: datetime) -> dict[str, Any]:
    """Check the list again, and let all parts appear at once."""
    latest = _read_list(job, as_of)
    totals: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    with replace_folder(job.out) as new:
        for part in parts:
            note = json.loads(part.with_suffix(".json").read_bytes())
            target = new.path / part.name
            objected = _export(part, target, latest, as_it_was=note["suppressions"])
            excluded.update(note["excluded"])
            excluded["suppressed"] += objected
            totals["rows_in"] += note["rows_in"]
            totals["rows_out"] += note["rows_out"] - objected
        if job.csv:
            write_csv([new.path / part.name for part in parts], new.path / "scores.csv")
        (new.path / "_SUCCESS").write_bytes(b"")
        new.extra.update(facts)
        new.extra.update(totals, excluded={why: rows for why, rows in excluded.items() if rows})
        new.extra["suppressions"] = latest.sha256 if latest else None
    say(f"{totals['rows_out']:,} of {totals['rows_in']:,} customers in {job.out}")
    return verify(job.out)


def _export(part: Path, target: Path, latest: Suppressions | None, *, as_it_was: str | None) -> int:
    """A part under its final name, without those who objected since; how many these are."""
    if latest is not None and latest.sha256 != as_it_was:
        table = pq.read_table(part)
        allowed = table.filter(pc.invert(latest.hit(table["customer_id"])))
        pq.write_table(allowed.combine_chunks(), target, compression="zstd")
        return len(table) - len(allowed)
    try:
        target.hardlink_to(part)
    except OSError:
        shutil.copyfile(part, target)
    return 0


def _drift(job: Job, opened: Opened, files: list[Path], rows: int) -> dict[str, Any]:
    """How far the customers lie from those for whom the model was registered."""
    if opened.reference is None:
        return {"level": "not checked", "why": "the model carries no reference"}
    columns = input_columns(opened.answers)
    keys = [name for name in ("population",) if name in pq.read_schema(files[0]).names]
    asked = batch.sample(files, [*columns, *(k for k in keys if k not in columns)], rows=rows)
    today = batch.typed(asked, columns)
    groups, known = populations(today), populations(opened.reference)
    worst: dict[str, Any] = {"level": "ok", "distance": 0.0}
    for label in sorted(set(groups.unique()) & set(known.unique())):
        before = opened.reference.loc[known == label, list(columns)]
        table = drift(before, today[groups == label], warn=DRIFT_WARN, alarm=DRIFT_ALARM)
        first = table.iloc[0]
        if first["distance"] > worst["distance"]:
            worst = {
                "level": str(first["level"]),
                "distance": round(float(first["distance"]), 6),
                "feature": str(first["feature"]),
                "population": label,
            }
    if worst["distance"] > job.drift_limit:
        raise DriftBeyondLimit(
            f"drift of {worst['feature']} among the {worst['population']} is "
            f"{worst['distance']:.2f}, the limit {job.drift_limit:g}: these are not the customers "
            "the model was registered for; look at the feature, train anew, or raise --drift-limit"
        )
    return worst


def _read_list(job: Job, as_of: datetime) -> Suppressions | None:
    if job.suppressions is None:
        return None
    return read_suppressions(job.suppressions, as_of=as_of, max_age_days=job.max_age_days)


def _check_job(job: Job) -> None:
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


def _check_out(out: Path) -> None:
    """A folder that this job did not write is not replaced."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file()):
        raise ValueError(f"{out}: is there already and holds no scores; name another --out")


def _published(out: Path, facts: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of the output, if the same job finished it with the same list."""
    try:
        manifest = verify(out)
    except StoreError:
        return None
    same = all(manifest.get(name) == facts[name] for name in ("job", "suppressions"))
    return manifest if same else None


def _work_folder(out: Path, name: str) -> Path:
    """Where the parts of this job wait; what other jobs left there is removed."""
    work = out.with_name(f".{out.name}.work-{name}")
    _clear_work(out, but=work)
    work.mkdir(exist_ok=True)
    return work


def _clear_work(out: Path, *, but: Path | None = None) -> None:
    for work in out.parent.glob(f".{out.name}.work-*"):
        if work != but:
            shutil.rmtree(work)

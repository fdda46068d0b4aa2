"""`winback erase`: remove customers from everything that this project keeps of them.

Tables, features, recommendations, truth, scores, reports, the cache of DVC and the reports that
MLflow keeps. Each folder and file is replaced at once, so a job that was killed leaves it as it was
or without them, and running it again finishes. What it cannot reach it names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from .job.at_work import refuse_while_at_work
from .job.lock import only_one
from .job.progress import say
from .settings.yaml_dataclasses import read_yaml
from .storage.atomic import MANIFEST, clean_leftovers, replace_file, replace_folder, verify
from .storage.default_paths import PATHS
from .storage.leftovers import NEW, ROOTS, WORK, work_folders
from .storage.mlflow_home import MODEL_NAME, root, tracking_uri
from .storage.stage_inputs import INPUT_FILES, write_inputs
from .storage.without_customers import page_without, rows_of, write_parquet_without
from .tables.campaign_files import SEND, write_offer_lists
from .tables.safe_csv import csv_beside, has_csv, write_csv

FILES = (PATHS["recommendations"], PATHS["report"])
CUSTOMERS = PATHS["tables"] / "customers.parquet"  # one row each


def erase(customers: Collection[str], *, source: Path, scores: Sequence[Path] = ()) -> str:
    """Remove customers from the project in the working directory; what was done, as text.

    Parameters
    ----------
    customers
        Their ids, as text or as the digits of a number. They are written nowhere.
    source
        The source in use, to say what would bring them back.
    scores
        Folders of published scores outside of `ROOTS`.

    Raises
    ------
    ValueError
        If no id is given, or a folder that holds them is damaged.
    LockHeld
        If a run, a scoring job or a campaign is at work.
    """
    if not customers or not all(customer.strip() for customer in customers):
        raise ValueError("erase: give the id of each customer, none of them empty")
    refuse_while_at_work("erase", root())  # a stage at work would write back what is erased
    removed: Counter[str] = Counter()
    with only_one(PATHS["campaigns"] / "campaign"):  # the lock of who draws one
        folders = sorted({*_folders(), *scores})
        for folder in folders:
            removed.update(_from_folder(folder, customers))
        for file in FILES:
            if rows := _from_file(file, customers):
                removed[str(file)] += rows
        removed.update(_from_cache(customers))
        removed.update(_from_runs(customers))
        foreign = _foreign_files(folders, customers)
    return _summary(removed, foreign, source, given=len(customers))


def _folders() -> Iterator[Path]:
    """Every folder with a manifest below the roots, and those that killed jobs were to publish."""
    for top in ROOTS:
        for directory, inner, files in os.walk(top):
            here = Path(directory)
            if MANIFEST in files:
                inner.clear()
                yield here
            for name in [*inner]:
                if match := NEW.fullmatch(name) or WORK.fullmatch(name):
                    inner.remove(name)
                    yield here / match["name"]


def _from_folder(folder: Path, customers: Collection[str]) -> Counter[str]:
    """Rows removed from each file of a folder; the lock of a folder of scores is held meanwhile."""
    scored = folder.resolve()  # a job has its lock and its parts beside that
    if not (folder / "_SUCCESS").exists() and not work_folders(scored):
        return _from_settled(folder, customers)
    with only_one(scored):
        for work in work_folders(scored):
            if any(rows_of(part, customers) for part in work.glob("*.parquet")):
                shutil.rmtree(work)
        return _from_settled(folder, customers)


def _from_settled(folder: Path, customers: Collection[str]) -> Counter[str]:
    clean_leftovers(folder)
    if not folder.is_dir():
        return Counter()
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    held = {file: rows for file in files if (rows := rows_of(file, customers))}
    if not held:
        _write_missing_csv(folder)
        return Counter()
    manifest = verify(folder)
    if manifest.get("csv"):  # first, so that a kill leaves no CSV that holds them
        csv_beside(folder.resolve()).unlink(missing_ok=True)
    with replace_folder(folder) as new:
        for file in files:
            target = new.path / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file in held:
                write_parquet_without(file, target, customers)
                shutil.copystat(file, target)  # the age of a list of objections stays
            elif file.name not in (MANIFEST, *INPUT_FILES):
                target.hardlink_to(file)
        if (folder / INPUT_FILES[0]).exists():
            write_inputs(new.path)
        if (folder / SEND).exists():
            write_offer_lists(new.path)
        new.extra.update({name: said for name, said in manifest.items() if name != "files"})
        if "rows_out" in manifest:
            new.extra["rows_out"] -= sum(held.values())
            new.extra["erased"] = manifest.get("erased", 0) + sum(held.values())
    _write_missing_csv(folder)
    return Counter({str(file): rows for file, rows in held.items()})


def _write_missing_csv(folder: Path) -> None:
    """The CSV of scores that were published with one, if this job or a killed one removed it."""
    csv = csv_beside(folder.resolve())
    if has_csv(folder) and not csv.exists():
        verify(folder)
        parts = sorted(folder.glob("part-*.parquet"))
        replace_file(csv, lambda handle: write_csv(parts, handle))


def _from_file(file: Path, customers: Collection[str]) -> int:
    clean_leftovers(file)
    rows = rows_of(file, customers) if file.is_file() else 0
    if rows and file.suffix == ".html":
        replace_file(file, page_without(file.read_text(), customers)[0].encode())
    elif rows:
        replace_file(file, lambda handle: write_parquet_without(file, handle, customers))
    return rows


def _from_cache(customers: Collection[str]) -> Counter[str]:
    """Objects of DVC's cache, and leftovers of its experiments, that hold a customer: deleted.

    An object cannot be changed, since its name is its hash; runs that need it make it anew.
    """
    if not (root() / ".dvc").is_dir():
        return Counter()
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    answer = subprocess.run(command, cwd=root(), capture_output=True, text=True, check=True)
    cache = (root() / answer.stdout.strip()).resolve()
    folders = [cache, root() / ".dvc/tmp"]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    doomed = [file for file in files if _held(file, customers)]
    hashes = {file.parent.name + file.name for file in doomed}
    # Lists first: after a kill in between, the next attempt can still find the objects.
    lists = [file for file in files if file.suffix == ".dir" and _listed(file) & hashes]
    for file in [*lists, *doomed]:
        file.unlink(missing_ok=True)
    return Counter({f"{cache}: objects": len(doomed)}) if doomed else Counter()


def _held(file: Path, customers: Collection[str]) -> bool:
    try:
        return rows_of(file, customers) > 0
    except (pa.ArrowException, UnicodeDecodeError):
        return True  # an unreadable file may hold them


def _listed(file: Path) -> set[str]:
    return {entry["md5"] for entry in json.loads(file.read_bytes())}


def _from_runs(customers: Collection[str]) -> Counter[str]:
    """Reports that runs logged in MLflow, by name of the file: logged again without them."""
    uri = tracking_uri()
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return Counter()
    from mlflow.entities import ViewType

    from .registry.opened_model import registry

    client = registry()
    experiment = client.get_experiment_by_name(MODEL_NAME)
    removed: Counter[str] = Counter()
    token = None
    while experiment is not None:
        page = client.search_runs(
            [experiment.experiment_id], run_view_type=ViewType.ALL, page_token=token
        )
        for run in page:
            for artifact in client.list_artifacts(run.info.run_id):
                if artifact.path.endswith(".html"):
                    removed["MLflow: lines of reports"] += _from_run(
                        client, run.info.run_id, artifact.path, customers
                    )
        token = page.token
        if not token:
            break
    return +removed


def _from_run(client: Any, run: str, name: str, customers: Collection[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(client.download_artifacts(run, name, folder))
        page, removed = page_without(file.read_text(), customers)
        if removed:
            file.write_text(page)
            client.log_artifact(run, str(file))
    return removed


def _foreign_files(folders: Collection[Path], customers: Collection[str]) -> list[Path]:
    """Files below the roots that hold them and were not written by any stage."""
    ours = {file for folder in folders for file in folder.rglob("*")} | set(FILES)
    ours |= {csv_beside(folder) for folder in folders}
    files = {file for top in ROOTS for file in top.rglob("*") if file.is_file()} - ours
    return [file for file in sorted(files) if _held(file, customers)]


def _summary(removed: Counter[str], foreign: Sequence[Path], source: Path, *, given: int) -> str:
    for store, rows in sorted(removed.items()):
        say(f"{store}: {rows:,}")
    tables = ", ".join(read_yaml(source).get("tables", {}))
    origin = f"reads them by its queries for {tables}" if tables else "simulates them"
    lines = [
        f"{sum(removed.values()):,} rows, lines and cached files erased."
        if removed
        else "Nothing here holds them.",
        f"{removed[str(CUSTOMERS)]:,} of {given:,} ids were in {CUSTOMERS}.",
        "What is left to you:",
        f"- {source} {origin}: delete them there, or the next run brings them back, an objection "
        "of theirs to being contacted erased;",
        "- models keep no row of anybody, but were trained with them: winback run, then winback "
        "register, train without them;",
        "- a remote of DVC to which runs were pushed, files that winback score was given, tables "
        "of databases that it wrote, and copies of scores that were sent on.",
    ]
    campaigns = str((read_yaml(source).get("campaigns") or {}).get("folder", ""))
    if "://" in campaigns:
        lines.append(f"- {campaigns}: campaigns there hold them still.")
    lines += [f"- {file} holds them and was not written by winback." for file in foreign]
    return "\n".join(lines)

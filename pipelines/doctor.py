"""`winback doctor`: whether this machine and this project are fit for a run, with a cure if not."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from .job.codes import CHECKS
from .job.exit_codes import DONE, REFUSED, Refusal
from .job.progress import presentable
from .job.result import Result
from .job.terminal import paint
from .registry.known_versions import RegistryUnreachable, known_versions, registry_is_empty
from .registry.provenance import has_repository, uncommitted
from .settings.params import PARAMS_FILE, read_params
from .settings.raw_files import raw_files, require_raw_files
from .settings.source_files import load_source, made_from
from .settings.sources import Source, SourceError
from .status import DvcCannotTell, changed_stages
from .storage.atomic import MANIFEST, StoreError, parse_manifest
from .storage.default_paths import PATHS
from .storage.mlflow_home import tracking_uri

LOCK = Path("requirements.lock")
LEAST_DISK_GB = 2.0
MOST_OF_MACHINE = 0.8  # of its memory for DuckDB alone
STYLES = {"ok": "green", "warning": "yellow", "broken": "red"}
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;([^\\]*))?", re.MULTILINE)
_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True)
class Check:
    """One thing looked at: `state` is ok, warning or broken; `cure` says what to do."""

    name: str
    state: str
    told: str
    cure: str = ""


def doctor(named: Path | None = None) -> Result:
    """Every check, one line each; exit code 3 if something is broken, so that a run would fail.

    The source is the file `named`, or that of params.yaml.
    """
    checks = [_python(), _packages(), _disk(), *_project(named), _dvc(), _mlflow(), _spark()]
    lines = []
    for check in checks:
        code = "" if check.state == "ok" else f" [{CHECKS[check.name][0]}]"
        line = f"{check.name}{code}: {check.told}" + (f"; {check.cure}" if check.cure else "")
        lines.append(f"{paint(f'{check.state:<8}', STYLES[check.state])} {presentable(line)}")
    broken = any(check.state == "broken" for check in checks)
    return Result(
        "\n".join(lines),
        {"checks": [vars(check) for check in checks], "broken": broken},
        REFUSED if broken else DONE,
    )


def _project(named: Path | None) -> list[Check]:
    """Settings, and what they lead to where they can be read."""
    try:
        params = read_params()
        source = load_source(named or Path(params.ingest.source))
    except ValueError as error:
        return [Check("settings", "broken", "; ".join(str(error).splitlines()), "correct them")]
    settings = Check("settings", "ok", f"{PARAMS_FILE} and {source.path} are valid")
    return [
        settings,
        _memory(params.machine.memory_limit),
        _source(source),
        _suppressions(source),
        _data(source, params.ingest.seed),
        _git(source),
    ]


def _python() -> Check:
    from packaging.specifiers import SpecifierSet

    told, supported = platform.python_version(), metadata.metadata("winback")["Requires-Python"]
    if SpecifierSet(supported).contains(told):
        return Check("python", "ok", told)
    return Check("python", "broken", f"{told}, needs {supported}", "install such a Python")


def _packages() -> Check:
    if not LOCK.is_file():
        return Check("packages", "warning", f"no {LOCK} to compare with", "work in the repository")
    from packaging.markers import Marker

    differ = []
    pinned = _PINNED.findall(LOCK.read_text())
    for name, version, marker in pinned:
        if marker.strip() and not Marker(marker.strip()).evaluate():
            continue
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = "missing"
        if installed != version:
            differ.append(f"{name} {installed} instead of {version}")
    if differ:
        more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
        cure = f"pip install --require-hashes -r {LOCK}"
        return Check("packages", "warning", f"{', '.join(differ[:5])}{more}", cure)
    return Check("packages", "ok", f"as locked in {LOCK}")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < LEAST_DISK_GB:
        return Check("disk", "warning", f"{free:.1f} GB free", "make room, tables spill to it")
    return Check("disk", "ok", f"{free:.1f} GB free")


def _memory(limit: str) -> Check:
    total = machine_memory()
    wanted = memory_bytes(limit, total)
    told = f"machine.memory_limit is {limit}, this machine has {total / 1e9:.1f} GB"
    if wanted > MOST_OF_MACHINE * total:
        half = max(1, int(total / 2e9))
        cure = f"set machine.memory_limit to {half}GB in params.yaml"
        return Check("memory", "warning", told, cure)
    return Check("memory", "ok", told)


def machine_memory() -> float:
    """Bytes of memory that this process may use: of the machine, or of its container."""
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(total, float(text)) if text.isdigit() else total


def memory_bytes(limit: str, total: float) -> float:
    """A limit of params.yaml in bytes, such as 3GB, 512 MiB or 50% (of `total`)."""
    number = float(re.sub(r"[^\d.]", "", limit))
    if limit.endswith("%"):
        return total * number / 100
    letter = re.sub(r"[\d. ]", "", limit)[0]
    return number * _UNITS[letter]


def _source(source: Source) -> Check:
    try:
        require_raw_files(source)
    except SourceError as error:
        return Check("source", "broken", " ".join(str(error).split()))
    files = [path for part in raw_files(source) if not part.remote for path in part.paths()]
    unreadable = [str(path) for path in files if not os.access(path, os.R_OK)]
    if unreadable:
        return Check("source", "broken", f"{', '.join(unreadable)}: not readable", "chmod +r")
    told = f"{source.path}, {len(files)} files" if files else str(source.path)
    return Check("source", "ok", told)


def _suppressions(source: Source) -> Check:
    """Whether the source says who objected: without it, recommend refuses after all the rest."""
    if source.simulate is not None or "suppressions" in source.tables:
        return Check("suppressions", "ok", "there is a table of them")
    if source.suppressions == "none":
        return Check("suppressions", "ok", f"none, says {source.path}")
    told = f"{source.path} has no such table, so that recommend refuses"
    cure = "add the table, or write 'suppressions: none' where nobody can object"
    return Check("suppressions", "broken", told, cure)


def _data(source: Source, seed: int) -> Check:
    """What ingest found doubtful, if its tables are of this source."""
    file = PATHS["tables"] / MANIFEST
    try:
        manifest = parse_manifest(file.read_bytes(), file)
    except (OSError, StoreError):
        manifest = {}
    if manifest.get("made_from") != made_from(source, seed):
        return Check("data", "ok", "not looked at yet; winback ingest does")
    warnings = manifest.get("warnings", [])
    if warnings:
        return Check("data", "warning", ". ".join(warnings))
    return Check("data", "ok", f"ingest found nothing doubtful in {PATHS['tables']}")


def _git(source: Source) -> Check:
    if shutil.which("git") is None:
        return Check("git", "warning", "not installed", "install git")
    try:
        if not has_repository():
            return Check("git", "warning", "no repository here", "git init, and commit the project")
        changed = uncommitted(source.path)
    except Refusal as error:
        return Check("git", "warning", str(error))
    if changed:
        told = f"{len(changed)} files are not as committed ({', '.join(changed[:3])})"
        return Check("git", "warning", told, "commit them before winback register")
    return Check("git", "ok", "settings, source and code are committed")


def _dvc() -> Check:
    try:
        stale = changed_stages()
    except DvcCannotTell as error:
        at_work = "lock" in str(error)
        cure = "let the run finish" if at_work else "dvc init, in the root of the repository"
        return Check("dvc", "warning" if at_work else "broken", str(error), cure)
    if stale:
        return Check("dvc", "warning", f"changed: {', '.join(stale)}", "winback run")
    return Check("dvc", "ok", "stages are up to date")


def _mlflow() -> Check:
    if registry_is_empty():
        return Check("mlflow", "ok", "no registry yet; winback register makes it")
    try:
        versions = known_versions()
    except RegistryUnreachable as error:
        cure = "start the server, or unset MLFLOW_TRACKING_URI"
        return Check("mlflow", "broken", str(error), cure)
    return Check("mlflow", "ok", f"{tracking_uri()} answers, {len(versions)} aliases")


def _spark() -> Check:
    if util.find_spec("pyspark") is None:
        return Check("spark", "ok", "not installed; only --engine spark needs it")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        cure = "install a JVM (17 or later) for --engine spark"
        return Check("spark", "warning", "pyspark is there, java is not", cure)
    return Check("spark", "ok", "pyspark and java are there")

"""`winback status`: what stands in a project, and which command to type next."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .job.at_work import STAGES
from .job.result import Result
from .job.terminal import columns, paint
from .registry.known_versions import KnownVersion, RegistryUnreachable, known_versions
from .settings.sources import Source
from .storage.atomic import MANIFEST
from .storage.resources import kept

NEVER = "none yet"


def status(source: Source, paths: Mapping[str, Path]) -> Result:
    """What stands, as text and as facts; nothing is changed, and no data is read but manifests.

    Parameters
    ----------
    source
        That of params.yaml.
    paths
        Where the stages write, see `default_paths`.
    """
    features = _manifest(paths["features"])
    stale: list[str] | None = None
    versions: Mapping[str, KnownVersion] = {}
    unreachable = unknown = ""
    try:
        stale = changed_stages()
    except DvcCannotTell as error:
        unknown = str(error)
    try:
        versions = known_versions()
    except RegistryUnreachable as error:
        unreachable = str(error)
    scores = _manifest(paths["scores"])
    following = _next(paths, stale, versions, scores, unreachable)
    costs = kept(STAGES)
    facts = {
        "source": {"name": source.name, "path": source.path},
        "as_of": features.get("as_of"),
        "changed_stages": stale,
        "resources": costs,
        "models": {
            alias: {"version": known.version, "made_at": _when(known.made_at / 1000)}
            for alias, known in versions.items()
        },
        "registry": unreachable or "reachable",
        "report": _made(paths["report"]),
        "list": _made(paths["recommendations"]),
        "scores": _made(paths["scores"] / MANIFEST)
        and {
            "made_at": _made(paths["scores"] / MANIFEST),
            "rows": scores.get("rows_out"),
            "model": scores.get("model", {}).get("version"),
        },
        "next": following,
    }
    lines = [
        ("source", f"{source.title} ({source.path})"),
        ("data", f"as of {features['as_of'][:10]}" if features else NEVER),
        ("stages", f"DVC cannot tell: {unknown}" if stale is None else _stages(stale)),
        ("models", unreachable or _models(versions)),
        ("report", _file(paths["report"])),
        ("list", _file(paths["recommendations"])),
        ("scores", _scores(paths["scores"], scores)),
    ]
    text = "\n".join([*columns(lines), *_costs(costs)])
    return Result(f"{text}\n{paint(f'next    {following}', 'bold')}", facts)


class DvcCannotTell(ValueError):
    """DVC does not say which stages changed; the message holds its first words."""


def changed_stages() -> list[str]:
    """Stages that DVC would run again because of what it sees.

    Stages that follow a changed one are not named, nor are raw data looked at: `winback run` does.

    Raises
    ------
    DvcCannotTell
        Outside of a repository of DVC, or while a run is at work.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        told: Mapping[str, list[Any]] = json.loads(done.stdout)
    except ValueError as error:
        said = (done.stderr or done.stdout).strip().partition("\n")[0].removeprefix("ERROR: ")
        raise DvcCannotTell(said) from error
    always = ["always changed"]
    return [name for name, why in told.items() if why != always]


def _stages(stale: list[str]) -> str:
    if not stale:
        return "up to date (new raw data are noticed by winback run)"
    return f"changed: {', '.join(stale)}, and what follows"


def _costs(costs: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A table of what each stage used when it last ran."""
    if not costs:
        return []
    rows = [
        (stage, f"{used['cpu_seconds']:,.1f}", f"{used['peak_mib']:,.0f}")
        for stage, used in costs.items()
    ]
    return ["", *columns([("last run of", "CPU s", "peak MiB"), *rows], right=(1, 2)), ""]


def _models(versions: Mapping[str, KnownVersion]) -> str:
    told = []
    for alias, known in versions.items():
        words = f"{alias} is version {known.version} of {_when(known.made_at / 1000)[:10]}"
        if known.vetoed and alias == "challenger":
            words += f", vetoed by {', '.join(known.vetoed)}"
        told.append(words)
    return "; ".join(told) or NEVER


def _scores(folder: Path, manifest: Mapping[str, Any]) -> str:
    if not manifest:
        return NEVER
    rows, model = manifest.get("rows_out", 0), manifest.get("model", {}).get("version", "")
    return f"{folder} of {_made(folder / MANIFEST)}, {rows:,} customers, by {model}"


def _file(path: Path) -> str:
    return f"{path} of {_made(path)}" if path.exists() else NEVER


def _next(
    paths: Mapping[str, Path],
    stale: list[str] | None,
    versions: Mapping[str, KnownVersion],
    scores: Mapping[str, Any],
    unreachable: str,
) -> str:
    if stale is None:
        return "winback doctor"
    if stale or not paths["report"].exists():
        return "winback run"
    if unreachable:
        return "winback doctor"
    challenger, champion = versions.get("challenger"), versions.get("champion")
    content = _content(paths)
    if content not in {known.content for known in versions.values()}:
        return "winback register"
    if challenger and challenger.vetoed:
        return "winback run, once data or settings have changed: the challenger was vetoed"
    if challenger and (champion is None or int(challenger.version) > int(champion.version)):
        return "winback promote"
    served = champion and f"/{champion.version}"
    if served and not str(scores.get("model", {}).get("version", "")).endswith(served):
        return "winback score"
    return f"nothing; {paths['report']} says what was found"


def _content(paths: Mapping[str, Path]) -> str:
    from .registry.opened_model import content_hash
    from .storage.trained_models import model_files

    return content_hash(*(model_files(paths[part]) for part in ("churn", "winback", "decision")))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def _made(path: Path) -> str | None:
    return _when(path.stat().st_mtime) if path.exists() else None


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"

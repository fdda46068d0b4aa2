"""Provenance of a model: the code, the settings and the data that made it, as tags."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..job.exit_codes import Refusal
from ..settings.params import PARAMS_FILE
from ..storage.atomic import file_hash

CODE = ("features", "models", "pipelines", "dvc.yaml")
_FOREIGN = "dubious ownership"  # in what git says of the repository of another user


def origin(features: Mapping[str, Any], *, dirty: bool) -> dict[str, str]:
    """Tags that say what made a model.

    Parameters
    ----------
    features
        The manifest of the folder of features, verified.
    dirty
        Whether files differ from the last commit, see `uncommitted`.
    """
    lock = Path("dvc.lock")
    files = {name: facts["sha256"] for name, facts in features["files"].items()}
    return {
        "winback.as_of": features["as_of"],
        "winback.version": version("winback"),
        "winback.git": _git("rev-parse", "HEAD").strip() + ("-dirty" if dirty else ""),
        "winback.dvc_lock": file_hash(lock) if lock.exists() else "",
        "winback.dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
        "winback.data": hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest(),
    }


def uncommitted(source: Path) -> list[str]:
    """Files that made the model, or could have, and are not as in the last commit.

    Tracked files that differ (but for dvc.lock, which every run writes), code that git does not
    know, and settings or the source if they are not tracked at all. Without a repository these
    are params.yaml and the source.

    Raises
    ------
    Refusal
        If git does not trust the repository, which belongs to another user.
    """
    settings = [str(PARAMS_FILE), str(source)]
    changed = _listed("diff", "--name-only", "-z", "HEAD", "--", ".", ":!dvc.lock")
    unknown = _listed("ls-files", "-z", "--others", "--exclude-standard", "--", *CODE)
    missing = [name for name in settings if not _listed("ls-files", "-z", "--", name)]
    return list(dict.fromkeys([*changed, *unknown, *missing]))


def has_repository() -> bool:
    """Whether the project lies in a repository of git.

    Raises
    ------
    Refusal
        See `uncommitted`.
    """
    return bool(_git("rev-parse", "--is-inside-work-tree"))


def _listed(*arguments: str) -> list[str]:
    return [name for name in _git(*arguments).split("\0") if name]


def _git(*arguments: str) -> str:
    in_english = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, env=in_english
        )
    except FileNotFoundError:
        return ""
    if _FOREIGN in done.stderr:
        raise Refusal(f"git refuses: {' '.join(done.stderr.split())}")
    return done.stdout

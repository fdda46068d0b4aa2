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

FOREIGN = "dubious ownership"  # in what git says of the repository of another user
CODE = ("features", "models", "pipelines", "dvc.yaml")


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
    here = Path.cwd()
    inside = source.is_absolute() and source.is_relative_to(here)
    settings = [str(PARAMS_FILE), str(source.relative_to(here) if inside else source)]
    changed = _listed("diff", "--name-only", "-z", "HEAD", "--", ".", ":!dvc.lock")
    unknown = _listed("ls-files", "-z", "--others", "--exclude-standard", "--", *CODE)
    tracked = _listed("ls-files", "-z", "--full-name", "--", *settings)
    prefix = _git("rev-parse", "--show-prefix").strip()
    missing = [name for name in settings if prefix + name not in tracked]
    return list(dict.fromkeys([*changed, *unknown, *missing]))


def _listed(*arguments: str) -> list[str]:
    return [name for name in _git(*arguments).split("\0") if name]


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    if FOREIGN in done.stderr:
        raise Refusal(
            f"git does not trust {Path.cwd()}, which belongs to another user; "
            f"git config --global --add safe.directory {Path.cwd()}"
        )
    return done.stdout

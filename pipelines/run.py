"""`winback run`: run the whole pipeline with dvc and print a summary."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ruamel.yaml import YAML

from .job.at_work import refuse_while_at_work
from .job.progress import say
from .settings.params import PARAMS_FILE, read_params
from .settings.source_files import load_source
from .storage import failed_stage
from .storage.atomic import replace_file
from .storage.default_paths import PATHS
from .storage.leftovers import ROOTS, sweep
from .storage.mlflow_home import root


def run(source: Path | None) -> int:
    """Check every setting, run what changed, and say what came out.

    The exit code is that of the stage that failed, else that of dvc.

    Parameters
    ----------
    source
        A source file to run on from now on (kept in params.yaml), or None for the one there.

    Raises
    ------
    LockHeld
        If another run is at work here, or what is left of one that was killed.
    """
    begun = time.monotonic()
    params = read_params()
    chosen = source or Path(params.ingest.source)
    load_source(chosen)
    refuse_while_at_work("run", root())
    if chosen != Path(params.ingest.source):
        _keep_source(chosen)
    for leftover in sweep(ROOTS):
        say(f"removed {leftover}, left by a run that was killed")
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    }
    failed_stage.forget()
    done = subprocess.run([sys.executable, "-m", "dvc", "repro"], env=environment, check=False)
    if done.returncode:
        return failed_stage.left() or done.returncode
    sys.stdout.write(PATHS["summary"].read_text())
    sys.stdout.write(f"  took      {time.monotonic() - begun:.0f} s\n")
    return 0


def _keep_source(source: Path) -> None:
    """Change one value of params.yaml and leave its comments and order alone."""
    yaml = YAML()
    document = yaml.load(PARAMS_FILE.read_text())
    document["ingest"]["source"] = source.as_posix()
    replace_file(PARAMS_FILE, lambda handle: yaml.dump(document, handle))

"""What the whole pipeline costs on the simulated telecom, stage by stage.

    python benchmarks/full_run.py [--quick]

Every stage is a process of its own, run by its command in a new folder; `peak MiB` is the largest
resident memory of that process. `--quick` takes a tenth of the customers. With `--keep FOLDER` the
finished run stays there, for the benchmarks that need one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from results import show

ROOT = Path(__file__).resolve().parent.parent
STAGES = (
    *("ingest", "featurize", "train_churn", "train_winback"),
    *("recommend", "evaluate", "report"),
)


def costs(
    folder: Path,
    *,
    scale: float,
    root: Path = ROOT,
    environment: Mapping[str, str] = os.environ,
) -> pd.DataFrame:
    """Seconds, CPU seconds and peak memory of each stage, with settings and source of `root`."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(root / name, folder / name)
    shutil.copytree(root / "sources", folder / "sources")
    source = folder / "sources/kumar.yaml"
    source.write_text(source.read_text().replace("scale: 1.0", f"scale: {scale:g}"))
    records = [cost(stage, folder, environment) for stage in STAGES]
    return pd.DataFrame(records).set_index("stage")


def cost(
    stage: str, folder: Path, environment: Mapping[str, str] = os.environ
) -> dict[str, str | float]:
    """Seconds, CPU seconds and peak memory of a stage, run in a folder by its command."""
    begun = time.perf_counter()
    command = [str(Path(sys.executable).parent / "winback"), stage]
    child = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"winback {stage} ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "stage": stage,
        "seconds": time.perf_counter() - begun,
        "cpu s": used.ru_utime + used.ru_stime,
        "peak MiB": used.ru_maxrss / 1024,
    }


def main() -> None:
    """Run the stages and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the customers")
    parser.add_argument("--keep", type=Path, help="a new folder for the finished run")
    asked = parser.parse_args()
    scale = 0.1 if asked.quick else 1.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = costs(folder, scale=scale)
    total = found.sum().rename("all")
    total["peak MiB"] = found["peak MiB"].max()
    show(f"the pipeline at scale {scale:g}", pd.concat([found, total.to_frame().T]), decimals=1)


if __name__ == "__main__":
    main()

"""What each stage costs, beside an earlier revision: ratios of runs made in turn on one machine.

    python benchmarks/resources.py --baseline REV [--scale 0.1] [--repeats 3]

The code, settings and sources of REV are unpacked beside this repository; both run in this
environment, in turn, so that whatever slows the machine slows both. A ratio above 1 means that the
code here takes more. `low` and `high` are the ends of the ratios of the single pairs; a ratio whose
ends lie on both sides of 1 says nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pandas as pd
from full_run import ROOT, STAGES, costs
from results import show

COMPARED = {"cpu s": "cpu", "peak MiB": "peak"}


def checked_out(revision: str, scratch: Path) -> Path:
    """A folder with the files of a revision; the repository notices nothing."""
    folder, packed = scratch / "baseline", scratch / "baseline.tar"
    git = ("git", "-C", str(ROOT), "archive", "--format=tar", f"--output={packed}", revision)
    subprocess.run(git, check=True)
    with tarfile.open(packed) as files:
        files.extractall(folder, filter="data")
    return folder


def importing(root: Path, scratch: Path) -> dict[str, str]:
    """The environment in which `winback` is the package of that folder."""
    path = scratch / f"import-{root.name}"
    path.mkdir()
    (path / "winback").symlink_to(root, target_is_directory=True)
    return os.environ | {"PYTHONPATH": str(path)}


def ratios(here: list[pd.DataFrame], there: list[pd.DataFrame]) -> pd.DataFrame:
    """Medians of both, their ratio, and the ends of the ratios of pairs, by stage."""
    table = pd.DataFrame(index=pd.Index(STAGES, name="stage"))
    for column, name in COMPARED.items():
        ours, theirs = (pd.DataFrame([run[column] for run in runs]) for runs in (here, there))
        pairs = ours.reset_index(drop=True) / theirs.reset_index(drop=True)
        table[f"{column}, baseline"] = theirs.median()
        table[column] = ours.median()
        table[f"{name} ratio"] = ours.median() / theirs.median()
        table[f"{name} low"], table[f"{name} high"] = pairs.min(), pairs.max()
    return table


def main() -> None:
    """Run both in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", required=True, metavar="REV", help="a revision of git")
    parser.add_argument("--scale", type=float, default=0.1, help="of the customers; default 0.1")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; default 3")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        roots = (ROOT, checked_out(asked.baseline, scratch))
        environments = [importing(root, scratch) for root in roots]
        found: list[list[pd.DataFrame]] = [[], []]
        for repeat in range(asked.repeats):
            for which in (0, 1) if repeat % 2 else (1, 0):
                folder = scratch / f"run-{repeat}-{which}"
                folder.mkdir()
                run = costs(
                    folder, scale=asked.scale, root=roots[which], environment=environments[which]
                )
                found[which].append(run)
    show(f"stages beside {asked.baseline}, scale {asked.scale:g}", ratios(*found), decimals=2)


if __name__ == "__main__":
    main()

"""What the gates of `winback promote` say of a champion's twins: trained alike, with another seed.

    python benchmarks/twins.py [--seeds 20] [--scale 0.4] [--apart 0.3]

A world is simulated and its models become champion. Then both training stages run again with other
seeds; each result is registered and judged against the champion by the commands, on customers who
were kept apart from all of them. A twin is neither better nor worse: a gate that vetoes it is
nervous, one that says underpowered asks for more customers.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
from full_run import ROOT, costs
from mlflow import MlflowClient
from results import show

AGAINST = ("churn_auc", "return_auc", "policy")
SEED = re.compile(r"^  seed: \d+", re.MULTILINE)


def winback(folder: Path, *command: str) -> int:
    """Exit code of a command in the folder, with the registry of that folder."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    program = str(Path(sys.executable).parent / "winback")
    done = subprocess.run(
        [program, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode not in (0, 3, 10):
        raise RuntimeError(f"winback {' '.join(command)}: {done.stderr[-2_000:]}")
    return done.returncode


def with_seed(text: str, seed: int) -> str:
    """params.yaml with that seed for both training stages, and for no other."""
    for stage in ("train_churn", "train_winback"):
        first = text.index(f"\n{stage}:")
        head, rest = text[:first], text[first:]
        text = head + SEED.sub(f"  seed: {seed}", rest, count=1)
    return text


def client(folder: Path) -> MlflowClient:
    """Of the registry of that folder."""
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def judged(folder: Path, version: int) -> dict[str, str]:
    """What each gate against the champion said of a version."""
    tags = client(folder).get_model_version("winback", str(version)).tags
    return {
        name: tags[f"winback.gate.{name}_over_champion"]
        for name in AGAINST
        if f"winback.gate.{name}_over_champion" in tags
    }


def main() -> None:
    """Train, judge, and print a row a twin and the counts of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--scale", type=float, default=0.4)
    parser.add_argument("--apart", type=float, default=0.3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        params = (ROOT / "params.yaml").read_text()
        params = re.sub(r"kept_apart: [\d.]+", f"kept_apart: {asked.apart}", params)
        root = folder / "root"
        root.mkdir()
        (root / "params.yaml").write_text(params)
        for name in ("dvc.yaml", "sources"):
            (root / name).symlink_to(ROOT / name)
        project = folder / "project"
        project.mkdir()
        costs(project, scale=asked.scale, root=root)
        assert winback(project, "register", "--allow-dirty") == 0
        client(project).set_registered_model_alias("winback", "champion", "1")
        said = []
        for version in range(2, asked.seeds + 2):
            (project / "params.yaml").write_text(with_seed(params, 1_000 + version))
            for stage in ("train_churn", "train_winback", "recommend"):
                assert winback(project, stage) == 0
            assert winback(project, "register", "--allow-dirty") == 0
            ended = winback(project, "promote", "--judge")
            said.append({"twin": version - 1, "exit code": ended, **judged(project, version)})
            print(json.dumps(said[-1]), flush=True)
    rows = pd.DataFrame(said)
    counts = {name: Counter(text.split(":")[0] for text in rows[name]) for name in rows.columns[2:]}
    table = pd.DataFrame(counts).T.fillna(0).astype(int).rename_axis("gate")
    show(f"{asked.seeds} twins, scale {asked.scale:g}, {asked.apart:g} kept apart", table)
    print(f"\n{(rows['exit code'] == 0).sum()} of {asked.seeds} may be promoted")


if __name__ == "__main__":
    main()

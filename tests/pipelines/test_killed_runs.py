"""`winback run` killed at random moments, with or without the processes that it began."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from bar import FULL
from killed_commands import visible

from winback.pipelines.storage.atomic import verify

KILLS = 8
PUBLISHED = ("artifacts/decision", "artifacts/churn", "artifacts/winback", "data/features")
OLD, NEW = "holdout_share: 0.1", "holdout_share: 0.2"  # recommend and what follows run again

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FULL, reason="takes minutes; make bar runs it"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for orphans in /proc"),
]


def begun(project):
    """A run in a group of processes of its own."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (project / "said.txt").open("ab") as said:
        return subprocess.Popen(
            ["winback", "run"],
            cwd=project,
            env=os.environ | {"PATH": path, "PYTHONHASHSEED": "0"},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def end_orphans(project):
    """What a user does whom the refusal names the process: end those at work in the project."""
    mine = [
        process
        for process in psutil.process_iter(["cwd"])
        if process.info["cwd"] and Path(process.info["cwd"]) == project
    ]
    for process in mine:
        process.kill()
    psutil.wait_procs(mine)
    return len(mine)


@pytest.mark.bar("runs of the pipeline killed: a folder in part, or a run that does not finish it")
def test_a_killed_run_leaves_whole_folders_and_the_next_one_finishes(finished, tmp_path, figure):
    changed = tmp_path / "changed"
    shutil.copytree(finished, changed, symlinks=True)
    params = changed / "params.yaml"
    assert OLD in params.read_text()
    params.write_text(params.read_text().replace(OLD, NEW))
    whole, project = tmp_path / "whole", tmp_path / "project"
    shutil.copytree(changed, whole, symlinks=True)
    first = time.monotonic()
    assert begun(whole).wait() == 0, (whole / "said.txt").read_text()
    lasts = time.monotonic() - first
    new = visible(whole)
    draw, found, alone, orphans = random.Random(1), [], 0, 0
    for number in range(KILLS):
        shutil.rmtree(project, ignore_errors=True)
        shutil.copytree(changed, project, symlinks=True)
        run = begun(project)
        time.sleep(draw.uniform(0.2, 0.9) * lasts)
        if number % 2:
            os.killpg(run.pid, signal.SIGKILL)
        else:
            run.kill()
            alone += 1
        run.wait()
        ended = begun(project).wait()
        if ended == 8:  # an orphan is still at work, and the message names it
            assert "let it finish, or end it" in (project / "said.txt").read_text()
            orphans += end_orphans(project) > 0
            for folder in PUBLISHED:
                if (project / folder).exists():  # DVC removes what a stage will write anew
                    verify(project / folder)
            ended = begun(project).wait()
        left = [str(p) for p in project.rglob(".*.new-*") if ".dvc" not in p.parts]
        differ = [name for name, digest in new.items() if visible(project).get(name) != digest]
        if ended or left or differ:
            said = (project / "said.txt").read_text()[-2_000:]
            found.append((number, ended, left, differ, said))
    assert alone
    figure(tries=KILLS, found=len(found), about=found)

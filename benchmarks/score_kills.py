"""Scoring jobs killed at random moments, met by a second one, or out of disk: what stands after.

A folder of older scores is there; a job with a new suppression list replaces it. It is killed with
SIGKILL after a random time; it is started twice at once; its disk is full at five sizes. Counted:
whether the folder is old, new or half; whether the next run ends with the bytes of a job that
nobody disturbed; how many chunks were answered again. The disk is a tmpfs where mounting is
allowed, else a limit on the size of files. Run `winback run` first; `--quick` kills 10 times, the
default is 200. `score_faults.py` does it at every single call.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jobs import start

from winback.pipelines.job.exit_codes import LockHeld
from winback.pipelines.score import Job
from winback.pipelines.scoring import parts as answering
from winback.pipelines.storage.atomic import clean_leftovers, verify

SOURCE, MODELS = Path("data/features/current.parquet"), "artifacts"
ROWS, PART_ROWS = 6_000, 250
PARTS = -(-ROWS // PART_ROWS)
DISKS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of what the job needs

ANSWERED = mmap.mmap(-1, 1)  # chunks answered, shared with the children
_once = answering.answered


def _counted(chunk: Any, task: Any) -> Any:
    ANSWERED[0] += 1
    return _once(chunk, task)


answering.answered = _counted


@dataclass(frozen=True)
class Scene:
    """A job, and what its folder may hold."""

    job: Job
    old: dict[str, Any]
    new: dict[str, Any]
    archive: Path

    def reset(self) -> None:
        """The old scores stand, nothing has been answered."""
        for left in [self.job.out, *self.job.out.parent.glob(f".{self.job.out.name}.work-*")]:
            shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(self.archive, self.job.out)
        ANSWERED[0] = 0

    def look(self, seen: Counter[str]) -> None:
        """Count what stands, run again, and count how that ended."""
        clean_leftovers(self.job.out)
        stands = verify(self.job.out)
        seen["old"] += stands == self.old
        seen["new"] += stands == self.new
        seen["half"] += stands not in (self.old, self.new)
        again = start(self.job)
        ended = os.waitpid(again, 0)[1]
        seen["same bytes after a second run"] += ended == 0 and verify(self.job.out) == self.new
        repeated = ANSWERED[0] - PARTS
        seen["more than one chunk again"] += repeated > 1
        seen["chunks answered again"] += max(0, repeated)
        left = list(self.job.out.parent.glob(f".{self.job.out.name}.*"))
        seen["leftovers"] += len(left) > 1  # the lock's file stays


def kills(scene: Scene, times: int, lasts: float) -> Counter[str]:
    """Kill the job at random moments of its life."""
    draw, seen = random.Random(1), Counter[str]()
    for _ in range(times):
        scene.reset()
        child = start(scene.job)
        time.sleep(draw.uniform(0, 1.1 * lasts))
        os.kill(child, signal.SIGKILL)
        seen["killed before it ended"] += os.waitpid(child, 0)[1] == signal.SIGKILL
        scene.look(seen)
    return seen


def pairs(scene: Scene, times: int) -> Counter[str]:
    """Start the job twice at once."""
    seen: Counter[str] = Counter()
    for _ in range(times):
        scene.reset()
        children = [start(scene.job), start(scene.job)]
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        seen["one done, the other refused with 8"] += codes == [0, LockHeld.exit_code]
        scene.look(seen)
    return seen


def full_disks(scene: Scene, disk: Path, mounted: bool) -> Counter[str]:
    """Let the job run out of disk at several sizes, then give it room."""
    seen: Counter[str] = Counter()
    small = replace(scene, job=replace(scene.job, out=disk / "scores"))
    needs = sum(facts["bytes"] for facts in scene.new["files"].values())
    largest = max(facts["bytes"] for facts in scene.new["files"].values())
    for share in DISKS:
        if mounted:
            _remount(disk, "64m")
        small.reset()
        if mounted:
            pages = sum(-(-file.stat().st_size // 4096) for file in small.job.out.iterdir()) + 12
            _remount(disk, str(4096 * pages + int(share * needs)))
        child = start(small.job, largest_file=0 if mounted else int(share * largest))
        seen["stopped by the disk"] += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        if mounted:
            clean_leftovers(small.job.out)
            seen["old at once"] += verify(small.job.out) == scene.old
            _remount(disk, "64m")
        small.look(seen)
    return seen


def _seconds(job: Job) -> float:
    begun = time.perf_counter()
    os.waitpid(start(job), 0)
    return time.perf_counter() - begun


def _remount(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def _mounted(disk: Path) -> bool:
    asked = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def main() -> None:
    """Kill, look, finish, compare; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kills", type=int, default=200)
    given = parser.parse_args()
    times = 10 if given.quick else given.kills
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        customers = pq.read_table(SOURCE).slice(0, ROWS)
        pq.write_table(customers, folder / "customers.parquet")
        pq.write_table(customers.select(["customer_id"])[::10], folder / "objected.parquet")
        job = Job(folder / "customers.parquet", folder / "scores", MODELS, None)
        job = replace(job, part_rows=PART_ROWS)
        new_job = replace(job, suppressions=folder / "objected.parquet")
        os.waitpid(start(replace(job, out=folder / "old")), 0)
        os.waitpid(start(replace(new_job, out=folder / "new")), 0)
        lasts = min(_seconds(replace(new_job, out=folder / f"timed{run}")) for run in range(3))
        scene = Scene(new_job, verify(folder / "old"), verify(folder / "new"), folder / "old")
        disk = folder / "disk"
        disk.mkdir()
        mounted = _mounted(disk)
        how = " (tmpfs)" if mounted else ": the size of files limited"
        try:
            results = {
                f"{times} kills within {lasts:.2f} s, {PARTS} chunks": kills(scene, times, lasts),
                f"{times // 10} pairs of jobs at once": pairs(scene, times // 10),
                f"{len(DISKS)} full disks{how}": full_disks(scene, disk, mounted),
            }
        finally:
            if mounted:
                subprocess.run(["umount", str(disk)], check=True)
    broken = False
    for title, seen in results.items():
        print(title)
        for what, count in seen.items():
            print(f"  {what:34} {count:>6}")
        runs = seen["old"] + seen["new"] + seen["half"]
        broken |= seen["half"] > 0 or seen["same bytes after a second run"] != runs
        broken |= seen["more than one chunk again"] > 0
    raise SystemExit(broken)


if __name__ == "__main__":
    main()

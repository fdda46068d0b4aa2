"""Every write, flush, rename and link of a scoring job fails, and is its last, each in turn.

A library put before the C library counts the calls that a job makes on its own files, of Python and
of Arrow alike; then the n-th fails as on a full disk, or the process is killed in front of it or in
the middle of what it writes, for each n. Counted: whether the published folder is the old or the
new one; whether the next run ends with the bytes of a job that nobody disturbed; how many chunks
were answered again. Needs a C compiler as `cc` and Linux. Run `winback run` first; `--quick` takes
every 20th call.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

LIBRARY = Path(__file__).with_name("faults.c")
MODES = {"fails": 1, "killed before it": 2, "killed within it": 3}
ROWS, PART_ROWS = 600, 150


def with_library() -> ctypes.CDLL:
    """The counting library, loaded before all others: the program starts itself anew with it."""
    if "WINBACK_FAULTS" in os.environ:
        return ctypes.CDLL(os.environ["WINBACK_FAULTS"])
    with tempfile.TemporaryDirectory() as place:
        built = Path(place) / "faults.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", built, LIBRARY, "-ldl"], check=True)
        environment = os.environ | {"LD_PRELOAD": str(built), "WINBACK_FAULTS": str(built)}
        done = subprocess.run([sys.executable, *sys.argv], env=environment, check=False)
    raise SystemExit(done.returncode)


def main() -> None:
    """Count, disturb, look, finish, compare; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    step = 20 if parser.parse_args().quick else 1
    library = with_library()

    import pyarrow.parquet as pq

    from winback.pipelines.score import Job, score
    from winback.pipelines.scoring import parts as answering
    from winback.pipelines.storage.atomic import clean_leftovers, verify

    shared = mmap.mmap(-1, 16)  # chunks answered, calls counted; written by the children

    def add(at: int, number: int) -> None:
        shared[at : at + 8] = (number + took(at)).to_bytes(8, "little")

    def took(at: int) -> int:
        return int.from_bytes(shared[at : at + 8], "little")

    once = answering.answered
    answering.answered = lambda *given: (add(0, 1), once(*given))[1]

    def in_child(job: Job, *, number: int = 0, mode: int = 0) -> int:
        child = os.fork()
        if child == 0:
            with Path(os.devnull).open("w") as silent:
                os.dup2(silent.fileno(), 2)
            library.arm(f"/{job.out.parent.name}/".encode(), ctypes.c_long(number), mode)
            code = 1
            try:
                score(job)
                code = 0
            finally:
                add(8, library.counted())
                os._exit(code)
        return os.waitpid(child, 0)[1]

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "job"
        folder.mkdir()
        customers = pq.read_table("data/features/current.parquet").slice(0, ROWS)
        pq.write_table(customers, Path(place) / "customers.parquet")
        objected = Path(place) / "objected.parquet"
        pq.write_table(customers.select(["customer_id"])[::10], objected)
        job = Job(Path(place) / "customers.parquet", folder / "scores", "artifacts", None)
        job = replace(job, part_rows=PART_ROWS, csv=True)
        new_job = replace(job, suppressions=objected)
        in_child(replace(job, out=folder / "old"))
        in_child(replace(new_job, out=folder / "new"))
        old, new = verify(folder / "old"), verify(folder / "new")

        def fresh() -> None:
            shutil.rmtree(job.out, ignore_errors=True)
            for work in folder.glob(".scores.work-*"):
                shutil.rmtree(work)
            shutil.copytree(folder / "old", job.out)
            shared[:16] = bytes(16)

        fresh()
        in_child(new_job)
        calls, parts = took(8), -(-ROWS // PART_ROWS)
        print(f"{calls} calls of a job of {parts} chunks, each disturbed in turn")
        broken = 0
        for name, mode in MODES.items():
            seen: Counter[str] = Counter()
            for number in range(1, calls + 1, step):
                fresh()
                ended = in_child(new_job, number=number, mode=mode)
                seen["ran"] += 1
                seen["killed"] += os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
                clean_leftovers(job.out)
                stands = verify(job.out)
                seen["old"] += stands == old
                seen["new"] += stands == new
                seen["half"] += stands not in (old, new)
                again = in_child(new_job)
                seen["finished with the same bytes"] += again == 0 and verify(job.out) == new
                repeated = took(0) - parts
                seen["chunks answered again, at most"] = max(
                    seen["chunks answered again, at most"], repeated
                )
                seen["leftovers"] += len(list(folder.glob(".scores.*"))) > 1  # its lock stays
            print(f"call {name}")
            for what, count in seen.items():
                print(f"  {what:32} {count:>6}")
            whole = seen["finished with the same bytes"] == seen["ran"]
            broken += seen["half"] or not whole or seen["chunks answered again, at most"] > 1
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()

"""Commands of winback, killed, failed or short of memory: what stands after.

A program that a library put before the C library counts for (`benchmarks/faults.c`): it runs a
command from the same start again and again, in processes of its own, and disturbs each at another
call that changes a file, at a random moment, or by a limit of its address space. Counted is what is
half, and where a second call of the command does not end with what a call that nobody disturbed
leaves. It prints these counts as JSON.

    python tests/killed_commands.py FINISHED_PROJECT COMMAND TIMES calls|random|memory
"""

import ctypes
import hashlib
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "benchmarks/faults.c"
FAILS, KILLED_BEFORE, KILLED_WITHIN, FAILS_ON = 1, 2, 3, 4  # as in the library
SCORE = "score --features data/features/current.parquet --no-suppressions --model artifacts"
REGISTER = "register --allow-dirty"
UNOPPOSED = "promote --unopposed"
OTHER_MODELS = "change models"  # not a command of winback: see `change_models`
COMMANDS = {  # what is called, after what was called
    "score": (f"{SCORE} --part-rows 3000", [f"{SCORE} --part-rows 4000"]),
    "campaign": ("campaign --name spring", []),
    "erase": ("erase --customer 17", [f"{SCORE} --part-rows 4000", "campaign --name spring"]),
    "register": (REGISTER, [REGISTER, OTHER_MODELS]),
    "promote": (UNOPPOSED, [REGISTER, UNOPPOSED, OTHER_MODELS, REGISTER]),
    "rollback": (
        "promote --rollback",
        [REGISTER, UNOPPOSED, OTHER_MODELS, REGISTER, UNOPPOSED],
    ),
    "recommend": (None, []),
    "evaluate": (None, []),
    "ingest": (None, []),
}
REGISTRY = {"register", "promote", "rollback"}
MODULES = {"rollback": "promote"}
SKIPPED = shutil.ignore_patterns(".git", ".dvc", "tests", "docs", "benchmarks", "mlflow.db*")
QUERIES = (
    "select alias, version from registered_model_aliases order by 1",
    "select version, description is not null from model_versions order by 1",
    "select key from registered_model_tags where key not like 'winback.history%' order by 1",
    "select status from runs where status not in ('FAILED', 'KILLED') order by 1",
)


def change_models():
    """Another decision, as another run would leave it."""
    from winback.pipelines.storage.atomic import MANIFEST, write_manifest

    folder = Path("artifacts/decision")
    decision = json.loads((folder / "decision.json").read_text())
    decision["draws"]["key"] += " of another run"
    (folder / "decision.json").write_text(json.dumps(decision))
    write_manifest(folder, json.loads((folder / MANIFEST).read_text()))


def address_space(what):
    """Bytes of address space of this process: `VmSize` now, `VmPeak` at most so far."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024


def in_child(project, command, *, library=None, at=0, mode=0, after=None, memory=None):
    """Run a command in a process of its own; how it ended, the calls it made and its memory.

    `memory` is the most address space that it may have beyond what it starts with, in bytes; the
    memory that it returns is what it took beyond that start.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            with (project.parent / "said.txt").open("ab") as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
            os.chdir(project)
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{project}/mlflow.db"
            starts_with = address_space("VmSize")
            if memory is not None:
                resource.setrlimit(resource.RLIMIT_AS, (starts_with + memory,) * 2)
            if library is not None:
                library.arm(f"{project}/".encode(), ctypes.c_long(at), mode)
            if command == OTHER_MODELS:
                code = change_models() or 0
            else:
                from winback.pipelines.cli import main
                from winback.pipelines.settings import moments

                moments.now = lambda: datetime(2030, 1, 1)  # a campaign notes when it was drawn
                code = main(command.split())
        except BaseException as error:
            os.write(2, f"{command}: {error!r}\n".encode())
        finally:
            calls = library.counted() if library is not None else 0
            os.write(write, f"{calls} {address_space('VmPeak') - starts_with}".encode())
            os._exit(code)
    os.close(write)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    ended = os.waitpid(child, 0)[1]
    with os.fdopen(read, "rb") as told:
        calls, took = (told.read() or "0 0").split()
        return ended, int(calls), int(took)


def visible(project):
    """SHA-256 of every file that a reader sees, by path; the registry apart."""
    found = {}
    for place in ("data", "artifacts", "reports"):
        for file in sorted((project / place).rglob("*")):
            inner = file.relative_to(project)
            if file.is_file() and not any(part.startswith(".") for part in inner.parts):
                found[inner.as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def registry(project):
    """What the registry says: aliases, versions, intentions, runs."""
    file = project / "mlflow.db"
    if not file.exists():
        return None
    with closing(sqlite3.connect(file)) as database:
        try:
            return [database.execute(query).fetchall() for query in QUERIES]
        except sqlite3.OperationalError:  # killed while MLflow made its tables
            return None


def units(files):
    """Files by what is replaced at once: a folder with a manifest, or a file."""
    folders = {str(Path(name).parent) for name in files if name.endswith("/_manifest.json")}
    grouped = {}
    for name, digest in files.items():
        homes = [str(parent) for parent in Path(name).parents if str(parent) in folders]
        grouped.setdefault(homes[-1] if homes else name, {})[name] = digest
    return grouped


def half(now, old, new):
    """Folders and files that are neither as they were nor as they shall be."""
    now, old, new = units(now), units(old), units(new)
    return [
        name for name in {*now, *old, *new} if now.get(name) not in (old.get(name), new.get(name))
    ]


def leftovers(project):
    """Hidden files and folders of killed writers."""
    pattern = re.compile(r"\..*\.(new|old|work)-.*")
    places = [project / place for place in ("data", "artifacts", "reports")]
    return [file for place in places for file in place.rglob(".*") if pattern.fullmatch(file.name)]


def disturbed(finished, name, times, library, how):
    """Counts of a command that is disturbed as many times, evenly over its calls or its memory."""
    from winback.pipelines.settings.yaml_dataclasses import read_yaml
    from winback.pipelines.storage.atomic import clean_leftovers

    command, before = COMMANDS[name]
    command = command or " ".join(
        read_yaml(finished / "dvc.yaml")["stages"][name]["cmd"].split()[1:]
    )
    counted = ("disturbed", "killed", "refused", "half", "not finished by a second call")
    seen = Counter(dict.fromkeys(counted, 0))
    notes = []
    with tempfile.TemporaryDirectory() as place:
        project, archive = Path(place) / "project", Path(place) / "start"
        shutil.copytree(finished, project, ignore=SKIPPED)
        for first in before:
            ended, *_ = in_child(project, first)
            assert ended == 0, (first, (Path(place) / "said.txt").read_text())
        project.rename(archive)
        old = visible(archive)

        def fresh():
            shutil.rmtree(project, ignore_errors=True)
            shutil.copytree(archive, project)

        fresh()
        begun = time.perf_counter()
        ended, calls, memory = in_child(project, command, library=library)
        lasts = time.perf_counter() - begun
        assert ended == 0, (Path(place) / "said.txt").read_text()
        new, kept = visible(project), registry(project)
        seen["calls"] = calls
        draw = random.Random(1)
        tries = min(times, calls) if how == "calls" else times
        for number in range(tries):
            at = 1 + number * calls // tries
            mode = (KILLED_WITHIN, KILLED_BEFORE, FAILS, FAILS_ON)[number % 4]
            fresh()
            if how == "random":
                ended, *_ = in_child(project, command, after=draw.uniform(0, 1.1 * lasts))
                what = "at random"
            elif how == "memory":
                limit = number**2 * memory // tries**2  # most is reserved and never used
                ended, *_ = in_child(project, command, memory=limit)
                what = f"{limit:,} of {memory:,} bytes"
            else:
                ended, *_ = in_child(project, command, library=library, at=at, mode=mode)
                what = f"call {at} of {calls}, mode {mode}"
            seen["disturbed"] += 1
            seen["killed"] += os.WIFSIGNALED(ended)
            seen["refused"] += os.WIFEXITED(ended) and ended != 0
            for folder in {Path(unit) for unit in units({**old, **new})}:
                clean_leftovers(project / folder)
            if wrong := half(visible(project), old, new):
                seen["half"] += 1
                notes.append(f"{what}: half: {wrong}")
            settled = visible(project) == new and registry(project) == kept
            again = 0
            if not (name == "rollback" and settled):  # else another rollback is another one
                again, *_ = in_child(project, command)
            if again or visible(project) != new or registry(project) != kept or leftovers(project):
                seen["not finished by a second call"] += 1
                differ = [k for k, v in new.items() if visible(project).get(k) != v]
                notes.append(
                    f"{what}: ended {again}; differ {differ}; registry {registry(project)} "
                    f"not {kept}; left {leftovers(project)}"
                )
        said = (Path(place) / "said.txt").read_text()
    seen["seconds"] = round(lasts, 1)
    return {**seen, "notes": notes, "said": said[-3_000:] if notes else ""}


def main():
    """Start again with the library first; then disturb, and print the counts."""
    if "WINBACK_FAULTS" not in os.environ:
        with tempfile.TemporaryDirectory() as place:
            built = Path(place) / "faults.so"
            subprocess.run(
                ["cc", "-shared", "-fPIC", "-O1", "-o", built, LIBRARY, "-ldl"], check=True
            )
            environment = os.environ | {"LD_PRELOAD": str(built), "WINBACK_FAULTS": str(built)}
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)
    finished, name, times, how = sys.argv[1:]
    # Once for all children: importing what a command uses takes longer than the command.
    importlib.import_module(f"winback.pipelines.{MODULES.get(name, name)}")
    if name in REGISTRY:
        importlib.import_module("mlflow.pyfunc")
    library = ctypes.CDLL(os.environ["WINBACK_FAULTS"])
    found = disturbed(Path(finished).resolve(), name, int(times), library, how)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

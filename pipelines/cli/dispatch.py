"""One command run from its arguments to its exit code; a mistake is one message, no traceback."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..job.codes import NO_MEMORY, code_of
from ..job.exit_codes import BROKEN_EXPERIMENT, CRASH, DONE, REFUSED, SAMPLE_RATIO, Refusal
from ..job.result import Result
from ..job.terminal import paint
from .commands import COMMANDS
from .parser import parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit code."""
    parsed = parse(COMMANDS, sys.argv[1:] if arguments is None else arguments)
    if parsed is None:
        return DONE
    name, given = parsed
    # Threads that spin while they wait make LightGBM many times slower on a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with _project(given.project):
            result = COMMANDS[name].run(given) or Result()
            if COMMANDS[name].stage:
                from ..storage.resources import keep  # the run has loaded what it needs

                keep(name)
    except Exception as error:
        code = code_of(error)
        exit_code = CRASH if code is None else _exit_code(error)
        if COMMANDS[name].stage:
            from ..storage import failed_stage

            failed_stage.leave(exit_code)
        if code is None:
            raise
        message = _told(error, code)
        told = f"winback {name} [{code}]: {message}"
        sys.stderr.write(paint(told, "red", sys.stderr) + "\n")
        result = Result(facts={"error": message, "code": code}, exit_code=exit_code)
    if vars(given).get("json"):
        facts = {**result.facts, "exit_code": result.exit_code}
        sys.stdout.write(json.dumps(_plain(facts), default=str) + "\n")
    elif result.text:
        sys.stdout.write(result.text.rstrip("\n") + "\n")
    return result.exit_code


def script() -> NoReturn:
    """Run `main` as a program and end the process at once.

    A normal end of the interpreter lets DuckDB's binding print lines about leaks of its own, which
    are harmless and would worry whoever reads the log of a job.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def _project(folder: Path | None) -> Iterator[None]:
    """Work in that folder, if one is given."""
    if folder is None:
        yield
        return
    if not folder.is_dir():
        raise Refusal(f"--project {folder}: no such folder")
    with contextlib.chdir(folder):
        yield


def _told(error: Exception, code: str) -> str:
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | ValueError):
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if code == NO_MEMORY:
        return f"no more memory ({str(error).splitlines()[0] if str(error) else 'none is free'})"
    if not isinstance(error, FileNotFoundError):
        return str(error)
    name = os.fsdecode(error.filename) if error.filename else str(error)
    if by_pyarrow := re.search(r"Failed to open local file '(.+?)'", name):
        name = by_pyarrow[1]
    elif not error.filename and " " in name:  # a sentence of ours; pyarrow gives the bare path too
        return name
    return f"{name}: not found; winback run makes it, winback status says what stands"


def _exit_code(error: Exception) -> int:
    if isinstance(error, Refusal):
        return error.exit_code
    if not isinstance(error, ValueError | FileNotFoundError):
        return CRASH
    from ...models.experiment.randomization import ExperimentError, SampleRatioMismatch

    if isinstance(error, SampleRatioMismatch):
        return SAMPLE_RATIO
    return BROKEN_EXPERIMENT if isinstance(error, ExperimentError) else REFUSED


def _plain(value: Any) -> Any:
    """A value as JSON knows it: NumPy's numbers as Python's, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The settings that a command works with: params.yaml and the source, by path or by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..job.exit_codes import Refusal

if TYPE_CHECKING:
    from ..settings.params import Params
    from ..settings.sources import Source

SOURCES = Path("sources")


def params() -> Params:
    """params.yaml of the project.

    Raises
    ------
    Refusal
        If this is no project.
    ValueError
        If a setting is unknown, missing or out of range.
    """
    from ..settings.params import PARAMS_FILE, read_params

    if not PARAMS_FILE.is_file():
        raise Refusal(
            f"{PARAMS_FILE}: not found in {Path.cwd()}, so this is no winback project; go to one, "
            "or name it: --project DIR"
        )
    return read_params()


def source(named: Path | None = None) -> Source:
    """The source that is named, else that of params.yaml."""
    from ..settings.source_files import load_source

    return load_source(Path(params().ingest.source) if named is None else source_file(named))


def source_file(named: Path) -> Path:
    """The file of a source given by path or by name: `kumar` is sources/kumar.yaml.

    Raises
    ------
    Refusal
        If there is no source of that name; the message says which there are.
    """
    from ..settings.yaml_dataclasses import suggest

    by_name = SOURCES / f"{named}.yaml"
    if not named.is_file() and len(named.parts) == 1 and by_name.is_file():
        return by_name
    if not named.is_file():
        known = sorted(file.stem for file in SOURCES.glob("*.yaml"))
        raise Refusal(f"--source {named}: no such source; {suggest(named.stem, known)}")
    return named

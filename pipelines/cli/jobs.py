"""Commands that run the pipeline, search settings, and erase customers."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..job.result import Result
from .declare import Command, argument, local, paths
from .settings import params, source, source_file


def _run(given: Namespace) -> Result:
    from ..run import run

    params()
    return Result(exit_code=run(source_file(given.source) if given.source else None))


def _tune(given: Namespace) -> Result:
    from ..tune import tune

    settings = params()
    options = {"features": given.features, "fits": given.fits}
    return Result(tune(source(), settings.train_churn, settings.machine, **options))


def _erase(given: Namespace) -> Result:
    from ..erase import erase
    from ..settings.params import PARAMS_FILE
    from ..settings.yaml_dataclasses import read_yaml

    text = given.customers.read_text("utf-8-sig") if given.customers else ""
    customers = {*given.customer, *(line.strip() for line in text.splitlines() if line.strip())}
    kept = read_yaml(PARAMS_FILE)["ingest"]["source"]  # other settings may be wrong meanwhile
    return Result(erase(customers, source=Path(kept), scores=given.scores))


JOBS = {
    "run": Command(
        "the whole pipeline, then what it found",
        _run,
        (
            argument(
                "--source",
                type=local,
                metavar="NAME",
                help="of sources/, or a file; kept in params.yaml",
            ),
        ),
    ),
    "tune": Command(
        "better settings of the churn model",
        _tune,
        (
            *paths("features"),
            argument("--fits", type=int, default=20, help="settings to try (default 20)"),
        ),
    ),
    "erase": Command(
        "remove customers from all that is kept",
        _erase,
        (
            argument(
                "--customer",
                action="append",
                default=[],
                metavar="ID",
                help="may be given several times",
            ),
            argument("--customers", type=local, metavar="FILE", help="a text file, one id a line"),
            argument(
                "--scores",
                type=local,
                nargs="+",
                default=[],
                metavar="DIR",
                help="published folders outside of data/",
            ),
        ),
    ),
}

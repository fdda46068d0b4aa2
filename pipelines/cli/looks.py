"""Commands that look at what stands and change nothing."""

from __future__ import annotations

import sys
from argparse import Namespace

from ..job.codes import code_of
from ..job.exit_codes import BROKEN_EXPERIMENT, SAMPLE_RATIO
from ..job.result import Result
from ..job.terminal import paint
from ..storage.default_paths import PATHS
from .declare import POPULATION, Command, argument, flag, local, paths
from .settings import params, source, source_file


def _status(_: Namespace) -> Result:
    from ..status import status

    return status(source(), PATHS)


def _doctor(given: Namespace) -> Result:
    from ..doctor import doctor

    return doctor(source_file(given.source) if given.source else None)


def _readout(given: Namespace) -> Result:
    from ...models.experiment.randomization import ExperimentError, SampleRatioMismatch
    from ..readout import Standing, read_out
    from ..reporting.readout_text import verdict_of_broken

    try:
        return read_out(
            source(given.source),
            params(),
            standing=None if given.source else Standing(PATHS["tables"], PATHS["features"]),
            population=given.population,
            out=given.out,
            allow_mismatch=given.allow_mismatch,
            everything=given.all,
        )
    except ExperimentError as error:
        sys.stderr.write(
            paint(f"winback readout [{code_of(error)}]: {error}", "red", sys.stderr) + "\n"
        )
        told = verdict_of_broken(error)
        return Result(
            paint(told, "bold"),
            {"honest": False, "verdict": told, "check": error.check, "error": str(error)},
            SAMPLE_RATIO if isinstance(error, SampleRatioMismatch) else BROKEN_EXPERIMENT,
        )


def _customer(given: Namespace) -> Result:
    from ..customer import customer

    return customer(
        given.id,
        source(),
        tables=given.tables,
        features=given.features,
        churn=given.churn,
        winback=given.winback,
        recommendations=given.recommendations,
        html=given.html,
    )


def _monitor(given: Namespace) -> Result:
    from ..monitor import monitor

    return monitor(
        source(), params().machine, tables=given.tables, scores=given.scores, out=given.out
    )


LOOKS = {
    "status": Command("what stands, and what to type next", _status, json=True),
    "doctor": Command(
        "whether this machine and project are fit to run",
        _doctor,
        (
            argument(
                "--source",
                type=local,
                metavar="NAME",
                help="of sources/, or a file; by default that of params.yaml",
            ),
        ),
        json=True,
    ),
    "readout": Command(
        "what an experiment says",
        _readout,
        (
            argument(
                "--source",
                type=local,
                metavar="NAME",
                help="of sources/, or a file, read anew; by default that of params.yaml, from the "
                "tables that stand",
            ),
            POPULATION,
            argument("--out", type=local, metavar="DIR", help="a folder for the tables"),
            flag("--allow-mismatch", "go on although arms have odd sizes or differ"),
            flag("--all", "the tables of effects in full"),
        ),
        json=True,
    ),
    "customer": Command(
        "what the list says about one customer, and why",
        _customer,
        (
            argument("id", metavar="ID", help="of the customer"),
            argument("--html", type=local, metavar="FILE", help="a page that says the same"),
            *paths("tables", "features", "churn", "winback", "recommendations"),
        ),
        json=True,
    ),
    "monitor": Command(
        "what past scores said, and what came of it",
        _monitor,
        (
            argument(
                "scores",
                type=local,
                nargs="*",
                default=[PATHS["scores"]],
                metavar="DIR",
                help="published scores, or folders that hold some; default data/scores",
            ),
            *paths("tables"),
            argument(
                "--out",
                type=local,
                default=PATHS["monitor"],
                metavar="FILE",
                help="CSV, a line a job; default %(default)s",
            ),
        ),
        json=True,
    ),
}

"""Changes to a scoring job, its command line, and what it published."""

import pandas as pd

from winback.pipelines.cli import main
from winback.pipelines.score import Job

BAD_DATA, DRIFT, SUPPRESSIONS, LOCK, MODEL = 3, 6, 7, 8, 9  # exit codes


def but(job, **changes):
    """A job with other settings."""
    return Job(**{**vars(job), **changes})


def rows(folder):
    """The published scores of a folder."""
    return pd.concat(
        [pd.read_parquet(part) for part in sorted(folder.glob("part-*.parquet"))],
        ignore_index=True,
    )


def command(job, *more):
    """Exit code of the same job on the command line."""
    lists = ("--suppressions", str(job.suppressions)) if job.suppressions else ()
    given = ("--features", str(job.features), "--out", str(job.out), "--model", job.model)
    return main(["score", *given, *lists, "--part-rows", str(job.part_rows), *more])

"""Commands of the registry, and scores from it."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..job.exit_codes import SuppressionsUnusable
from ..job.result import Result
from ..storage.default_paths import PATHS
from .declare import ENGINE, Command, OneOf, anywhere, argument, flag, local, moment, paths
from .settings import params, source

REGISTERED = (
    *("features", "churn", "winback", "decision"),
    *("metrics", "policies", "plots", "report"),
)
PUBLISHED = ("as_of", "rows_in", "rows_out", "excluded", "model", "drift", "suppressions")
SECRET = "or set WINBACK_DATABASE, which other users of the machine cannot see"


def _register(given: Namespace) -> Result:
    from ..register import register
    from ..registry.run_record import Finished

    run = Finished(**{name: getattr(given, name) for name in REGISTERED})
    options = {"allow_dirty": given.allow_dirty, "sign_with": given.sign}
    return _version(register(source(), run, **options), "challenger")


def _track(given: Namespace) -> Result:
    from ..registry.run_record import Finished
    from ..track import track

    run_id = track(source(), Finished(**{name: getattr(given, name) for name in REGISTERED}))
    return Result(run_id, {"run": run_id})


def _promote(given: Namespace) -> Result:
    from ..promote import promote, rollback

    if given.rollback:
        return _version(rollback(), "champion")
    uri = promote(
        source(),
        params().promote,
        features=given.features,
        unopposed=given.unopposed,
        only_judge=given.judge,
    )
    return _version(uri, "challenger" if given.judge else "champion")


def _version(uri: str, alias: str) -> Result:
    return Result(uri, {"model": uri, "version": uri.rpartition("/")[2], "alias": alias})


def _score(given: Namespace) -> Result:
    from ..score import Job
    from ..storage.places import Address, waiting

    job = Job(
        features=given.features or PATHS["features"] / "current.parquet",
        out=given.out,
        model=given.model,
        suppressions=_objectors(given),
        as_of=given.as_of,
        max_age_days=given.max_age_days,
        drift_limit=given.drift_limit,
        part_rows=given.part_rows,
        threads=given.threads,
        csv=given.csv,
        table=given.to_table,
        uri=given.uri or os.environ.get("WINBACK_DATABASE", ""),
        append=given.append,
        signed_by=given.require_signature,
    )
    beside = waiting(given.out) if isinstance(given.out, Address) else given.out
    answer = _score_on_spark if given.engine == "spark" else _score_here
    manifest = answer(given, job, beside)
    facts = {name: manifest[name] for name in PUBLISHED if name in manifest}
    return Result(facts={"out": given.out, "table": given.to_table, **facts})


def _score_here(given: Namespace, job: Any, beside: Path) -> dict[str, Any]:
    from ..score import score
    from ..storage.places import local_copy
    from ..todays_features import todays_features

    with ExitStack() as opened:
        features = opened.enter_context(local_copy(job.features, "features"))
        if given.tables or given.source:
            settings = params()
            today = todays_features(
                source(given.source),
                settings.featurize,
                settings.machine,
                tables=opened.enter_context(local_copy(given.tables, "tables")),
                as_of=given.as_of,
                out=beside,
            )
            features = opened.enter_context(today)
        return score(replace(job, features=features))


def _score_on_spark(given: Namespace, job: Any, beside: Path) -> dict[str, Any]:
    from ..spark_score import score_on_spark
    from ..todays_features import todays_tables

    if not (given.tables or given.source):
        return score_on_spark(job)
    settings, meant = params(), source(given.source)
    with ExitStack() as opened:
        tables = given.tables
        if tables is None:
            read = todays_tables(meant, settings.machine, out=beside)
            tables = opened.enter_context(read)
        meaning = (meant, settings.featurize, settings.machine)
        return score_on_spark(replace(job, features=tables), meaning)


def _objectors(given: Namespace) -> Any:
    """Where the list of those not to be scored lies: as given, else beside the same tables."""
    from ..storage.shared_files import below, listing

    if given.no_suppressions or given.suppressions:
        return given.suppressions
    if given.features or given.source:
        raise SuppressionsUnusable(
            "suppressions: nobody said who objected; name the list: --suppressions FILE, or say "
            "--no-suppressions where the business has none"
        )
    if source().suppressions == "none":
        return None
    tables, name = given.tables or PATHS["tables"], "suppressions.parquet"
    if isinstance(tables, Path):
        return tables / name
    return listing(tables).files.get(name, below(tables, name))


MODELS = {
    "register": Command(
        "log and register the models",
        _register,
        (
            flag("--allow-dirty", "with uncommitted changes"),
            argument(
                "--sign",
                type=local,
                metavar="KEY",
                help="PEM of a private Ed25519 key to sign with",
            ),
            *paths(*REGISTERED),
        ),
        json=True,
    ),
    "track": Command(
        "log the run in MLflow and register nothing", _track, paths(*REGISTERED), json=True
    ),
    "promote": Command(
        "make the challenger champion",
        _promote,
        (
            OneOf(
                (
                    flag("--rollback", "back to the previous champion"),
                    flag("--judge", "say what the gates say, and promote nothing"),
                )
            ),
            flag("--unopposed", "judge it without the champion"),
            *paths("features"),
        ),
        json=True,
    ),
    "score": Command(
        "answers for every customer",
        _score,
        (
            OneOf(
                (
                    argument(
                        "--features",
                        type=anywhere,
                        metavar="PATH",
                        help="parquet file or folder, one row a customer; "
                        f"default {PATHS['features']}/current.parquet",
                    ),
                    argument(
                        "--tables",
                        type=anywhere,
                        metavar="DIR",
                        help="folder of tables, as ingest writes it",
                    ),
                    argument(
                        "--source",
                        type=local,
                        metavar="NAME",
                        help="of sources/, or a file; read anew",
                    ),
                )
            ),
            argument(
                "--out",
                type=anywhere,
                default=PATHS["scores"],
                metavar="DIR",
                help="folder to publish; default %(default)s",
            ),
            argument(
                "--model",
                default="models:/winback@champion",
                help="registry URI, or folder of artifacts; default %(default)s",
            ),
            argument(
                "--require-signature",
                type=local,
                metavar="PUB",
                help="PEM of a public key; refuse a model that was not signed with its private key",
            ),
            OneOf(
                (
                    argument(
                        "--suppressions",
                        type=anywhere,
                        metavar="FILE",
                        help="parquet: customer_id not to be scored; by default the table of "
                        "suppressions, where the customers are those of the project's tables",
                    ),
                    flag("--no-suppressions", "there is no such list in this business"),
                )
            ),
            argument(
                "--max-age-days",
                type=float,
                default=7.0,
                metavar="DAYS",
                help="greatest age of the list, at the later of now and as-of (default 7)",
            ),
            argument(
                "--as-of",
                type=moment,
                metavar="MOMENT",
                help="moment to score, UTC; by default that of the data",
            ),
            argument(
                "--drift-limit",
                type=float,
                default=1.0,
                metavar="INDEX",
                help="of the worst feature (default 1)",
            ),
            argument(
                "--part-rows",
                type=int,
                default=100_000,
                metavar="ROWS",
                help="rows a part; bounds the memory (default 100000)",
            ),
            argument("--threads", type=int, default=1, metavar="N", help="default 1"),
            ENGINE,
            flag("--csv", "a CSV beside the folder too, safe to open in a spreadsheet"),
            argument(
                "--to-table", metavar="NAME", help="replace the rows of a PostgreSQL table too"
            ),
            flag("--append", "replace only the rows of the same moment in that table"),
            argument("--uri", default="", help=f"of its database; {SECRET}"),
        ),
        json=True,
    ),
}

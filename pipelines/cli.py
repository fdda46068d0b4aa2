"""The command line: `winback STAGE` runs one stage, `winback run` the whole pipeline."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

REFUSED, BROKEN_EXPERIMENT, SAMPLE_RATIO = 3, 4, 5  # more in refusals.py; 2 is argparse's
EXIT_CODES = (
    "Exit codes: 0 done; 1 a crash; 2 wrong usage; 3 bad data, parameters or models; "
    "4 the experiment is broken; 5 its arms have sizes that chance does not explain; "
    "6 drift beyond the limit; 7 the suppression list is missing, stale or unreadable; "
    "8 another job writes to the same place; 9 the model is missing or not what was registered; "
    "10 a gate vetoed the promotion."
)


@dataclass(frozen=True)
class Command:
    """A subcommand: one line of help, its arguments, and what runs it."""

    help: str
    run: Callable[[argparse.Namespace], int | None]
    paths: tuple[str, ...] = ()
    add: Callable[[argparse.ArgumentParser], object] = lambda _: None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; a mistake of the user's ends in one message, never in a traceback."""
    given = _parser().parse_args(arguments)
    # Threads that spin while they wait make LightGBM many times slower on a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return COMMANDS[given.command].run(given) or 0
    except (ValueError, FileNotFoundError) as error:
        from .job.progress import presentable

        print(presentable(f"winback {given.command}: {error}"), file=sys.stderr)
        return _exit_code(error)


def script() -> NoReturn:
    """Run `main` as a program and end the process at once.

    A normal end of the interpreter lets DuckDB's binding print lines about leaks of its own, which
    are harmless and would worry whoever reads the log of a job.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_code(error: Exception) -> int:
    from .job.exit_codes import Refusal

    if isinstance(error, Refusal):
        return error.exit_code
    from ..models.experiment.randomization import ExperimentError, SampleRatioMismatch

    if isinstance(error, SampleRatioMismatch):
        return SAMPLE_RATIO
    return BROKEN_EXPERIMENT if isinstance(error, ExperimentError) else REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="winback",
        description="Who is about to leave, who of the lost can be won back, with which offer, "
        "and what that earns.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"winback {version('winback')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name, help=command.help, description=command.help, epilog=EXIT_CODES
        )
        for path in command.paths:
            one.add_argument(f"--{path}", type=_local, required=True, metavar="PATH")
        command.add(one)
    return parser


def _fingerprint(given: argparse.Namespace) -> None:
    from .fingerprint import fingerprint

    fingerprint(_source(), out=given.out)


def _ingest(given: argparse.Namespace) -> None:
    from .ingest import ingest

    params = _params()
    ingest(
        _source(),
        given.tables,
        truth=given.truth,
        memory_limit=params.machine.memory_limit,
        threads=params.machine.threads,
        seed=params.ingest.seed,
    )


def _featurize(given: argparse.Namespace) -> None:
    from .featurize import featurize

    params = _params()
    featurize(_source(), params.featurize, params.machine, tables=given.tables, out=given.features)


def _train_churn(given: argparse.Namespace) -> None:
    from .train_churn import train_churn

    params = _params()
    train_churn(
        _source(), params.train_churn, params.machine, features=given.features, out=given.churn
    )


def _train_winback(given: argparse.Namespace) -> None:
    from .train_winback import train_winback

    params = _params()
    train_winback(
        _source(), params.train_winback, params.machine, features=given.features, out=given.winback
    )


def _evaluate(given: argparse.Namespace) -> None:
    from .evaluate import evaluate

    evaluate(
        _source(),
        _params().evaluate,
        churn=given.churn,
        winback=given.winback,
        decision=given.decision,
        metrics=given.metrics,
        policies=given.policies,
        plots=given.plots,
    )


def _recommend(given: argparse.Namespace) -> None:
    from .recommend import recommend

    params = _params()
    recommend(
        _source(),
        params.recommend,
        params.machine,
        features=given.features,
        tables=given.tables,
        churn=given.churn,
        winback=given.winback,
        decision=given.decision,
        out=given.recommendations,
    )


def _report(given: argparse.Namespace) -> None:
    from .report import report
    from .reporting.summary import Inputs

    inputs = Inputs(**{name: getattr(given, name) for name in COMMANDS["report"].paths[:-2]})
    report(_source(), _params(), inputs, out=given.report, summary_out=given.summary)


def _run(given: argparse.Namespace) -> int:
    from .run import run

    return run(given.source)


def _tune(given: argparse.Namespace) -> None:
    from .tune import tune

    params = _params()
    options = {"features": given.features, "fits": given.fits}
    print(tune(_source(), params.train_churn, params.machine, **options))


def _tune_options(parser: argparse.ArgumentParser) -> None:
    _with_defaults(parser, "features")
    parser.add_argument("--fits", type=int, default=20, help="settings to try (default 20)")


def _readout(given: argparse.Namespace) -> None:
    from .readout import read_out
    from .settings.sources import load_source

    source = load_source(given.source) if given.source else _source()
    print(read_out(source, _params(), out=given.out, allow_mismatch=given.allow_mismatch))


def _readout_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", type=_local, help="a source file; default: that of params.yaml")
    parser.add_argument("--out", type=_local, help="a folder for the tables")
    parser.add_argument(
        "--allow-mismatch", action="store_true", help="go on although arms have odd sizes or differ"
    )


def _register(given: argparse.Namespace) -> None:
    from .register import Finished, register

    run = Finished(**{name: getattr(given, name) for name in FINISHED})
    print(register(_source(), run, allow_dirty=given.allow_dirty))


def _register_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-dirty", action="store_true", help="with uncommitted changes")
    _with_defaults(parser, *FINISHED)


def _promote(given: argparse.Namespace) -> None:
    from .promote import promote, rollback

    if given.rollback:
        print(rollback())
        return
    print(
        promote(
            _source(),
            _params().promote,
            features=given.features,
            unopposed=given.unopposed,
        )
    )


def _promote_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--rollback", action="store_true", help="back to the previous champion")
    add("--unopposed", action="store_true", help="judge it without the champion")
    _with_defaults(parser, "features")


def _campaign(given: argparse.Namespace) -> None:
    from .campaign import Finished, campaign, campaign_text

    summary = campaign(
        _source(),
        _params().recommend,
        Finished(**{name: getattr(given, name) for name in LISTED}),
        campaigns=given.campaigns,
        name=given.name,
        suppressions=given.suppressions,
        max_age_days=given.max_age_days,
    )
    print(campaign_text(summary, given.campaigns / summary["campaign"]))


def _campaign_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--name", help="of the campaign; by default the day of the data")
    add("--suppressions", type=_local, help="objections newer than the tables: parquet")
    add("--max-age-days", type=float, default=7.0, help="of that list (default 7)")
    _with_defaults(parser, *LISTED, "campaigns")


def _history(given: argparse.Namespace) -> None:
    from .history import history, history_text

    print(history_text(history(given.campaigns), given.at))


def _history_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--at", type=_moment, help="a moment, UTC: who was champion then")
    _with_defaults(parser, "campaigns")


def _erase(given: argparse.Namespace) -> None:
    from .erase import erase
    from .settings.params import PARAMS_FILE
    from .settings.yaml_dataclasses import read_yaml

    listed = given.customers.read_text().splitlines() if given.customers else []
    customers = {*given.customer, *(line.strip() for line in listed if line.strip())}
    source = read_yaml(PARAMS_FILE)["ingest"]["source"]  # other settings may be wrong meanwhile
    print(erase(customers, source=Path(source), scores=given.scores))


def _erase_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--customer", action="append", default=[], metavar="ID", help="may be given several times")
    add("--customers", type=_local, metavar="FILE", help="a text file, one id a line")
    add("--scores", type=_local, nargs="+", default=[], help="published folders outside of data/")


def _score(given: argparse.Namespace) -> None:
    from contextlib import nullcontext

    from .score import Job, score
    from .settings.sources import load_source
    from .todays_features import todays_features

    if given.features:
        features: Any = nullcontext(given.features)
    else:
        params = _params()
        features = todays_features(
            load_source(given.source) if given.source else _source(),
            params.featurize,
            params.machine,
            tables=given.tables,
            as_of=given.as_of,
            out=given.out,
        )
    with features as rows:
        score(
            Job(
                features=rows,
                out=given.out,
                model=given.model,
                suppressions=given.suppressions,
                as_of=given.as_of,
                max_age_days=given.max_age_days,
                drift_limit=given.drift_limit,
                part_rows=given.part_rows,
                threads=given.threads,
                csv=given.csv,
                engine=given.engine,
                table=given.to_table,
                uri=given.uri,
            )
        )


def _score_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument("--features", type=_local, help="parquet file or folder, one row a customer")
    rows.add_argument("--tables", type=_local, help="folder of tables, as ingest writes it")
    rows.add_argument("--source", type=_local, help="a file of sources/, read anew")
    add("--out", type=_local, required=True, help="folder to publish")
    add("--model", default="models:/winback@champion", help="registry URI, or folder of artifacts")
    lists = parser.add_mutually_exclusive_group(required=True)
    lists.add_argument("--suppressions", type=_local, help="parquet: customer_id not to be scored")
    lists.add_argument(
        "--no-suppressions",
        dest="suppressions",
        action="store_const",
        const=None,
        help="there is no such list in this business",
    )
    add("--max-age-days", type=float, default=7.0, help="of the list, before as-of (default 7)")
    add("--as-of", type=_moment, help="moment to score, UTC; by default that of the data")
    add("--drift-limit", type=float, default=1.0, help="of the worst feature (default 1)")
    add("--part-rows", type=int, default=100_000, help="rows a part; bounds the memory")
    add("--threads", type=int, default=1)
    add("--engine", choices=("local", "spark"), default="local", help="who reads and answers")
    add(
        "--csv",
        action="store_true",
        help="a CSV beside the folder too, safe to open in a spreadsheet",
    )
    add("--to-table", metavar="NAME", help="replace the rows of a PostgreSQL table too")
    add("--uri", default=os.environ.get("WINBACK_DATABASE", ""), help=f"of its database; {SECRET}")


SECRET = "or set WINBACK_DATABASE, which other users of the machine cannot see"


def _moment(text: str) -> datetime:
    from .settings.moments import naive_utc

    return naive_utc(datetime.fromisoformat(text))


def _local(path: str) -> Path:
    """A path of this machine; an address elsewhere would silently become a folder here."""
    scheme, found, _ = path.partition("://")
    if found:
        raise argparse.ArgumentTypeError(
            f"'{path}' is an address ({scheme}://); only files of this machine are read and written"
        )
    return Path(path)


def _with_defaults(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        parser.add_argument(f"--{name}", type=_local, default=Path(DEFAULTS[name]), metavar="PATH")


def _params():  # type: ignore[no-untyped-def]
    from .settings.params import read_params

    return read_params()


def _source():  # type: ignore[no-untyped-def]
    from .settings.sources import load_source

    return load_source(Path(_params().ingest.source))


def _source_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", type=_local, help="a file of sources/; kept in params.yaml")


MODELS = ("churn", "winback", "decision")
GRADES = ("metrics", "policies", "plots")
LISTED = ("features", "tables", "decision", "recommendations")
FINISHED = ("features", *MODELS, *GRADES, "report")
DEFAULTS = {  # where dvc.yaml lets the stages write
    "tables": "data/tables",
    "features": "data/features",
    "recommendations": "data/recommendations.parquet",
    "campaigns": "data/campaigns",
    "churn": "artifacts/churn",
    "winback": "artifacts/winback",
    "decision": "artifacts/decision",
    "metrics": "reports/metrics.json",
    "policies": "reports/policies.json",
    "plots": "reports/plots",
    "report": "reports/report.html",
}
COMMANDS = {
    "run": Command("the whole pipeline, then what it found", _run, add=_source_option),
    "fingerprint": Command("hash the raw data, so that ingest reruns", _fingerprint, ("out",)),
    "ingest": Command("raw data into checked tables", _ingest, ("tables", "truth")),
    "featurize": Command("tables into as-of features", _featurize, ("tables", "features")),
    "train_churn": Command("who is about to leave", _train_churn, ("features", "churn")),
    "train_winback": Command("who can be won back", _train_winback, ("features", "winback")),
    "evaluate": Command("grade models and policies", _evaluate, (*MODELS, *GRADES)),
    "recommend": Command(
        "whom to send which offer",
        _recommend,
        ("features", "tables", *MODELS, "recommendations"),
    ),
    "report": Command(
        "one page that shows it all",
        _report,
        ("tables", "features", *MODELS, *GRADES, "recommendations", "report", "summary"),
    ),
    "tune": Command("better settings of the churn model", _tune, add=_tune_options),
    "campaign": Command(
        "the list to send, and a log to learn from", _campaign, add=_campaign_options
    ),
    "history": Command("which model was champion when", _history, add=_history_options),
    "readout": Command("what an experiment says", _readout, add=_readout_options),
    "register": Command("log and register the models", _register, add=_register_options),
    "promote": Command("make the challenger champion", _promote, add=_promote_options),
    "erase": Command("remove customers from all that is kept", _erase, add=_erase_options),
    "score": Command("answers for every customer", _score, add=_score_options),
}

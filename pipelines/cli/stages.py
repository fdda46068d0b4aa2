"""The stages of dvc.yaml as commands; without arguments each reads and writes where DVC lets it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..storage.default_paths import PATHS
from .declare import ENGINE, Command, anywhere, argument, local, paths
from .settings import params, source

MODELS = ("churn", "winback", "decision")
GRADES = ("metrics", "policies", "plots")
REPORTED = ("tables", "features", *MODELS, *GRADES, "recommendations")


def _fingerprint(given: Namespace) -> None:
    from ..fingerprint import fingerprint

    fingerprint(source(), out=given.out)


def _ingest(given: Namespace) -> None:
    from ..ingest import ingest

    machine, seed = params().machine, params().ingest.seed
    ingest(
        source(),
        given.tables,
        truth=given.truth,
        memory_limit=machine.memory_limit,
        threads=machine.threads,
        seed=seed,
    )


def _featurize(given: Namespace) -> None:
    settings = params()
    if given.engine == "spark":
        from ..spark_features import featurize_on_spark

        places = {"tables": given.tables, "out": given.features}
        featurize_on_spark(source(), settings.featurize, settings.machine, **places)
        return
    from ..featurize import featurize
    from ..storage.places import local_copy

    tables: Any
    with local_copy(given.tables, "tables") as tables:
        featurize(source(), settings.featurize, settings.machine, tables=tables, out=given.features)


def _train_churn(given: Namespace) -> None:
    from ..train_churn import train_churn

    settings = params()
    train_churn(
        source(),
        settings.train_churn,
        settings.machine,
        apart_share=settings.promote.kept_apart,
        features=given.features,
        out=given.churn,
    )


def _train_winback(given: Namespace) -> None:
    from ..train_winback import train_winback

    settings = params()
    train_winback(
        source(),
        settings.train_winback,
        settings.machine,
        apart_share=settings.promote.kept_apart,
        features=given.features,
        out=given.winback,
    )


def _recommend(given: Namespace) -> None:
    from ..recommend import recommend

    settings = params()
    recommend(
        source(),
        settings.recommend,
        settings.machine,
        features=given.features,
        tables=given.tables,
        churn=given.churn,
        winback=given.winback,
        decision=given.decision,
        out=given.recommendations,
    )


def _evaluate(given: Namespace) -> None:
    from ..evaluate import evaluate

    settings = params()
    evaluate(
        source(),
        settings.evaluate,
        settings.machine,
        churn=given.churn,
        winback=given.winback,
        decision=given.decision,
        tables=given.tables,
        recommendations=given.recommendations,
        metrics=given.metrics,
        headline=given.headline,
        policies=given.policies,
        plots=given.plots,
    )


def _report(given: Namespace) -> None:
    from ..report import report
    from ..reporting.summary import Inputs

    inputs = Inputs(**{name: getattr(given, name) for name in REPORTED})
    report(source(), params(), inputs, out=given.report, summary_out=given.summary)


STAGES = {
    "fingerprint": Command(
        "hash the raw data, so that ingest reruns",
        _fingerprint,
        (
            argument(
                "--out",
                type=local,
                default=PATHS["fingerprint"],
                metavar="PATH",
                help="default %(default)s",
            ),
        ),
        stage=True,
    ),
    "ingest": Command(
        "raw data into checked tables", _ingest, paths("tables", "truth"), stage=True
    ),
    "featurize": Command(
        "tables into as-of features",
        _featurize,
        (*paths("tables", "features", kind=anywhere), ENGINE),
        stage=True,
    ),
    "train_churn": Command(
        "who is about to leave", _train_churn, paths("features", "churn"), stage=True
    ),
    "train_winback": Command(
        "who can be won back", _train_winback, paths("features", "winback"), stage=True
    ),
    "recommend": Command(
        "whom to send which offer",
        _recommend,
        paths("features", "tables", *MODELS, "recommendations"),
        stage=True,
    ),
    "evaluate": Command(
        "grade models and policies",
        _evaluate,
        paths(*MODELS, "tables", "recommendations", *GRADES, "headline"),
        stage=True,
    ),
    "report": Command(
        "one page that shows it all", _report, paths(*REPORTED, "report", "summary"), stage=True
    ),
}

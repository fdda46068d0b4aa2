"""Commands of campaigns: what is sent, and which model chose it."""

from __future__ import annotations

from argparse import Namespace

from ..job.result import Result
from .declare import POPULATION, Command, anywhere, argument, moment, paths
from .settings import params, source

LISTED = ("features", "tables", "decision", "recommendations")


def _campaign(given: Namespace) -> Result:
    from ..campaign import ListInputs, campaign, campaign_text

    settings = params()
    summary = campaign(
        source(),
        settings.recommend,
        settings.machine,
        ListInputs(**{name: getattr(given, name) for name in LISTED}),
        population=given.population,
        campaigns=given.campaigns,
        name=given.name,
        suppressions=given.suppressions,
        max_age_days=given.max_age_days,
    )
    out = f"{given.campaigns}/{summary['campaign']}"
    return Result(campaign_text(summary, given.campaigns), {"out": out, **summary})


def _history(given: Namespace) -> Result:
    from ..history import history, history_text

    events = history(given.campaigns)
    facts = {"events": [{"kind": type(event).__name__, **vars(event)} for event in events]}
    return Result(history_text(events, given.at), facts)


CAMPAIGNS = {
    "campaign": Command(
        "the list to send, and a log to learn from",
        _campaign,
        (
            POPULATION,
            argument("--name", help="of the campaign; by default the day of the data"),
            argument(
                "--suppressions",
                type=anywhere,
                metavar="FILE",
                help="parquet: objections newer than the tables",
            ),
            argument(
                "--max-age-days",
                type=float,
                default=7.0,
                metavar="DAYS",
                help="greatest age of that list, at the later of now and as-of (default 7)",
            ),
            *paths(*LISTED),
            *paths("campaigns", kind=anywhere),
        ),
        json=True,
    ),
    "history": Command(
        "which model was champion when",
        _history,
        (
            argument(
                "--at",
                type=moment,
                metavar="MOMENT",
                help="a moment, UTC: who was champion then",
            ),
            *paths("campaigns", kind=anywhere),
        ),
        json=True,
    ),
}

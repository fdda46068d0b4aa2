"""Stage report: the results as one self-contained HTML page and a short summary.

Each chapter reads the files of one stage; a chapter without files is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .job.progress import say, step
from .reporting import charts
from .reporting.campaign import campaign, policies
from .reporting.doses import depth
from .reporting.drift import alarms, distances, drifted
from .reporting.experiment import experiment
from .reporting.fairness import fairness
from .reporting.first_screen import cards
from .reporting.html import Block, Chapter, picture, render, table, text
from .reporting.kept import read_kept
from .reporting.listed import Listed, Terms, read_listed
from .reporting.lost import lost
from .reporting.models import churn, comeback
from .reporting.one_customer import one_customer
from .reporting.retention import retention
from .reporting.sent_campaigns import sent_campaigns
from .reporting.summary import Findings, Inputs, summary
from .reporting.weaknesses import weaknesses
from .settings.experiments import Experiment
from .settings.objectives import chosen_objective
from .settings.params import Params
from .settings.sources import Source
from .storage.atomic import StoreError, replace_file, scratch_beside, verify
from .storage.stage_outputs import read_dictionary, read_json, why_skipped
from .tables.sorted_customers import sorted_customers

BENCHMARKS = pd.DataFrame(
    [
        ("selling to an active customer", "60-70%"),
        ("selling to a lost customer", "20-40%"),
        ("selling to a new customer", "5-20%"),
        ("winning a new customer, against keeping one", "about 4.8 times the cost"),
    ],
    columns=["what", "rule of thumb in the field"],
)


def report(source: Source, params: Params, inputs: Inputs, *, out: Path, summary_out: Path) -> None:
    """Write the page and the summary."""
    findings = _findings(source, params, inputs, out)
    far = distances(inputs.features)
    with step("report"):
        chapters = [
            Chapter(name, title, blocks)
            for name, title, blocks in _chapters(source, params, inputs, findings, far)
            if blocks
        ]
        page = render(
            title=source.title,
            subtitle=f"winback, as of {findings.as_of:%Y-%m-%d}",
            cards=cards(findings, inputs),
            warnings=list(weaknesses(findings, inputs, alarms(far))),
            chapters=chapters,
        )
        replace_file(out, page.encode())
        replace_file(summary_out, summary(findings, report=out).encode())
    for part in findings.skipped.values():
        say(f"left out of the report: {part}")


def _findings(source: Source, params: Params, inputs: Inputs, out: Path) -> Findings:
    manifest = verify(inputs.features)
    doubts = verify(inputs.tables).get("warnings", ())
    for folder in (inputs.churn, inputs.plots):
        verify(folder)
    skipped = dict(manifest.get("skipped", {}))
    if why := why_skipped(inputs.winback, "winback"):
        skipped["winback"] = why
    decision: dict[str, Any] = {}
    if not why_skipped(inputs.winback, "winback"):
        verify(inputs.decision)
        decision = read_json(inputs.decision / "decision.json", dict)
    metrics = read_json(inputs.metrics, dict)
    policies_found = pd.DataFrame(read_json(inputs.policies, list))
    kept, evidence = None, decision
    retained = source.retention_experiment
    if retained is not None and not why_skipped(inputs.winback, "retention"):
        verify(inputs.decision)
        kept = read_kept(inputs.recommendations, retained)
        evidence = decision or read_json(inputs.decision / "decision.json", dict)["retention"]
    graded = {"winback", "policy", "rules"} if decision else set[str]()
    graded |= {"retention"} if kept else set()
    for file, missing in (
        (inputs.metrics, graded - {*metrics}),
        (inputs.policies, {"objective", "policy"} - {*policies_found} if decision else set()),
    ):
        if missing:
            names = ", ".join(sorted(missing))
            raise StoreError(f"{file}: lacks {names}; run `winback run` to write it anew")
    return Findings(
        source=source,
        as_of=pd.Timestamp(manifest["as_of"]),
        metrics=metrics,
        policies=policies_found,
        decision=decision,
        listed=_listed(source, params, inputs, decision, out, kept=retained if kept else None),
        skipped=skipped,
        objective=chosen_objective(source, params.recommend.objective, evidence),
        level=params.evaluate.level,
        doubts=tuple(doubts),
        kept=kept,
    )


def _listed(
    source: Source,
    params: Params,
    inputs: Inputs,
    decision: Mapping[str, Any],
    out: Path,
    kept: Experiment | None,
) -> Listed:
    """What the list says, beside the reasons and the past of its customers."""
    terms = None
    if decision and source.experiment is not None:
        tested = pd.read_parquet(inputs.features / "winback.parquet", columns=["offer", "returned"])
        control = source.experiment.control
        alone = float(tested.loc[tested["offer"] == control, "returned"].mean())
        terms = Terms(source.experiment.offers, control, alone)
    with scratch_beside(out, "sorted") as scratch:
        current = sorted_customers(inputs.features / "current.parquet", params.machine, scratch)
        first = max(1, params.report.rows)
        return read_listed(inputs.recommendations, current, terms, first=first, kept=kept)


def _chapters(
    source: Source,
    params: Params,
    inputs: Inputs,
    findings: Findings,
    far: dict[str, pd.DataFrame],
) -> Iterator[tuple[str, str, list[Block]]]:
    yield "campaign", "The campaign", list(campaign(params.report, findings))
    if findings.decision:
        alpha = params.train_winback.smallest_srm_p
        brought = sent_campaigns(source, inputs, as_of=findings.as_of, alpha=alpha)
        yield "sent", "What our campaigns brought", list(brought)
    if not findings.decision:
        yield "lost", "Whom to win back", list(lost(findings))
    if len(findings.policies):
        yield "one", "One customer", list(one_customer(inputs, findings))
        yield "policies", "Which policy earns most", list(policies(inputs, findings))
        yield "depth", "How deep an offer each customer needs", list(depth(inputs, findings))
        yield "experiment", "What the experiment says", list(experiment(source, inputs, findings))
        yield "return", "Who comes back", list(comeback(inputs, findings))
    if findings.kept is not None:
        title = "Active customers: whom an offer keeps"
        yield "retention", title, list(retention(inputs, findings))
    if "churn" in findings.metrics:
        yield "churn", "Who is about to leave", list(churn(inputs))
        if (inputs.features / "sensitivity.parquet").exists():
            yield "definition", "When a customer counts as lost", list(_definition(inputs))
    yield "fairness", "Whom the offers reach", list(fairness(inputs))
    yield "drift", "How today's customers differ", list(drifted(far))
    yield "data", "The data", list(_data(inputs))


def _definition(inputs: Inputs) -> Iterator[Block]:
    yield text(
        "Churn depends on when a customer is called lost. The same period under the definition "
        "used (first row) and those beside it."
    )
    rows = pd.read_parquet(inputs.features / "sensitivity.parquet").drop(columns="definition")
    kept = [name for name in rows.columns if name == "kind" or rows[name].nunique() > 1]
    always = ["customers_at_start", "lost", "churn_rate", "money_lost"]
    choices = [name for name in kept if name not in always]
    names = [
        ", ".join(f"{name} {value}".replace("_", " ") for name, value in row.items())
        for row in rows[[name for name in choices if name != "kind"]].to_dict("records")
    ]
    if len(set(names)) == len(names) > 1:
        yield picture(
            charts.bars(names, (100 * rows["churn_rate"]).tolist(), unit="percent lost"),
            f"The same period loses {rows['churn_rate'].min():.1%} to "
            f"{rows['churn_rate'].max():.1%} of its customers, by definition",
        )
    columns = [*choices, *always]
    yield table(
        rows[columns],
        title="Every definition, in figures",
        folded=True,
        formats={
            "customers_at_start": ",.0f",
            "lost": ",.0f",
            "churn_rate": ".1%",
            "money_lost": ",.0f",
        },
    )


def _data(inputs: Inputs) -> Iterator[Block]:
    files = verify(inputs.tables)["files"]
    rows = pd.DataFrame(
        [(name.removesuffix(".parquet"), facts["rows"]) for name, facts in files.items()],
        columns=["table", "rows"],
    )
    yield table(rows, title="Rows of each table", formats={"rows": ",.0f"}, folded=True)
    yield table(BENCHMARKS, title="Rules of thumb to hold the results against", folded=True)
    entries = pd.DataFrame(read_dictionary(inputs.features))
    yield table(entries, title=f"The {len(entries)} features and what they mean", folded=True)

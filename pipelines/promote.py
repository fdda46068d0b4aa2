"""`winback promote`: the challenger becomes champion if every gate lets it pass.

Each gate (`promotion_gates`) is written with its figure, as a tag of the challenger, passed or not.
The old champion stays at hand as @previous; `--rollback` exchanges the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from ..models.decision.facts import is_of
from ..models.evaluation.drift import bins_of, counted
from ..models.evaluation.gates import Gate
from ..models.formula.answers import answer
from .job.exit_codes import Refusal, Vetoed
from .job.progress import say
from .promotion_gates import UNOPPOSED, Match, gates_of
from .registry.aliases import by_alias, finish_moving, move_aliases
from .registry.opened_model import GATE, open_model, registry
from .scoring.send_list_drift import send_list_drift, tested_customers
from .settings.params import Promote
from .settings.sources import PARTS, Source
from .storage.mlflow_home import MODEL_NAME
from .tables.even_rows import even_rows

SEND_LIST_ROWS = 500_000  # of today's customers, whose offers tell how far the send list lies
SEND_LIST = "winback.send_list"  # tags: how those of a population differ from its experiment
ROLLBACK = "promote --rollback"


def promote(
    source: Source,
    params: Promote,
    *,
    features: Path,
    unopposed: bool = False,
    only_judge: bool = False,
) -> str:
    """Grade the challenger and make it champion; its URI.

    With `unopposed` it is graded without the champion, as where the champion has other offers or
    features. With `only_judge` no alias moves, so that somebody can look before it does.

    Raises
    ------
    Refusal
        If there is no challenger, or too few rows that neither has learned from to tell.
    Vetoed
        If a gate did not let it pass; the aliases stay as they are.
    """
    client = registry()
    finish_moving(client)
    challenger = by_alias(client, MODEL_NAME, "challenger")
    if challenger is None:
        raise Refusal("there is no challenger; run `winback register` first")
    champion = by_alias(client, MODEL_NAME, "champion")
    if champion is not None and champion.version == challenger.version:
        say(f"version {champion.version} is champion already")
        return _uri(champion)
    rival = None if unopposed else champion
    match = Match(
        open_model(_uri(challenger)), open_model(_uri(rival)) if rival else None, features, params
    )
    say(f"gates of version {challenger.version}" + _against(rival))
    gates = gates_of(match, source)
    _tell_send_lists(client, match, challenger, source)
    _forget_gates(client, challenger)
    said = {}
    for gate in gates:
        text = f"{_verdict(gate)}: {gate.figure}"
        said[gate.name] = text
        client.set_model_version_tag(MODEL_NAME, challenger.version, GATE + gate.name, text)
        say(f"{gate.name}: {text}")
    _refuse(challenger, gates)
    if only_judge:
        say(f"version {challenger.version} may be promoted: winback promote")
        return _uri(challenger)
    _crown(client, "promote", challenger, previous=champion, gates=said)
    return _uri(challenger)


def _verdict(gate: Gate) -> str:
    if gate.passed:
        return "passed"
    return "underpowered" if gate.underpowered else "vetoed"


def _refuse(challenger: ModelVersion, gates: Sequence[Gate]) -> None:
    """Stop where a gate is closed; that it is worse weighs more than that nobody can tell."""
    closed = [gate for gate in gates if not gate.passed]
    vetoes = [f"{gate.name} {gate.figure}" for gate in closed if not gate.underpowered]
    if vetoes:
        raise Vetoed(f"version {challenger.version} is not promoted: {'; '.join(vetoes)}")
    if closed:
        figures = "; ".join(f"{gate.name} {gate.figure}" for gate in closed)
        raise Refusal(
            f"version {challenger.version} is not promoted, too few rows tell whether it is worse: "
            f"{figures}. Wait for more customers, let pass a larger loss (value_margin and "
            f"auc_margin of promote), or {UNOPPOSED}"
        )


def _tell_send_lists(
    client: MlflowClient, match: Match, challenger: ModelVersion, source: Source
) -> None:
    """Say, and keep as tags, where those it would send offers today are unlike its experiments.

    No gate: the campaign that holds customers out is what tells whether effects carry over.
    """
    answers = match.challenger.answers
    if answers.decision is None:
        return
    today = even_rows(match.features / "current.parquet", most=SEND_LIST_ROWS)
    offered = answer(answers, today)["recommended_offer"]
    for population, part in PARTS.items():
        experiment = source.experiment_among(population)
        if experiment is None or getattr(answers, part) is None:
            continue
        is_sent = offered.notna() & (offered != experiment.control) & is_of(population, today)
        tested = tested_customers(match.features, population, experiment.control)
        sent = counted(bins_of(tested), today[is_sent])
        told = (send_list_drift(tested, sent) if is_sent.any() else "") or "like the experiment"
        tag = f"{SEND_LIST}.{population}"
        client.set_model_version_tag(MODEL_NAME, challenger.version, tag, told)
        say(f"today's send list of {population} customers: {told}")


def _forget_gates(client: MlflowClient, challenger: ModelVersion) -> None:
    """Delete the gate tags of an earlier attempt, which may have faced another champion."""
    for name in challenger.tags:
        if name.startswith(GATE):
            client.delete_model_version_tag(MODEL_NAME, challenger.version, name)


def rollback() -> str:
    """Exchange @champion and @previous; the URI of the champion from now on.

    A rollback that was killed is finished, not made undone by a second one.

    Raises
    ------
    Refusal
        If there is nothing to go back to.
    """
    client = registry()
    finished = finish_moving(client)
    champion, previous = (by_alias(client, MODEL_NAME, name) for name in ("champion", "previous"))
    if finished == ROLLBACK and champion is not None:
        return _uri(champion)
    if previous is None:
        raise Refusal("there is no previous champion to go back to")
    _crown(client, ROLLBACK, previous, previous=champion)
    return _uri(previous)


def _crown(
    client: MlflowClient,
    command: str,
    new: ModelVersion,
    *,
    previous: ModelVersion | None,
    gates: Mapping[str, str] | None = None,
) -> None:
    aliases = {"champion": str(new.version)}
    if previous is not None:
        aliases["previous"] = str(previous.version)
    move_aliases(client, command, aliases, gates)
    say(f"version {new.version} is champion{_against(previous, ' in the place of version')}")


def _uri(version: ModelVersion) -> str:
    return f"models:/{version.name}/{version.version}"


def _against(champion: ModelVersion | None, words: str = " against champion") -> str:
    return "" if champion is None else f"{words} {champion.version}"

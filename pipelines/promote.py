"""`winback promote`: the challenger becomes champion if every gate lets it pass.

Both answer for rows that neither has learned from, as their own trainings remember. Each gate is
written on the challenger's version as a tag with its figure, whether it passed or not. The old
champion stays at hand as @previous; `--rollback` exchanges the two.
"""

from __future__ import annotations

from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from .job.exit_codes import Refusal, Vetoed
from .job.progress import say
from .judging import Match, churn_gates, gates_of_today, winback_gates
from .registry.opened_model import by_alias, open_model, registry
from .settings.params import Promote
from .settings.sources import Source
from .storage.mlflow_home import MODEL_NAME

TAG = "winback.gate."


def promote(source: Source, params: Promote, *, features: Path, unopposed: bool = False) -> str:
    """Grade the challenger and make it champion; its URI.

    With `unopposed` it is graded without the champion, whose offers or features may be of the past.

    Raises
    ------
    Refusal
        If there is no challenger, or too few rows that neither has learned from.
    Vetoed
        If a gate did not let it pass; the aliases stay as they are.
    """
    client = registry()
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
    gates = gates_of_today(match)
    if match.challenger.answers.churn is not None:
        gates += churn_gates(match)
    if match.challenger.answers.winback is not None:
        if source.experiment is None:
            raise Refusal(f"{source.path}: names no experiment to grade the offers on")
        gates += winback_gates(match, source.experiment)
    _forget_gates(client, challenger)
    for gate in gates:
        text = f"{'passed' if gate.passed else 'vetoed'}: {gate.figure}"
        client.set_model_version_tag(MODEL_NAME, challenger.version, TAG + gate.name, text)
        say(f"{gate.name}: {text}")
    vetoes = [f"{gate.name} {gate.figure}" for gate in gates if not gate.passed]
    if vetoes:
        raise Vetoed(f"version {challenger.version} is not promoted: {'; '.join(vetoes)}")
    _crown(client, challenger, previous=champion)
    return _uri(challenger)


def _forget_gates(client: MlflowClient, challenger: ModelVersion) -> None:
    """Figures of an earlier attempt, against another champion perhaps, do not stay."""
    for name in challenger.tags:
        if name.startswith(TAG):
            client.delete_model_version_tag(MODEL_NAME, challenger.version, name)


def rollback() -> str:
    """Exchange @champion and @previous; the URI of the champion from now on.

    Raises
    ------
    Refusal
        If there is nothing to go back to.
    """
    client = registry()
    champion, previous = (by_alias(client, MODEL_NAME, name) for name in ("champion", "previous"))
    if previous is None:
        raise Refusal("there is no previous champion to go back to")
    _crown(client, previous, previous=champion)
    return _uri(previous)


def _crown(client: MlflowClient, new: ModelVersion, *, previous: ModelVersion | None) -> None:
    if previous is not None:
        client.set_registered_model_alias(MODEL_NAME, "previous", previous.version)
    client.set_registered_model_alias(MODEL_NAME, "champion", new.version)
    say(f"version {new.version} is champion{_against(previous, ' in the place of version')}")


def _uri(found: ModelVersion) -> str:
    return f"models:/{found.name}/{found.version}"


def _against(champion: ModelVersion | None, words: str = " against champion") -> str:
    return "" if champion is None else f"{words} {champion.version}"

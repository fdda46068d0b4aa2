"""`winback promote`: the challenger becomes champion if every gate lets it pass.

Both answer for the customers whom the challenger's own training held out. Each gate is written on
the challenger's version as a tag with its figure, whether it passed or not. The old champion stays
at hand as @previous; `--rollback` exchanges the two.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from ..features.definition import ChurnDefinition
from ..models.churn import OUTPUT
from ..models.gates import Gate, baseline_gate, policy_gates, probability_gates
from ..models.inference import Answers, answer
from ..models.split import held_out
from ..models.timesplit import split_by_time
from .grading import graded
from .params import Params
from .progress import say, step
from .refusals import Refusal, Vetoed
from .registry import Opened, by_alias, content_hash, model_texts, open_model, registry
from .sources import Experiment, Source
from .tracking import MODEL_NAME

TAG = "winback.gate."


def promote(source: Source, params: Params, *, features: Path, churn: Path, winback: Path) -> str:
    """Grade the challenger and make it champion; its URI.

    Raises
    ------
    Refusal
        If there is no challenger, or `churn` and `winback` are not the run that made it.
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
    new, old = open_model(_uri(challenger)), _open_champion(champion)
    if content_hash(model_texts(churn), model_texts(winback)) != new.content:
        raise Refusal(
            f"version {challenger.version} was made by another run than {churn} and {winback}, so "
            "which customers it has not seen is unknown; check out its run, or register this one"
        )
    with step(f"gates of version {challenger.version}" + _against(champion)):
        gates = [_as_of_gate(new, old)] if old else []
        if new.answers.churn is not None and source.churn is not None:
            gates += _churn_gates(source.churn, params, new, old, features, churn)
        if new.answers.winback is not None and source.experiment is not None:
            gates += _winback_gates(source.experiment, params, new, old, features)
    for gate in gates:
        text = f"{'passed' if gate.passed else 'vetoed'}: {gate.figure}"
        client.set_model_version_tag(MODEL_NAME, challenger.version, TAG + gate.name, text)
        say(f"{gate.name}: {text}")
    vetoes = [f"{gate.name} {gate.figure}" for gate in gates if not gate.passed]
    if vetoes:
        raise Vetoed(f"version {challenger.version} is not promoted: {'; '.join(vetoes)}")
    _crown(client, challenger, previous=champion)
    return _uri(challenger)


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


def _open_champion(champion: ModelVersion | None) -> Opened | None:
    return open_model(_uri(champion)) if champion is not None else None


def _as_of_gate(new: Opened, old: Opened) -> Gate:
    figure = f"{new.as_of}, champion {old.as_of or 'unknown'}"
    return Gate("as_of_not_older", new.as_of >= old.as_of, figure)


def _churn_gates(
    definition: ChurnDefinition,
    params: Params,
    new: Opened,
    old: Opened | None,
    features: Path,
    folder: Path,
) -> list[Gate]:
    rows = pd.read_parquet(features / "churn.parquet")
    split = split_by_time(
        rows["as_of"],
        rows["customer_id"],
        gap_days=definition.maturity_days,
        calibrate_share=params.train_churn.calibrate_share,
        test_share=params.train_churn.test_share,
        seed=params.train_churn.seed,
    )
    unseen = rows[split.part == "test"].reset_index(drop=True)
    ours = answer(Answers(new.answers.churn, None, {}), unseen)
    theirs = _rival(Answers(old.answers.churn, None, {}) if old else None, unseen)
    found = probability_gates(
        "churn",
        unseen["churned"],
        ours[OUTPUT],
        None if theirs is None else theirs[OUTPUT],
        cluster=unseen["customer_id"],
        seed=params.evaluate.seed,
    )
    return [*found, baseline_gate(pd.read_csv(folder / "metrics.csv"), model="churn")]


def _winback_gates(
    experiment: Experiment, params: Params, new: Opened, old: Opened | None, features: Path
) -> list[Gate]:
    rows = pd.read_parquet(features / "winback.parquet").drop(columns="population", errors="ignore")
    if rows["value"].notna().any():
        rows = rows[rows["value"].notna()]  # the others are too recent to be graded
    settings = params.train_winback
    apart = held_out(rows["customer_id"], share=settings.test_share, seed=settings.seed)
    unseen = rows[apart].reset_index(drop=True)
    ours = answer(Answers(None, new.answers.winback, new.answers.decision), unseen)
    theirs = _rival(
        Answers(None, old.answers.winback, old.answers.decision) if old else None, unseen
    )
    if theirs is not None and not _knows(experiment, theirs):
        say("the champion cannot be compared: it was trained with other offers")
        theirs = None
    objective = "returns" if new.answers.decision["objective"] == "returns" else "profit"
    judged = graded(unseen, ours, experiment, objective)
    return [
        *probability_gates(
            "return",
            unseen["returned"],
            _of_offer_sent(ours, unseen["offer"]),
            None if theirs is None else _of_offer_sent(theirs, unseen["offer"]),
            seed=params.evaluate.seed,
        ),
        *policy_gates(
            judged.scores,
            judged.names,
            ours["recommended_offer"],
            None if theirs is None else theirs["recommended_offer"],
        ),
    ]


def _rival(champion: Answers | None, rows: pd.DataFrame) -> pd.DataFrame | None:
    """The champion's answers; None if it has none, or reads features that are no longer made."""
    if champion is None or (champion.churn is None and champion.winback is None):
        return None
    try:
        return answer(champion, rows)
    except ValueError as error:
        say(f"the champion cannot be compared: {error}")
        return None


def _knows(experiment: Experiment, outputs: pd.DataFrame) -> bool:
    answered = {f"return_probability_{name}" for name in experiment.offer_names}
    recommended = set(outputs["recommended_offer"].unique())
    return answered <= set(outputs.columns) and recommended <= set(experiment.offer_names)


def _of_offer_sent(outputs: pd.DataFrame, sent: pd.Series) -> pd.Series:
    chance = pd.Series(float("nan"), index=outputs.index)
    for name in sent.unique():
        chance[sent == name] = outputs.loc[sent == name, f"return_probability_{name}"]
    return chance


def _uri(found: ModelVersion) -> str:
    return f"models:/{found.name}/{found.version}"


def _against(champion: ModelVersion | None, words: str = " against champion") -> str:
    return "" if champion is None else f"{words} {champion.version}"

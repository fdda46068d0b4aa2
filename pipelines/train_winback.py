"""Stage train_winback: fit the models of return, value and effects of the offers.

The experiment is read out first; a broken one stops the run before anything is fitted. Then the
models are fitted twice. The first fit is graded: a share of the customers is held out from it by a
hash, and on them the policies are graded later, as are the chances of leavers who were in no
experiment. Whether to send personal offers at all is decided on its out-of-fold rows. The second
fit ships: it learns from everybody but the few who are kept apart from all models, and its
out-of-fold rows, which are the most that there are, tell how evident the gain of that is.

An experiment among active customers is learned from in the same way, in the folder `retention`:
there a customer "returns" by staying.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ..models.decision.policy_tree import fit_policy_tree, tree_to_json
from ..models.evaluation.graded import Graded
from ..models.evaluation.held_out import held_out, kept_apart, value_is_known
from ..models.evaluation.policies import decide
from ..models.evaluation.unseen import remember_offers
from ..models.experiment.maturity import value_known
from ..models.formula.explain import importance
from ..models.formula.formula import RETENTION, Formula, evaluate
from ..models.groups import group_labels, shared_labels
from ..models.offers import RETURNS, STAYS, chances_of
from ..models.returns.returns import WinbackModel, fit_winback
from ..models.uplift.input_rows import sent_propensity
from .job.progress import say, step
from .settings.experiments import Experiment
from .settings.objectives import graded, objectives
from .settings.params import Machine, TrainWinback
from .settings.sources import Source
from .storage.atomic import replace_folder, verify
from .storage.stage_outputs import (
    LEAVERS,
    OFFERS_FILE,
    read_dictionary,
    write_formula,
)
from .tables.comparable_rows import comparable, of_experiment
from .tables.experiment_readout import (
    experiment_readout,
    write_readout,
)
from .tables.safe_csv import save_table
from .tables.training_rows import drawn_rows, training_rows

OUTCOME = {"winback": "return", "retention": "staying"}
LEAVERS_GRADED = 300_000  # about so many rows of a larger table give grades to the third digit


def train_winback(
    source: Source,
    params: TrainWinback,
    machine: Machine,
    *,
    apart_share: float,
    features: Path,
    out: Path,
) -> None:
    """Read out the experiments, fit the models of their offers, decide, keep the held-out rows.

    `apart_share` of the customers never reach a model that ships, nor the decision.
    """
    manifest = verify(features)
    skipped, now = manifest.get("skipped", {}), pd.Timestamp(manifest["as_of"])
    with replace_folder(out) as new:
        why = skipped.get("winback", "")
        if source.experiment and source.experiment.observational:
            why = f"{source.path} says that offers were targeted, not drawn at random"
        if why or source.experiment is None:
            new.extra["skipped"] = {"winback": why}
            say(f"no win-back models: {why}")
        else:
            model, unseen = _learn(
                "winback", source.experiment, params, machine, apart_share, features, now, new.path
            )
            new.extra["unseen"] = unseen
            if (features / LEAVERS).exists():
                leavers, _ = drawn_rows(
                    features, "leavers", machine, most=LEAVERS_GRADED, seed=params.seed
                )
                answers = evaluate(model.formula, leavers, threads=machine.threads)
                kept = pd.concat([leavers[["customer_id", "as_of", "returned"]], answers], axis=1)
                kept.to_parquet(new.path / LEAVERS, index=False)
        if source.retention_experiment is not None:
            if retained := skipped.get("retention", ""):
                new.extra["skipped"] = new.extra.get("skipped", {}) | {"retention": retained}
                say(f"no models of retention: {retained}")
                return
            folder = new.path / RETENTION
            folder.mkdir()
            experiment = source.retention_experiment
            _, unseen = _learn(
                "retention", experiment, params, machine, apart_share, features, now, folder
            )
            new.extra["retention_unseen"] = unseen


def _learn(
    part: str,
    experiment: Experiment,
    params: TrainWinback,
    machine: Machine,
    apart_share: float,
    features: Path,
    now: pd.Timestamp,
    out: Path,
) -> tuple[WinbackModel, dict[str, Any]]:
    """Models, decisions and held-out rows of one experiment, into a folder.

    Returns
    -------
    WinbackModel, dict
        The graded model, and the memory of the customers from whom what ships has not learned.
    """
    frame, names = training_rows(features, part)
    drawn = frame[of_experiment(frame)].reset_index(drop=True)
    known = value_known(drawn, now=now, horizon_days=experiment.value_horizon_days)
    with step(f"readout of the experiment with {len(drawn):,} customers"):
        readout = experiment_readout(
            drawn.assign(value_known=known),
            experiment,
            features=names,
            smallest_p=params.smallest_srm_p,
            seed=params.seed,
        )
        if part == "winback":
            readout = replace(readout, notes=(*readout.notes, *_not_lost(drawn)))
        write_readout(readout, out / "readout")
    frame = comparable(frame, experiment.control)
    if learned := int((~of_experiment(frame)).sum()):
        say(f"{learned:,} customers of our campaigns join the experiment")
    unseen = remember_offers(frame, share=apart_share)
    has_value = value_is_known(frame["value"], frame["returned"])
    if not has_value.all():
        say(f"{(~has_value).sum():,} offers are too recent for their value to be known yet")
        frame = frame[has_value].copy()
    frame["propensity"] = sent_propensity(
        frame["offer"].to_numpy(), frame["propensity"], frame.index
    )
    together = group_labels(frame)
    apart = kept_apart(together, share=apart_share)
    tested = apart | held_out(together, share=params.test_share, seed=params.seed)
    fit = partial(_fit, names=names, experiment=experiment, part=part, params=params)
    with step(f"graded models on {(~tested).sum():,} customers, {tested.sum():,} held out"):
        model = fit(frame[~tested], machine=machine)
    answers = evaluate(model.formula, frame[tested], threads=machine.threads)
    kept = pd.concat([frame[tested], answers], axis=1)
    kept.to_parquet(out / "held_out.parquet", index=False)
    with step(f"models that ship, on {(~apart).sum():,} customers"):
        shipped = fit(frame[~apart], machine=machine)
    judged = _judged(model, frame[~tested], experiment)
    ships = _judged(shipped, frame[~apart], experiment)
    _decide(judged, ships, frame.loc[~tested, names], experiment, out)
    write_formula(out, shipped.formula)
    (out / "summary.json").write_text(json.dumps(shipped.summary, indent=1, sort_keys=True))
    with step(f"what drives {OUTCOME[part]} and the effects of the offers"):
        families = {entry["name"]: entry["family"] for entry in read_dictionary(features)}
        _explain(shipped.formula, frame[tested], families, experiment, machine, out)
    return model, unseen


def _not_lost(drawn: pd.DataFrame) -> Iterator[str]:
    """That customers of an experiment among the lost had not left, where its features tell."""
    count = int((drawn["is_lost"] == 0).sum()) if "is_lost" in drawn else 0
    if count:
        yield (
            f"{count:,} of {len(drawn):,} customers were not lost, as churn is defined, when they "
            "were made an offer; the effects are learned from them too, so leave them out of the "
            "table offers if no such customer is to be won back"
        )


def _fit(
    rows: pd.DataFrame,
    *,
    names: list[str],
    experiment: Experiment,
    part: str,
    params: TrainWinback,
    machine: Machine,
) -> WinbackModel:
    horizon = experiment.value_horizon_days
    if part == "retention":  # there value begins where the horizon of churn ends
        horizon -= experiment.return_window_days
    return fit_winback(
        rows[names],
        offer=rows["offer"].to_numpy(),
        propensity=rows["propensity"].to_numpy(),
        returned=rows["returned"].to_numpy(),
        groups=shared_labels(rows),
        value=rows["value"].to_numpy(),
        second_days=rows["second_days"].to_numpy(),
        second_ended=rows["second_ended"].to_numpy(),
        offers=experiment.offers,
        control=experiment.control,
        horizon_days=horizon,
        chances=STAYS if part == "retention" else RETURNS,
        doses=experiment.doses,
        folds=params.folds,
        seed=params.seed,
        threads=machine.threads,
    )


def _judged(model: WinbackModel, rows: pd.DataFrame, experiment: Experiment) -> dict[str, Graded]:
    """The rows that a model was fitted on, with its out-of-fold answers, by objective."""
    return {
        objective: graded(rows, model.held_out, experiment, objective)
        for objective in objectives(experiment, model.formula.outputs)
    }


def _decide(
    judged: Mapping[str, Graded],
    ships: Mapping[str, Graded],
    train: pd.DataFrame,
    experiment: Experiment,
    out: Path,
) -> None:
    """Write whether to send personal offers, and the rule of three questions beside them.

    The held-out rows have no say in either, they grade both. How evident the gain is, is told by
    all rows of the models that ship, each answered by models that have not seen it.
    """
    decisions = {
        objective: decide(rows, ships=ships.get(objective)) for objective, rows in judged.items()
    }
    objective = "returns" if experiment.objective == "returns" else next(iter(decisions))
    rows = judged[objective]
    tree = fit_policy_tree(train, rows.scores, names=rows.names)
    document = {
        "control": experiment.control,
        "offers": list(experiment.offers),
        "objective": objective,
        "by_objective": decisions,
        "policy_tree": tree and tree_to_json(tree),
    }
    (out / OFFERS_FILE).write_text(json.dumps(document, indent=1, sort_keys=True))


def _explain(
    formula: Formula,
    rows: pd.DataFrame,
    families: Mapping[str, str],
    experiment: Experiment,
    machine: Machine,
    out: Path,
) -> None:
    outputs = [f"{chances_of(formula.outputs, experiment.control)}{experiment.control}"]
    outputs += [f"uplift_{name}" for name in experiment.offers]
    by_feature, by_family = importance(
        formula, rows, outputs=outputs, families=families, threads=machine.threads
    )
    save_table(by_feature, out / "importance.csv")
    save_table(by_family, out / "families.csv")

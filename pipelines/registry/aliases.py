"""Aliases of the registered model: reading, moving them together, the history of who was champion.

MLflow sets aliases one at a time and forgets where they pointed. The intention is recorded before
the first, so that the next command finishes what a killed one began; the finished move stays as a
numbered tag of the registered model, which nothing changes afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ..job.progress import say
from ..settings import moments
from ..storage.mlflow_home import MODEL_NAME

INTENDED = "winback.intended"  # tag of the registered model
HISTORY = "winback.history."  # and a number: tags of the registered model
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no model, no alias of that name


@dataclass(frozen=True)
class Move:
    """One move of aliases: when (UTC), by which command, to which versions, by which gates."""

    at: datetime
    command: str
    aliases: Mapping[str, str]
    gates: Mapping[str, str]


def by_alias(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that an alias points to, or None.

    A registry that does not answer is an error: it may have a champion.
    """
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return None


def move_aliases(
    client: MlflowClient,
    command: str,
    aliases: Mapping[str, str],
    gates: Mapping[str, str] | None = None,
) -> None:
    """Let each alias point to its version, in the order given.

    Parameters
    ----------
    client
        Of the registry.
    command
        Who moves them; `finish_moving` returns it if this is killed.
    aliases
        Alias -> version.
    gates
        What each gate said, for the history.
    """
    intended = {
        "at": moments.now().isoformat(),
        "command": command,
        "aliases": dict(aliases),
        "gates": dict(gates or {}),
        "number": len(moves(client)) + 1,
    }
    client.set_registered_model_tag(MODEL_NAME, INTENDED, json.dumps(intended))
    _carry_out(client, intended)


def finish_moving(client: MlflowClient) -> str:
    """Finish the move of a command that was killed; which command, or "" if there is none."""
    tags = _tags(client)
    if INTENDED not in tags:
        return ""
    intended = json.loads(tags[INTENDED])
    _carry_out(client, intended)
    moved = ", ".join(f"@{alias} is version {at}" for alias, at in intended["aliases"].items())
    say(f"finished what a killed {intended['command']} began: {moved}")
    return str(intended["command"])


def moves(client: MlflowClient) -> list[Move]:
    """All finished moves, in the order in which they were made."""
    records = {name: json.loads(body) for name, body in _tags(client).items() if HISTORY in name}
    return [
        Move(datetime.fromisoformat(move.pop("at")), **move) for _, move in sorted(records.items())
    ]


def _carry_out(client: MlflowClient, intended: Mapping[str, Any]) -> None:
    for alias, version in intended["aliases"].items():
        client.set_registered_model_alias(MODEL_NAME, alias, version)
    move = {name: intended[name] for name in ("at", "command", "aliases", "gates")}
    name = f"{HISTORY}{intended['number']:06d}"
    client.set_registered_model_tag(MODEL_NAME, name, json.dumps(move))
    client.delete_registered_model_tag(MODEL_NAME, INTENDED)


def _tags(client: MlflowClient) -> Mapping[str, str]:
    try:
        tags: Mapping[str, str] = client.get_registered_model(MODEL_NAME).tags
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return {}
    return tags

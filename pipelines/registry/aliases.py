"""Moving aliases of the registered model together: the intention is recorded before the first.

MLflow sets aliases one at a time. A command killed between two of them would leave @champion and
@previous on the same version; the next command that moves aliases first finishes what was intended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ..job.progress import say
from ..storage.mlflow_home import MODEL_NAME

INTENDED = "winback.intended"  # tag of the registered model


def move_aliases(client: MlflowClient, command: str, aliases: Mapping[str, str]) -> None:
    """Let each alias point to its version, in the order given.

    Parameters
    ----------
    client
        Of the registry.
    command
        Who moves them; `finish_moving` returns it if this is killed.
    aliases
        Alias -> version.
    """
    intended = json.dumps({"command": command, "aliases": dict(aliases)})
    client.set_registered_model_tag(MODEL_NAME, INTENDED, intended)
    _carry_out(client, aliases)


def finish_moving(client: MlflowClient) -> str:
    """Finish the move of a command that was killed; which command, or "" if there is none."""
    try:
        tags = client.get_registered_model(MODEL_NAME).tags
    except MlflowException:
        return ""
    if INTENDED not in tags:
        return ""
    intended = json.loads(tags[INTENDED])
    _carry_out(client, intended["aliases"])
    moved = ", ".join(f"@{alias} is version {at}" for alias, at in intended["aliases"].items())
    say(f"finished what a killed {intended['command']} began: {moved}")
    return str(intended["command"])


def _carry_out(client: MlflowClient, aliases: Mapping[str, str]) -> None:
    for alias, number in aliases.items():
        client.set_registered_model_alias(MODEL_NAME, alias, number)
    client.delete_registered_model_tag(MODEL_NAME, INTENDED)

"""Which versions of the model there are, asked in a way that ends soon where nobody answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..storage.mlflow_home import MODEL_NAME, tracking_uri

SOON = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
ALIASES = ("champion", "challenger", "previous")


class RegistryUnreachable(ValueError):
    """The registry does not answer; the message says what it was asked at."""


@dataclass(frozen=True)
class KnownVersion:
    """A version of the registered model.

    Attributes
    ----------
    version
        Its number.
    made_at
        When it was registered, in milliseconds since 1970 (UTC).
    as_of
        The moment of the data that it was trained for; empty if unknown.
    content
        See `opened_model.content_hash`.
    vetoed
        Names of the gates that vetoed it.
    """

    version: str
    made_at: int
    as_of: str
    content: str
    vetoed: tuple[str, ...]


def registry_is_empty() -> bool:
    """Whether the registry is the file of this repository and nothing made it yet."""
    file = tracking_uri().removeprefix("sqlite:///")
    return file != tracking_uri() and not Path(file).exists()


def known_versions() -> Mapping[str, KnownVersion]:
    """Versions by alias, of `ALIASES` those that are set.

    Raises
    ------
    RegistryUnreachable
        If the registry does not answer.
    """
    if registry_is_empty():
        return {}
    from mlflow.exceptions import MlflowException

    from .opened_model import AS_OF, CONTENT, GATE, registry

    unset = [name for name in SOON if name not in os.environ]
    try:
        os.environ.update({name: SOON[name] for name in unset})
        client = registry()
        models = client.search_registered_models(f"name = '{MODEL_NAME}'")
        found = {
            alias: client.get_model_version(MODEL_NAME, str(number))
            for model in models
            for alias, number in model.aliases.items()
            if alias in ALIASES
        }
    except MlflowException as error:
        why = str(error).splitlines()[0]
        raise RegistryUnreachable(f"{tracking_uri()} does not answer: {why}") from error
    finally:
        for name in unset:  # other commands of this process may wait longer
            del os.environ[name]
    return {
        alias: KnownVersion(
            version=str(made.version),
            made_at=int(made.creation_timestamp),
            as_of=made.tags.get(AS_OF, ""),
            content=made.tags.get(CONTENT, ""),
            vetoed=tuple(
                name.removeprefix(GATE)
                for name, told in made.tags.items()
                if name.startswith(GATE) and told.startswith("vetoed")
            ),
        )
        for alias, made in found.items()
    }

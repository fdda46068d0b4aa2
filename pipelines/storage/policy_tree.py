"""The rule of three questions, as stage train_winback left it."""

from __future__ import annotations

from pathlib import Path

from ...models.decision.policy_tree import PolicyTree, tree_from_json
from .atomic import StoreError
from .stage_outputs import OFFERS_FILE, read_json


def read_policy_tree(winback: Path) -> PolicyTree | None:
    """The rule of three questions of stage train_winback; None where none was found.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    file = winback / OFFERS_FILE
    document = read_json(file, dict)
    if not document.get("policy_tree"):
        return None
    try:
        return tree_from_json(document["policy_tree"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{file}: 'policy_tree' is no tree of this version ({error!r}); run `winback run` to "
            "write it anew"
        ) from error

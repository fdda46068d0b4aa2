"""Kinds of activity that get features of their own, and their part of the feature names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import narwhals as nw

from ..windows import Tables

MOST_KINDS = 12


def activity_kinds(tables: Tables) -> tuple[str, ...]:
    """Kinds in the activity table, sorted. Training reads them; scoring is given those of training.

    Raises
    ------
    ValueError
        If there are more than `MOST_KINDS`, or two have the same feature name.
    """
    if "activity" not in tables:
        return ()
    values = tables["activity"].select("kind").unique().collect()["kind"].to_list()
    kinds = tuple(sorted(str(kind) for kind in values if kind is not None))
    if len(kinds) > MOST_KINDS:
        raise ValueError(
            f"activity: at most {MOST_KINDS} kinds get features, found {len(kinds)}; "
            "group them in the source's query"
        )
    return check_kinds(kinds)


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds as a tuple, if their feature names differ.

    Raises
    ------
    ValueError
        If two kinds have the same feature name.
    """
    kind_of: dict[str, str] = {}
    for kind in kinds:
        stem = feature_stem(kind)
        if stem in kind_of:
            raise ValueError(
                f"activity: kinds '{kind_of[stem]}' and '{kind}' would share the feature name "
                f"'{stem}'; rename one in the source's query"
            )
        kind_of[stem] = kind
    return tuple(kinds)


def feature_stem(kind: str) -> str:
    """A kind as part of a column name: lower case, letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_") or "unnamed"


def of_kind(kind: str) -> nw.Expr:
    """Whether an activity is of that kind."""
    return nw.col("kind") == kind

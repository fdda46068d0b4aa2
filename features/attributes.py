"""Attributes: facts about a customer passed through as known at the moment, and the deny-list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import narwhals as nw

from .columns import columns_of
from .entries import Family, Feature, Inputs, currency
from .windows import ALWAYS_KNOWN, KEYS, days_since, visible

BOOKKEEPING = ("customer_id", "known_at", "recorded_at")
FREE_TEXT = frozenset(
    {"address", "comment", "comments", "description", "email", "full_name", "name", "note",
     "notes", "phone", "remarks", "text"}
)  # fmt: skip
COMING = ("ends", "end", "expires", "due", "until", "renews")


def attributes(inputs: Inputs) -> Family:
    """Every column of `attributes` that is not left out, and the monthly cost to serve.

    Numbers and texts pass as they are, truths as flags, moments (`*_at`) as days since or until.
    """
    features: list[Feature] = []
    if inputs.has("customers", "cost_to_serve_monthly"):
        features.append(
            Feature(
                "cost_to_serve_monthly", "currency", "what serving the customer costs a month",
                currency(nw.col("cost_to_serve_monthly")),
            )
        )  # fmt: skip
    names = attribute_columns(inputs.tables, inputs.leave_out)
    if names:
        schema = inputs.tables["attributes"].collect_schema()
        features += [_entry(name, schema[name]) for name in names]

    def attach(joined: nw.LazyFrame, snapshots: nw.LazyFrame) -> nw.LazyFrame:
        if inputs.has("customers", "cost_to_serve_monthly"):
            costs = inputs.tables["customers"].select("customer_id", "cost_to_serve_monthly")
            joined = joined.join(costs, on="customer_id", how="left")
        if names:
            known = _as_known(inputs.tables["attributes"], snapshots, names)
            joined = joined.join(known, on=list(KEYS), how="left")
        return joined

    return Family("attributes", tuple(features), attach=attach if features else None)


def attribute_columns(
    tables: Mapping[str, nw.LazyFrame], leave_out: Sequence[str] = ()
) -> tuple[str, ...]:
    """Columns of `attributes` that become features, in the table's order.

    Raises
    ------
    ValueError
        If a column to leave out does not exist: a typo would keep it.
    """
    found = columns_of(tables["attributes"]) if "attributes" in tables else ()
    names = tuple(name for name in found if name not in BOOKKEEPING)
    absent = [name for name in leave_out if name not in names]
    if absent:
        raise ValueError(
            f"attributes: column '{absent[0]}' is to be left out but does not exist, found "
            f"{', '.join(names) or 'none'}; correct its name in the source"
        )
    return tuple(name for name in names if name not in leave_out)


def check_allowed(names: Sequence[str], deny: Mapping[str, str]) -> None:
    """Refuse columns that must never be features.

    Parameters
    ----------
    deny
        Why, by column name: protected, known only afterwards.

    Raises
    ------
    ValueError
        If a column is denied, is an id, or is free text by its name.
    """
    for name in names:
        plain = name.lower()
        why = deny.get(name)
        if why is None and (plain == "id" or plain.endswith("_id")):
            why = "an id"
        if why is None and plain in FREE_TEXT:
            why = "free text"
        if why is not None:
            raise ValueError(
                f"attributes: column '{name}' must not be a feature ({why}); "
                "leave it out of the source's query"
            )


def _entry(name: str, dtype: nw.dtypes.DType) -> Feature:
    words = name.replace("_", " ")
    column = nw.col(f"attribute_{name}")
    if name.endswith("_at"):
        stem = name.removesuffix("_at")
        since = days_since(f"attribute_{name}")
        if stem.rsplit("_", 1)[-1] in COMING:
            words = stem.replace("_", " ")
            return Feature(f"days_until_{stem}", "days", f"days until: {words}", -since)
        return Feature(f"days_since_{stem}", "days", f"days since: {stem.replace('_', ' ')}", since)
    if dtype == nw.Boolean:
        return Feature(name, "flag", f"1 if true: {words}", column)
    if dtype.is_numeric():
        return Feature(name, "number", f"as known from the source: {words}", column)
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return Feature(name, "category", f"as known from the source: {words}", column)
    raise ValueError(
        f"attributes: column '{name}' must be a number, a text, a truth or a timestamp named "
        f"*_at, found {dtype}; cast it in the source's query"
    )


def _as_known(facts: nw.LazyFrame, snapshots: nw.LazyFrame, names: Sequence[str]) -> nw.LazyFrame:
    """The latest row of each customer known at each as_of, columns prefixed with attribute_."""
    columns = columns_of(facts)
    schema = facts.collect_schema()
    prefixed = {}
    for name in names:
        whole = schema[name] == nw.Boolean
        prefixed[f"attribute_{name}"] = nw.col(name).cast(nw.Int8) if whole else nw.col(name)
    times = [time for time in ("known_at", "recorded_at") if time in columns]
    if not times:
        facts = facts.select("customer_id", **prefixed)
        return snapshots.select(*KEYS).join(facts, on="customer_id", how="inner")
    always = nw.lit(ALWAYS_KNOWN, dtype=nw.Int64)
    since = nw.col("known_at").fill_null(ALWAYS_KNOWN) if "known_at" in times else always
    kept = ["recorded_at"] if "recorded_at" in times else []
    facts = facts.select("customer_id", *kept, known_at=since, **prefixed)
    known = visible(facts, snapshots, time="known_at")
    latest = known.with_columns(last_at=nw.col("known_at").max().over(*KEYS))
    latest = latest.filter(nw.col("known_at") == nw.col("last_at"))
    return latest.group_by(*KEYS).agg(*(nw.col(name).max() for name in prefixed))

"""Attributes of customers as features, as known at as_of, and those that must not be features."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import narwhals as nw

from ..contract.contract import plain_name
from ..expressions import columns_of
from ..windows import ALWAYS_KNOWN, KEYS, visible
from .family import Family, Feature, Inputs, currency

BOOKKEEPING = ("customer_id", "known_at", "recorded_at")
FORBIDDEN = {
    "an id": frozenset({"guid", "hash", "id", "iban", "key", "passport", "ssn", "token", "uuid"}),
    "free text": frozenset(
        {"address", "comment", "comments", "description", "email", "name", "note", "notes",
         "phone", "remarks", "street", "text"}
    ),
    "protected": frozenset(
        {"disability", "ethnicity", "gender", "nationality", "pregnancy", "pregnant", "race",
         "religion", "sex"}
    ),
}  # fmt: skip
# Forbidden as a whole name only: device_name may be a feature, name may not.
FORBIDDEN_ALONE = frozenset({"name", "phone", "text", "key", "note", "race"})
MOST_TEXTS = 200  # different values of a category
LONGEST_TEXT = 80  # letters of a category
FEWEST_CUSTOMERS = 30  # among fewer, all texts may differ by chance


def attributes(inputs: Inputs) -> Family:
    """Every column of `attributes` that is not left out, and the monthly cost to serve.

    Numbers and texts stay as they are, booleans become flags.
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
        features += [_feature(name, schema[name]) for name in names]

    def attach(joined: nw.LazyFrame, snapshots: nw.LazyFrame) -> nw.LazyFrame:
        if inputs.has("customers", "cost_to_serve_monthly"):
            costs = inputs.tables["customers"].select("customer_id", "cost_to_serve_monthly")
            joined = joined.join(costs, on="customer_id", how="left")
        if names:
            latest = _as_known(inputs.tables["attributes"], snapshots, names)
            joined = joined.join(latest, on=list(KEYS), how="left")
        return joined

    return Family("attributes", tuple(features), attach=attach if features else None)


def attribute_columns(
    tables: Mapping[str, nw.LazyFrame], leave_out: Sequence[str] = ()
) -> tuple[str, ...]:
    """Columns of `attributes` that become features, in the table's order.

    Raises
    ------
    ValueError
        If a column to leave out does not exist, since a typo would keep the column.
    """
    columns = columns_of(tables["attributes"]) if "attributes" in tables else ()
    names = tuple(name for name in columns if name not in BOOKKEEPING)
    absent = [name for name in leave_out if name not in names]
    if absent:
        raise ValueError(
            f"attributes: column '{absent[0]}' is to be left out but does not exist, found "
            f"{', '.join(names) or 'none'}; correct its name in the source"
        )
    return tuple(name for name in names if name not in leave_out)


def check_allowed(
    names: Sequence[str], deny: Mapping[str, str], allowed: Sequence[str] = ()
) -> None:
    """Refuse columns whose names say that they must not be features.

    Parameters
    ----------
    deny
        Why a column must not be a feature (known only after the outcome), by column name. Case and
        punctuation do not matter.
    allowed
        Columns that may be features whatever their names say.

    Raises
    ------
    ValueError
        If a column is denied, or its name is that of an id, free text or a protected attribute.
    """
    _refuse(_by_name(names, deny, allowed))


def check_columns(
    tables: Mapping[str, nw.LazyFrame],
    *,
    deny: Mapping[str, str],
    leave_out: Sequence[str] = (),
    allowed: Sequence[str] = (),
) -> None:
    """Refuse columns that must not be features by name or by value, all in one error.

    Names are refused as by `check_allowed`. A text column is refused whose values look like ids or
    free text: another one for each customer, more than `MOST_TEXTS` different ones, or one of more
    than `LONGEST_TEXT` letters. Columns named in `allowed` are not looked at.

    Raises
    ------
    ValueError
        With a line for each such column.
    """
    names = attribute_columns(tables, leave_out)
    by_values = _by_values(tables, leave_out, allowed)
    _refuse(by_values | _by_name(names, deny, allowed))


def _refuse(reasons: Mapping[str, str]) -> None:
    if reasons:
        raise ValueError("\n".join(_refusal(name, why) for name, why in reasons.items()))


def _by_name(
    names: Sequence[str], deny: Mapping[str, str], allowed: Sequence[str]
) -> dict[str, str]:
    """Why columns must not be features, as their names tell."""
    denied = {plain_name(name): why for name, why in deny.items()}
    reasons = {}
    for name in names:
        why = denied.get(plain_name(name)) or (None if name in allowed else _why_forbidden(name))
        if why is not None:
            reasons[name] = why
    return reasons


def _by_values(
    tables: Mapping[str, nw.LazyFrame], leave_out: Sequence[str], allowed: Sequence[str]
) -> dict[str, str]:
    """Why text columns must not be features, as their values tell, in one scan."""
    names = [name for name in attribute_columns(tables, leave_out) if name not in allowed]
    schema = tables["attributes"].collect_schema() if names else {}
    texts = [name for name in names if schema[name] in (nw.String, nw.Categorical, nw.Enum)]
    if not texts:
        return {}
    facts = tables["attributes"].select("customer_id", *(nw.col(n).cast(nw.String) for n in texts))
    counts = facts.select(
        nw.col("customer_id").n_unique().alias("customers"),
        *(nw.col(name).n_unique().alias(f"{name} values") for name in texts),
        *(nw.col(name).str.len_chars().max().alias(f"{name} longest") for name in texts),
    ).collect()
    customers = int(counts["customers"][0] or 0)  # null without rows
    reasons = {}
    for name in texts:
        values = int(counts[f"{name} values"][0] or 0)
        longest = int(counts[f"{name} longest"][0] or 0)
        if values >= customers >= FEWEST_CUSTOMERS:
            reasons[name] = f"an id: {values:,} values of {customers:,} customers"
        elif values > MOST_TEXTS or longest > LONGEST_TEXT:
            reasons[name] = f"free text: {values:,} different values, up to {longest} letters"
    return reasons


def _why_forbidden(name: str) -> str | None:
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    last = re.split(r"[^a-z0-9]+", words)[-1]
    for why, endings in FORBIDDEN.items():
        if last in endings and (last not in FORBIDDEN_ALONE or plain_name(name) == last):
            return why
    return None


def _refusal(name: str, why: str) -> str:
    cure = "leave it out of the source's query, or, if it is none, name it under allowed:"
    if why == "protected":
        cure = "name it under protected: in the source, or, if it is none, under allowed:"
    return f"attributes: column '{name}' must not be a feature ({why}); {cure}"


def _feature(name: str, dtype: nw.dtypes.DType) -> Feature:
    words = name.replace("_", " ")
    column = nw.col(f"attribute_{name}")
    if dtype == nw.Boolean:
        return Feature(name, "flag", f"1 if true: {words}", column)
    if dtype.is_numeric():
        return Feature(name, "number", f"as known from the source: {words}", column)
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return Feature(name, "category", f"as known from the source: {words}", column)
    raise ValueError(
        f"attributes: column '{name}' must be a number, text, true or false, found {dtype}; "
        "cast it in the source's query"
    )


def _as_known(facts: nw.LazyFrame, snapshots: nw.LazyFrame, names: Sequence[str]) -> nw.LazyFrame:
    """The latest row known at each snapshot; columns get the prefix attribute_."""
    columns = columns_of(facts)
    schema = facts.collect_schema()
    prefixed = {}
    for name in names:
        is_flag = schema[name] == nw.Boolean
        prefixed[f"attribute_{name}"] = nw.col(name).cast(nw.Int8) if is_flag else nw.col(name)
    times = [time for time in ("known_at", "recorded_at") if time in columns]
    if not times:
        facts = facts.select("customer_id", **prefixed)
        return snapshots.select(*KEYS).join(facts, on="customer_id", how="inner")
    always = nw.lit(ALWAYS_KNOWN, dtype=nw.Int64)
    since = nw.col("known_at").fill_null(ALWAYS_KNOWN) if "known_at" in times else always
    kept = ["recorded_at"] if "recorded_at" in times else []
    facts = facts.select("customer_id", *kept, known_at=since, **prefixed)
    visible_facts = visible(facts, snapshots, time="known_at")
    latest = visible_facts.with_columns(last_at=nw.col("known_at").max().over(*KEYS))
    latest = latest.filter(nw.col("known_at") == nw.col("last_at"))
    return latest.group_by(*KEYS).agg(*(nw.col(name).max() for name in prefixed))

"""Attributes: facts about a customer passed through as known at the moment, and the deny-list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import narwhals as nw

from ..expressions import columns_of
from ..windows import ALWAYS_KNOWN, KEYS, days_since, visible
from .family import Family, Feature, Inputs, currency

BOOKKEEPING = ("customer_id", "known_at", "recorded_at")
NEVER = {
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
ONLY_ALONE = frozenset({"name", "phone", "text", "key", "note", "race"})  # device_name is no name
MOST_TEXTS = 200  # different values; more are no categories
LONGEST_TEXT = 80  # letters
FEWEST_TO_TELL = 30  # customers; among fewer, all texts may differ by chance
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
    """Refuse columns that by their names must never be features.

    Parameters
    ----------
    deny
        Why, by column name, whatever its case and punctuation: known only after the outcome.

    Raises
    ------
    ValueError
        If a column is denied, an id, free text or a protected attribute.
    """
    denied = {_plain(name): why for name, why in deny.items()}
    for name in names:
        why = denied.get(_plain(name)) or _why_never(name)
        if why == "protected":
            cure = "name it under protected: in the source"
            raise ValueError(f"attributes: column '{name}' must not be a feature ({why}); {cure}")
        if why is not None:
            raise _refusal(name, why)


def check_texts(tables: Mapping[str, nw.LazyFrame], leave_out: Sequence[str] = ()) -> None:
    """Refuse text columns that by their values are ids or free text, in one scan.

    Raises
    ------
    ValueError
        If a column has another value for each customer, over `MOST_TEXTS` different values, or one
        of over `LONGEST_TEXT` letters.
    """
    names = attribute_columns(tables, leave_out)
    schema = tables["attributes"].collect_schema() if names else {}
    texts = [name for name in names if schema[name] in (nw.String, nw.Categorical, nw.Enum)]
    if not texts:
        return
    facts = tables["attributes"].select("customer_id", *(nw.col(n).cast(nw.String) for n in texts))
    found = facts.select(
        nw.col("customer_id").n_unique().alias("customers"),
        *(nw.col(name).n_unique().alias(f"{name} values") for name in texts),
        *(nw.col(name).str.len_chars().max().alias(f"{name} longest") for name in texts),
    ).collect()
    customers = int(found["customers"][0] or 0)  # no rows, no count
    for name in texts:
        values, longest = (
            int(found[f"{name} values"][0] or 0),
            int(found[f"{name} longest"][0] or 0),
        )
        if values >= customers >= FEWEST_TO_TELL:
            raise _refusal(name, f"an id: {values:,} values of {customers:,} customers")
        if values > MOST_TEXTS or longest > LONGEST_TEXT:
            told = f"{values:,} different values, up to {longest} letters"
            raise _refusal(name, f"free text: {told}")


def _why_never(name: str) -> str | None:
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    last = re.split(r"[^a-z0-9]+", words)[-1]
    for why, never in NEVER.items():
        if last in never and (last not in ONLY_ALONE or _plain(name) == last):
            return why
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _refusal(name: str, why: str) -> ValueError:
    return ValueError(
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

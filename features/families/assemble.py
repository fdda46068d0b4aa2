"""All feature families joined: the feature table of snapshots, and its data dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import narwhals as nw

from ..churn_definition import ChurnDefinition
from ..expressions import columns_of, distinct
from ..windows import KEYS, Tables, visible
from .activity_kinds import activity_kinds, check_kinds
from .attributes import attribute_columns, attributes, check_allowed
from .complaints import complaints
from .contacts import contacts
from .discounts import discounts
from .family import Aggregate, Family, Inputs
from .frequency import frequency
from .money import money
from .reasons import reasons
from .recency import recency
from .referrals import referrals
from .tenure import tenure

FAMILIES = (
    recency, frequency, money, discounts, tenure, complaints, referrals, reasons, contacts,
    attributes,
)  # fmt: skip
VIEWS = {
    "orders": ("orders", "ordered_at", "customer_id"),
    "activity": ("activity", "happened_at", "customer_id"),
    "complaints": ("complaints", "opened_at", "customer_id"),
    "contacts": ("contacts", "contacted_at", "customer_id"),
    "offers": ("offers", "offered_at", "customer_id"),
    "referrals_made": ("referrals", "referred_at", "referrer_id"),
    "referrals_received": ("referrals", "referred_at", "referred_id"),
}


def features(
    tables: Tables,
    snapshots: nw.LazyFrame,
    *,
    windows_days: Sequence[int],
    definition: ChurnDefinition,
    deny: Mapping[str, str] | None = None,
    leave_out: Sequence[str] = (),
    allowed: Sequence[str] = (),
    kinds: Sequence[str] | None = None,
    keep: Callable[[nw.LazyFrame], nw.LazyFrame] | None = None,
) -> nw.LazyFrame:
    """Every feature of every snapshot, as it was known at as_of.

    Parameters
    ----------
    tables
        Frames by table name, with times in int64 UTC seconds and money in int64 cents. Without a
        table its features are left out.
    snapshots
        At least customer_id and as_of; duplicates count once.
    windows_days
        Lengths of the windows `[as_of - days, as_of)`.
    deny
        Attribute columns that must not be features, and why.
    leave_out
        Attribute columns not to use.
    allowed
        Attribute columns to use although their names look like an id, free text or protected.
    kinds
        Activity kinds with features of their own; None for those in the table.
    keep
        Computes a frame once and returns it, such as `CustomerRanges.keep`; without it some
        engines compute the distinct snapshots again for every table.

    Returns
    -------
    LazyFrame
        customer_id, as_of, then the features in the order of `dictionary`: text for categories,
        else float64; null where a feature does not apply.

    Raises
    ------
    ValueError
        If the windows are not distinct days of at least 1, a column is denied, or a column to
        leave out does not exist.
    """
    families = _families(tables, windows_days, definition, deny or {}, leave_out, allowed, kinds)
    keys = distinct(snapshots, *KEYS)
    keys = keys if keep is None else keep(keys)
    joined = _joined(tables, keys, families)
    values = {
        feature.name: feature.value.cast(nw.String if feature.unit == "category" else nw.Float64)
        for family in families
        for feature in family.features
    }
    return joined.select(*KEYS, **values)


def dictionary(
    tables: Tables,
    *,
    windows_days: Sequence[int],
    definition: ChurnDefinition,
    deny: Mapping[str, str] | None = None,
    leave_out: Sequence[str] = (),
    allowed: Sequence[str] = (),
    kinds: Sequence[str] | None = None,
) -> list[dict[str, str]]:
    """The data dictionary of `features` with the same arguments: name, family, unit, meaning."""
    return [
        {
            "name": feature.name,
            "family": family.name,
            "unit": feature.unit,
            "meaning": feature.meaning,
        }
        for family in _families(
            tables, windows_days, definition, deny or {}, leave_out, allowed, kinds
        )
        for feature in family.features
    ]


def with_features(snapshots: nw.LazyFrame, features: nw.LazyFrame) -> nw.LazyFrame:
    """Snapshots with all their columns, followed by their features."""
    # Features on the left: engines build the hash table of a join from the right, narrow side.
    joined = features.join(snapshots, on=list(KEYS), how="inner")
    names = (*columns_of(snapshots), *columns_of(features))
    return joined.select(*dict.fromkeys(names))


def _families(
    tables: Tables,
    windows_days: Sequence[int],
    definition: ChurnDefinition,
    deny: Mapping[str, str],
    leave_out: Sequence[str],
    allowed: Sequence[str],
    kinds: Sequence[str] | None,
) -> list[Family]:
    windows = tuple(windows_days)
    if not windows or min(windows) < 1 or len(set(windows)) < len(windows):
        raise ValueError(
            f"features: windows_days must be distinct whole days of at least 1, found {windows}; "
            "correct them in params.yaml"
        )
    check_allowed(attribute_columns(tables, leave_out), deny, allowed)
    inputs = Inputs(
        tables=tables,
        windows_days=windows,
        definition=definition,
        kinds=activity_kinds(tables) if kinds is None else check_kinds(kinds),
        leave_out=tuple(leave_out),
    )
    families = [family(inputs) for family in FAMILIES]
    names = [feature.name for family in families for feature in family.features]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"features: the name '{twice[0]}' is used twice; rename the attribute or the "
            "activity kind in the source's query"
        )
    return families


def _joined(tables: Tables, keys: nw.LazyFrame, families: Sequence[Family]) -> nw.LazyFrame:
    """Snapshots with the aggregates and columns that features use; sums without events are 0.

    The widest parts are joined last, since every later join copies what is joined already.
    """
    joined = keys
    for family in families:
        if family.attach is not None:
            joined = family.attach(joined, keys)
    views = _by_view(families)
    for view, aggregates in sorted(views.items(), key=lambda item: len(item[1])):
        joined = joined.join(_reduced(tables, keys, view, aggregates), on=list(KEYS), how="left")
    sums = [
        aggregate.name
        for aggregates in views.values()
        for aggregate in aggregates
        if aggregate.how == "sum"
    ]
    return joined.with_columns(nw.col(*sums).fill_null(0)) if sums else joined


def _by_view(families: Sequence[Family]) -> dict[str, tuple[Aggregate, ...]]:
    """Aggregates of all families by view, without repeats, so that each view is read once."""
    named: dict[str, dict[str, Aggregate]] = {}
    for family in families:
        for view, aggregates in family.aggregates.items():
            named.setdefault(view, {}).update({a.name: a for a in aggregates})
    return {view: tuple(named[view].values()) for view in VIEWS if view in named}


def _reduced(
    tables: Tables, keys: nw.LazyFrame, view: str, aggregates: Sequence[Aggregate]
) -> nw.LazyFrame:
    """The aggregates of a view: one row per snapshot with events."""
    table, time, by = VIEWS[view]
    events = visible(tables[table], keys, time=time, by=by)
    marked = events.select(*KEYS, **{a.name: a.value for a in aggregates})
    reduced = marked.group_by(*KEYS).agg(
        *(getattr(nw.col(a.name), a.how)().alias(a.name) for a in aggregates)
    )
    return reduced.with_columns(
        nw.col(a.name).cast(nw.Float64 if a.how == "sum" else nw.Int64) for a in aggregates
    )

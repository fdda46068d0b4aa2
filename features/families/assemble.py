"""All families side by side: the feature table of any snapshots, and its dictionary."""

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
    kinds: Sequence[str] | None = None,
    keep: Callable[[nw.LazyFrame], nw.LazyFrame] | None = None,
) -> nw.LazyFrame:
    """Every feature of every snapshot, as it was known at as_of.

    Parameters
    ----------
    tables
        Canonical frames by name: int64 UTC seconds, int64 cents. A missing table leaves its
        features out.
    snapshots
        At least customer_id and as_of; duplicates count once.
    windows_days
        Lengths of the windows `[as_of - days, as_of)`.
    deny
        Attribute columns that must never be features, and why.
    leave_out
        Attribute columns deliberately not used.
    kinds
        Activity kinds with features of their own; None finds them in the table.
    keep
        Computes a frame once and gives it back, such as `CustomerRanges.keep`; without it an
        engine that does not share common parts finds the distinct snapshots once per table.

    Returns
    -------
    LazyFrame
        customer_id, as_of, then the columns of `dictionary` in its order: categories text, all
        else float64; what does not apply is null.

    Raises
    ------
    ValueError
        If windows are not distinct days of at least 1, a column is denied, or one to leave out
        does not exist.
    """
    families = _families(tables, windows_days, definition, deny or {}, leave_out, kinds)
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
        for family in _families(tables, windows_days, definition, deny or {}, leave_out, kinds)
        for feature in family.features
    ]


def with_features(snapshots: nw.LazyFrame, features: nw.LazyFrame) -> nw.LazyFrame:
    """Snapshots with all their columns, followed by their features."""
    # The other way round, an engine would put the wide side into its hash table.
    joined = features.join(snapshots, on=list(KEYS), how="inner")
    names = (*columns_of(snapshots), *columns_of(features))
    return joined.select(*dict.fromkeys(names))


def _families(
    tables: Tables,
    windows_days: Sequence[int],
    definition: ChurnDefinition,
    deny: Mapping[str, str],
    leave_out: Sequence[str],
    kinds: Sequence[str] | None,
) -> list[Family]:
    windows = tuple(windows_days)
    if not windows or min(windows) < 1 or len(set(windows)) < len(windows):
        raise ValueError(
            f"features: windows_days must be distinct whole days of at least 1, found {windows}; "
            "correct them in params.yaml"
        )
    check_allowed(attribute_columns(tables, leave_out), deny)
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
            f"features: the name '{twice[0]}' is given twice; rename the attribute or the "
            "activity kind in the source's query"
        )
    return families


def _joined(tables: Tables, keys: nw.LazyFrame, families: Sequence[Family]) -> nw.LazyFrame:
    """Snapshots with everything that features are computed from; without events 0, not null.

    The widest parts are joined last: what is joined already is carried through every later join.
    """
    joined = keys
    for family in families:
        if family.attach is not None:
            joined = family.attach(joined, keys)
    views = _by_view(families)
    for view, aggregates in sorted(views.items(), key=lambda item: len(item[1])):
        joined = joined.join(_reduced(tables, keys, view, aggregates), on=list(KEYS), how="left")
    counted = [one.name for every in views.values() for one in every if one.how == "sum"]
    return joined.with_columns(nw.col(*counted).fill_null(0)) if counted else joined


def _by_view(families: Sequence[Family]) -> dict[str, tuple[Aggregate, ...]]:
    """Aggregates of all families by view, each once, so that every table is read in one pass."""
    found: dict[str, dict[str, Aggregate]] = {}
    for family in families:
        for view, aggregates in family.aggregates.items():
            found.setdefault(view, {}).update({one.name: one for one in aggregates})
    return {view: tuple(found[view].values()) for view in VIEWS if view in found}


def _reduced(
    tables: Tables, keys: nw.LazyFrame, view: str, aggregates: Sequence[Aggregate]
) -> nw.LazyFrame:
    """One pass over the events of a view: one row per snapshot that has any."""
    table, time, by = VIEWS[view]
    events = visible(tables[table], keys, time=time, by=by)
    marked = events.select(*KEYS, **{one.name: one.value for one in aggregates})
    reduced = marked.group_by(*KEYS).agg(
        *(getattr(nw.col(one.name), one.how)().alias(one.name) for one in aggregates)
    )
    return reduced.with_columns(
        nw.col(one.name).cast(nw.Float64 if one.how == "sum" else nw.Int64) for one in aggregates
    )

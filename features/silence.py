"""Whether purchases go on up to `as_of`: if they end long before it, everybody looks silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import narwhals as nw
import numpy as np

from .churn_definition import ChurnDefinition
from .contract.violation import Violation
from .newest_event import newest, newest_event

PURCHASES = (("orders", "ordered_at", "order"), ("activity", "happened_at", "activity"))
_DAY = timedelta(days=1)
_SHARE_OF_HORIZON = 0.1
_USUAL = 0.95  # of the gaps between days with purchases: longer ones are holidays
_USUAL_GAPS = 2.0
_LOST_ALONE = "of lost customers alone give the table departures, and kind: contract under churn"


@dataclass(frozen=True)
class Silence:
    """Purchases that end long before the moment that counts as now.

    Attributes
    ----------
    table, column, noun
        Where the purchases stand, and what one is called.
    newest, as_of
        When the last one was, and the moment that counts as now; UTC.
    last_event
        When the last event of any table was.
    definition
        When a customer counts as lost.
    """

    table: str
    column: str
    noun: str
    newest: datetime
    as_of: datetime
    last_event: datetime
    definition: ChurnDefinition

    def __str__(self) -> str:
        return (
            f"the newest {self.noun} is of {self._ended}: customers look as if they had fallen "
            f"silent; {self._cure}"
        )

    @property
    def violations(self) -> list[Violation]:
        """One, if every customer counts as lost for want of newer purchases; else none."""
        days = self.definition.inactive_days
        own_gaps = self.definition.gap_multiple is not None
        if self.definition.kind != "inactivity" or own_gaps:
            return []
        if self.as_of - self.newest <= days * _DAY:
            return []
        expected = f"reach to within {days} days (inactive_days) of as_of"
        found = f"none after {self._ended}, so that every customer would count as lost"
        cure = f"{self._cure}; {_LOST_ALONE}"
        return [Violation(self.table, self.column, expected, found, 0, (), cure)]

    @property
    def _ended(self) -> str:
        days = (self.as_of - self.newest) // _DAY
        return f"{self.newest:%Y-%m-%d}, {days:,} days before as_of {self.as_of:%Y-%m-%d}"

    @property
    def _cure(self) -> str:
        until = datetime(self.newest.year, self.newest.month, self.newest.day) + _DAY
        newer = f"the table {self.table} up to as_of"
        if self.last_event > until:
            return f"deliver {newer}; other tables go on up to {self.last_event:%Y-%m-%d}"
        return f"set as_of to {until:%Y-%m-%d} in the source, or deliver {newer}"


def silence_before(
    tables: Mapping[str, Any], *, as_of: datetime | None, definition: ChurnDefinition
) -> Silence | None:
    """The silence between the last purchase and `as_of`, if it is longer than is usual.

    Purchases are orders, else activity, as in the definition of churn. A silence is long if it is
    over a tenth of the churn horizon, so that it moves risks, and over twice the gap that 95% of
    the gaps between days with purchases do not exceed, so that days off and bills of once a month
    are no alarm.

    Parameters
    ----------
    tables
        Frames by table name, native or narwhals, that meet the contract.
    as_of
        The moment that counts as now, UTC without a zone; None: that of the last event.
    definition
        When a customer counts as lost.
    """
    found = next((each for each in PURCHASES if each[0] in tables), None)
    if found is None:
        return None
    table, column, noun = found
    times = nw.from_native(tables[table]).lazy().select(time=nw.col(column))
    last = newest(times, "time")
    last_event = newest_event(tables)
    if last is None or last_event is None:
        return None
    silence = Silence(table, column, noun, last, as_of or last_event, last_event, definition)
    limit = max(
        _SHARE_OF_HORIZON * definition.horizon_days,
        _USUAL_GAPS * _usual_gap_days(times),
    )
    return silence if silence.as_of - last > limit * _DAY else None


def _usual_gap_days(times: nw.LazyFrame[Any]) -> float:
    """Days between neighbouring days with purchases, which few gaps exceed; 0 with one such day."""
    days = times.select(day=nw.col("time").dt.truncate("1d")).unique().sort("day").collect()
    gaps = np.diff(np.array(days["day"].to_list(), dtype="datetime64[D]")).astype(float)
    return float(np.quantile(gaps, _USUAL)) if len(gaps) else 0.0

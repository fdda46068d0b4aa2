"""The churn definition: when a customer counts as lost, and which days a churn label covers."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("contract", "inactivity", "label")


@dataclass(frozen=True)
class ChurnDefinition:
    """When a customer counts as lost, and which days a churn label covers.

    Attributes
    ----------
    kind
        "contract": a customer leaves by a row of `departures`. "inactivity": by not buying for long
        enough. "label": a column of `attributes` says who left, in a table without dates.
    column
        Label: that column, true or 1 for whoever left, empty where nobody knows yet.
    inactive_days
        Inactivity: days without a purchase after which a customer is lost.
    gap_multiple
        Inactivity: lost after this many times the customer's own mean gap between purchases, where
        that is longer than `inactive_days`; without it, `inactive_days` alone counts.
    grace_days
        Contract: days after its end before the customer counts as lost.
    resign_gap_days
        Contract: a customer who orders within this many days after the end has not left.
    lead_days
        Days that a campaign needs to reach a customer: the label counts later departures only.
    horizon_days
        Length of the label's window in days.

    Raises
    ------
    ValueError
        If the kind is unknown, a number is out of its range, or `column` does not go with the kind.
    """

    kind: str = "contract"
    column: str | None = None
    inactive_days: int = 180
    gap_multiple: float | None = None
    grace_days: int = 0
    resign_gap_days: int = 0
    lead_days: int = 0
    horizon_days: int = 90

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"churn: kind must be one of {', '.join(KINDS)}, found '{self.kind}'; "
                "correct it in the source"
            )
        if (self.kind == "label") != bool(self.column):
            raise ValueError(
                f"churn: column must be given for kind label and for no other, found kind "
                f"'{self.kind}' and column {self.column!r}; correct it in the source"
            )
        for name in ("inactive_days", "horizon_days"):
            _at_least(name, getattr(self, name), 1)
        for name in ("grace_days", "resign_gap_days", "lead_days"):
            _at_least(name, getattr(self, name), 0)
        if self.gap_multiple is not None and not self.gap_multiple > 0:
            raise ValueError(
                f"churn: gap_multiple must be above 0, found {self.gap_multiple}; "
                "leave it out to use inactive_days alone"
            )

    @property
    def undo_days(self) -> int:
        """Days after the end of a contract in which an order cancels the departure."""
        return max(self.grace_days, self.resign_gap_days)

    @property
    def dated(self) -> bool:
        """Whether departures have dates, so that a model can be tested on later ones."""
        return self.kind != "label"

    @property
    def gap_days(self) -> int | None:
        """Days that training and test have to be apart; None without dates."""
        return self.maturity_days if self.dated else None

    @property
    def within(self) -> str:
        """In what time a customer leaves, in words."""
        if self.dated:
            return f"within {self.horizon_days:g} days"
        return f"in as long a time as the column '{self.column}' covers"

    @property
    def maturity_days(self) -> int:
        """Days from as_of until the churn label is certain."""
        wait = 0 if self.kind == "inactivity" else self.undo_days - self.grace_days
        return self.lead_days + self.horizon_days + wait


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"churn: {name} must be a whole number of days, at least {least}, found {value!r}; "
            "correct it in the source"
        )

"""Moments in time: UTC without a time zone, or whole seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime


def naive_utc(moment: datetime) -> datetime:
    """The moment in UTC without a time zone; a moment without a time zone is taken as UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def now() -> datetime:
    """The moment by the clock of this machine."""
    return naive_utc(datetime.now(UTC))


def seconds(moment: datetime | str) -> int:
    """Whole seconds since 1970 of a moment, which may be in ISO format."""
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return int(naive_utc(moment).replace(tzinfo=UTC).timestamp())


def from_seconds(seconds: int) -> datetime:
    """The moment so many seconds after 1970."""
    return naive_utc(datetime.fromtimestamp(seconds, UTC))

"""Errors with an exit code each, so that a scheduler can tell them apart."""

from __future__ import annotations


class Refusal(ValueError):
    """A job stopped on purpose, and nothing was published."""

    exit_code = 3


class DriftBeyondLimit(Refusal):
    """Customers lie too far from those for whom the model was registered."""

    exit_code = 6


class SuppressionsUnusable(Refusal):
    """The list of those not to be scored is missing, stale or unreadable."""

    exit_code = 7


class LockHeld(Refusal):
    """Another job is writing to the same place."""

    exit_code = 8


class ModelRefused(Refusal):
    """There is no such model, or its files are not those that were registered."""

    exit_code = 9


class Vetoed(Refusal):
    """A gate found the challenger wanting."""

    exit_code = 10

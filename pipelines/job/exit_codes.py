"""Exit codes and the errors that have one, so that a scheduler can tell them apart."""

from __future__ import annotations

DONE, CRASH, USAGE, REFUSED, BROKEN_EXPERIMENT, SAMPLE_RATIO = range(6)
DRIFT, SUPPRESSIONS, LOCKED, MODEL, VETO = range(6, 11)

EXIT_CODES = {
    DONE: "done",
    CRASH: "a crash, such as a full disk or no memory; what stood before stands",
    USAGE: "wrong usage",
    REFUSED: "bad data, settings or customers: columns, types, missing files, no rows",
    BROKEN_EXPERIMENT: "the experiment is broken",
    SAMPLE_RATIO: "the arms of the experiment have sizes that chance does not explain",
    DRIFT: "drift beyond the limit",
    SUPPRESSIONS: "the suppression list is missing, stale or unreadable",
    LOCKED: "another job writes to the same place",
    MODEL: "the model is missing, or not what was registered",
    VETO: "a gate vetoed the promotion",
}


class Refusal(ValueError):
    """A job stopped on purpose, and nothing was published."""

    exit_code = REFUSED


class DriftBeyondLimit(Refusal):
    """Customers lie too far from those for whom the model was registered."""

    exit_code = DRIFT


class SuppressionsUnusable(Refusal):
    """The list of those not to be scored is missing, stale or unreadable."""

    exit_code = SUPPRESSIONS


class LockHeld(Refusal):
    """Another job is writing to the same place."""

    exit_code = LOCKED


class ModelRefused(Refusal):
    """There is no such model, or its files are not those that were registered."""

    exit_code = MODEL


class Vetoed(Refusal):
    """A gate did not let the challenger pass."""

    exit_code = VETO

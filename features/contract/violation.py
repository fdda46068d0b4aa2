"""A broken rule of the data contract, as a sentence: where, expected, found, how many, the cure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    Attributes
    ----------
    table, column
        Where; the column is empty where the whole table is meant.
    expected, found
        What the contract says and what stands there.
    count
        How many rows; 0 where no rows are meant.
    ids
        Up to five hashed ids of customers concerned (`hashed` of the id finds them again).
    cure
        What to do.
    """

    table: str
    column: str
    expected: str
    found: str
    count: int
    ids: tuple[str, ...]
    cure: str

    def __str__(self) -> str:
        place = f"{self.table}: column '{self.column}'" if self.column else self.table
        rows = f" in {self.count:,} {'row' if self.count == 1 else 'rows'}" if self.count else ""
        ids = f" (hashed ids {', '.join(self.ids)})" if self.ids else ""
        return f"{place} must {self.expected}, found {self.found}{rows}{ids}; {self.cure}"


class ContractError(ValueError):
    """Tables break the contract; nothing was stored.

    Attributes
    ----------
    violations
        All of them.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        count = len(self.violations)
        head = f"the tables break the contract in {count} {'way' if count == 1 else 'ways'}"
        super().__init__("\n".join([head, *(f"  {violation}" for violation in self.violations)]))


def hashed(identifier: object) -> str:
    """The first 12 hex digits of the SHA-256 of an id: names a customer without telling who."""
    return hashlib.sha256(str(identifier).encode()).hexdigest()[:12]

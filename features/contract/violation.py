"""Violations of the data contract, each written as one sentence that also says how to fix it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from .rules import rule_code


@dataclass(frozen=True)
class Violation:
    """One broken rule of the contract.

    Attributes
    ----------
    table, column
        Name of the table and of the column; no column ("") for a rule about the whole table.
    expected, found
        What the contract asks for, after "must", and what was found.
    count
        Number of rows that break the rule; 0 for a rule that is not about rows.
    ids
        Up to five ids of customers concerned, hashed by `hashed`.
    cure
        How to fix it.
    rows
        Positions of up to five of these rows in their table, from 1; empty where they are unknown.
    """

    table: str
    column: str
    expected: str
    found: str
    count: int
    ids: tuple[str, ...]
    cure: str
    rows: tuple[int, ...] = ()

    @property
    def code(self) -> str:
        """The code of the rule (`rules.RULES`)."""
        return rule_code(self.expected)

    def __str__(self) -> str:
        subject = f"{self.table}: column '{self.column}'" if self.column else self.table
        count = f" in {self.count:,} {'row' if self.count == 1 else 'rows'}" if self.count else ""
        examples = []
        if self.rows:
            more = " and more" if self.count > len(self.rows) else ""
            numbers = ", ".join(f"{row}" for row in self.rows)
            examples.append(f"{'row' if self.count == 1 else 'rows'} {numbers}{more}")
        if self.ids:
            examples.append(f"hashed ids {', '.join(self.ids)}")
        shown = f" ({'; '.join(examples)})" if examples else ""
        return f"{subject} must {self.expected}, found {self.found}{count}{shown}; {self.cure}"


class ContractError(ValueError):
    """The tables break the contract. The caller has stored nothing.

    Attributes
    ----------
    violations
        Every violation found.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        count = len(self.violations)
        head = f"the tables break the contract in {count} {'way' if count == 1 else 'ways'}"
        super().__init__(
            "\n".join(
                [head, *(f"  [{violation.code}] {violation}" for violation in self.violations)]
            )
        )


def hashed(identifier: object) -> str:
    """The first 12 hex digits of the SHA-256 of an id, for messages that must not show the id."""
    return hashlib.sha256(str(identifier).encode()).hexdigest()[:12]

"""What a command ends with: text for people, facts for machines, an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """The end of a command.

    Attributes
    ----------
    text
        What a person reads on standard output; empty where there is nothing to say.
    facts
        The same for machines (`--json`): counts, paths, versions. NaN becomes null.
    exit_code
        See `exit_codes`; not zero where something was found that must be mended first.
    """

    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    exit_code: int = 0

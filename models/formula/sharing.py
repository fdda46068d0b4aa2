"""Common subexpressions of a formula under one name, so that each is evaluated once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace

from .formula import Expression, Formula

_COSTLY = ("additive", "booster")


def share_parts(formula: Formula) -> Formula:
    """The same formula with each costly part that repeats under a name of its own."""
    counts: Counter[str] = Counter()
    for expression in formula.expressions.values():
        _count(expression, counts)
    names = {
        text: "part_" + hashlib.sha256(text.encode()).hexdigest()[:12]
        for text, count in counts.items()
        if count > 1
    }
    expressions = {
        name: _referred(expression, names) for name, expression in formula.expressions.items()
    }
    parts = {name: json.loads(text) for text, name in names.items()}
    return replace(formula, expressions={**expressions, **parts})


def _count(expression: Expression, counts: Counter[str]) -> None:
    if expression and expression[0] in _COSTLY:
        counts[json.dumps(expression)] += 1
        return
    for part in expression:
        if isinstance(part, list):
            _count(part, counts)


def _referred(expression: Expression, names: dict[str, str]) -> Expression:
    if expression and expression[0] in _COSTLY:
        name = names.get(json.dumps(expression))
        return expression if name is None else ["ref", name]
    return [_referred(part, names) if isinstance(part, list) else part for part in expression]

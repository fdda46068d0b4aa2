"""The kinds of rules of the data contract, each with a code that stays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A kind of rule.

    Attributes
    ----------
    code
        Never given to another rule.
    begins
        How what a violation expects begins, if it is of this kind.
    rule, cure
        What must hold, and what to do where it does not.
    table, example
        SQL over `sound`, a table that keeps the contract, that breaks the rule.
    """

    code: str
    begins: tuple[str, ...]
    rule: str
    cure: str
    table: str
    example: str


RULES = (
    Rule(
        "WB101",
        ("exist",),
        "the table `customers` and every needed column are there",
        "select it in the source's query",
        "orders",
        "select * exclude (amount) from sound",
    ),
    Rule(
        "WB102",
        ("be one of",),
        "tables, columns and values that are named in advance are known by that name",
        "rename, map or remove it in the source's query",
        "complaints",
        "select * replace ('mood' as cause) from sound",
    ),
    Rule(
        "WB103",
        ("not be empty", "have rows"),
        "needed values are there, and there are customers",
        "correct or leave out these rows in the source's query",
        "orders",
        "select * replace (null::timestamp as ordered_at) from sound",
    ),
    Rule(
        "WB104",
        ("be unique",),
        "no two rows have the same key",
        "keep one row of each in the source's query",
        "customers",
        "from sound union all from sound",
    ),
    Rule(
        "WB105",
        ("be in customers", "have the type of customers"),
        "whoever has a row in another table is a customer, by an id of the same type",
        "add these customers, cast the id, or leave out these rows",
        "orders",
        "select * replace (7777 as customer_id) from sound",
    ),
    Rule(
        "WB106",
        ("be in UTC", "keep its time zone"),
        "times are in UTC without a zone, in this delivery as in the last",
        "convert them to UTC in the source's query",
        "orders",
        "select * replace (ordered_at + interval 3 hours as ordered_at) from sound",
    ),
    Rule(
        "WB107",
        ("keep its unit",),
        "amounts have the unit of the last accepted delivery",
        "correct the query; to accept another unit, remove the manifest of the stored tables",
        "orders",
        "select * replace (amount * 100 as amount) from sound",
    ),
    Rule(
        "WB108",
        ("not be after", "not be before"),
        "times lie between sign-up and `as_of`, and in their order",
        "correct the times, or set `as_of` in the source",
        "orders",
        "select * replace (timestamp '2099-01-01' as ordered_at) from sound",
    ),
    Rule(
        "WB109",
        ("be known before",),
        "attributes are known before the outcome",
        "do not select the column",
        "attributes",
        "select *, 5 as satisfaction_score from sound",
    ),
    Rule(
        "WB110",
        ("not have the name",),
        "attributes do not take the name of a column of the training tables",
        "rename it in the source's query",
        "attributes",
        "select *, 1.5 as churned from sound",
    ),
    Rule(
        "WB112",
        ("reach ",),
        "the last purchase is at most `inactive_days` before `as_of`: else everybody is lost",
        "set `as_of` to the day after the last purchase, or deliver newer ones",
        "orders",
        "select * replace (timestamp '2019-02-01' as ordered_at) from sound",
    ),
    Rule(
        "WB111",
        ("be ",),
        "values have the type and the range of their column",
        "cast or correct them in the source's query",
        "orders",
        "select * replace (-5 as amount) from sound",
    ),
)


def rule_code(expected: str) -> str:
    """The code of a violation by what it expects."""
    return next(rule.code for rule in RULES if expected.startswith(rule.begins))

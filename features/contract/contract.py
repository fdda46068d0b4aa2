"""The data contract: tables that a source may have, and types, keys, ranges and meanings in them.

The checks (`checks.py`), the reading of sources and docs/contract.md all use this description.
Times are UTC; money is decimal, in one currency; ids are text or whole numbers, of the same type in
all tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["id", "time", "money", "number", "whole", "probability", "text", "flag"]

KINDS: dict[Kind, str] = {
    "id": "text or a whole number",
    "time": "a timestamp",
    "money": "a number (money)",
    "number": "a number",
    "whole": "a whole number",
    "probability": "a number in (0, 1]",
    "text": "text",
    "flag": "true or false (or 0 and 1)",
}
REASONS = (
    "price",
    "service",
    "both",
    "product",
    "competitor",
    "moved",
    "need_gone",
    "involuntary",
    "unknown",
)
CAUSES = ("human", "system")
# Columns of the training tables that are not features; no attribute may have one of these names.
RESERVED = (
    "arm",
    "as_of",
    "campaign",
    "churned",
    "cost",
    "group_id",
    "offer",
    "population",
    "propensity",
    "returned",
    "returned_at",
    "second_days",
    "second_ended",
    "value",
)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name, kind, meaning
        Its name, its type (a key of `KINDS`) and what it says.
    needed
        Whether the table must have the column.
    empty
        Whether values may be missing.
    low, high
        Least and greatest value; None for no bound.
    allowed
        The values that are allowed, or None for any.
    """

    name: str
    kind: Kind
    meaning: str
    needed: bool = True
    empty: bool = False
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table of the contract.

    Attributes
    ----------
    name, row_is, columns
        Its name, what one row is, its columns.
    key
        Columns whose values no two rows share; empty where rows may repeat.
    customer
        Column whose ids must be in `customers`; None if they need not be.
    after_sign_up
        Times that may not be before the `signed_up_at` of that customer.
    in_order
        Pairs (earlier, later) of times of one row.
    one_of
        Columns of which the table must have one, unless the source has the table `instead`.
    instead
        Name of the table that replaces `one_of`.
    sort
        Columns by which the stored table is sorted first; all others follow.
    takes_more
        Whether other columns are allowed (attributes).
    """

    name: str
    row_is: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    customer: str | None = "customer_id"
    after_sign_up: tuple[str, ...] = ()
    in_order: tuple[tuple[str, str], ...] = ()
    one_of: tuple[str, ...] = ()
    instead: str | None = None
    sort: tuple[str, ...] = ("customer_id",)
    takes_more: bool = False

    def column(self, name: str) -> Column | None:
        """The column of that name, or None if the contract has none."""
        return next((column for column in self.columns if column.name == name), None)


def _optional(name: str, kind: Kind, meaning: str, **bounds: object) -> Column:
    return Column(name, kind, meaning, needed=False, empty=True, **bounds)  # type: ignore[arg-type]


_CUSTOMER = Column("customer_id", "id", "the customer")
_RECORDED = _optional("recorded_at", "time", "when we learned of it; default: when it happened")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "customers",
            "a customer",
            (
                _CUSTOMER,
                _optional("group_id", "id", "household, shop or account that shares one fate"),
                _optional("signed_up_at", "time", "start of the first lifetime"),
                _optional("cost_to_serve_monthly", "money", "cost of serving, a month", low=0),
            ),
            key=("customer_id",),
            customer=None,
        ),
        Table(
            "attributes",
            "facts about a customer, known from a date on",
            (
                _CUSTOMER,
                _optional("known_at", "time", "known from then on; empty: always known"),
            ),
            key=("customer_id", "known_at"),
            sort=("customer_id", "known_at"),
            takes_more=True,
        ),
        Table(
            "orders",
            "a payment, bill or purchase",
            (
                Column("order_id", "id", "the order"),
                _CUSTOMER,
                Column("ordered_at", "time", "when it was placed or billed"),
                Column("amount", "money", "what the customer paid", low=0),
                _optional("margin", "money", "what it earned, before costs of offers; may be < 0"),
                _optional("discount", "money", "money taken off the regular price", low=0),
                _RECORDED,
            ),
            key=("order_id",),
            after_sign_up=("ordered_at",),
            sort=("customer_id", "ordered_at", "order_id"),
        ),
        Table(
            "activity",
            "a use or visit",
            (
                _CUSTOMER,
                Column("happened_at", "time", "when it happened"),
                Column("kind", "text", "what was done"),
                _optional("quantity", "number", "how much of it", low=0),
                _RECORDED,
            ),
            after_sign_up=("happened_at",),
            sort=("customer_id", "happened_at", "kind"),
        ),
        Table(
            "complaints",
            "a complaint",
            (
                Column("complaint_id", "id", "the complaint"),
                _CUSTOMER,
                Column("opened_at", "time", "when it was made"),
                _optional("resolved_at", "time", "when it was settled; empty: still open"),
                _optional("severity", "whole", "1 slight, 2 annoying, 3 grave", low=1, high=3),
                _optional("cause", "text", "whose fault it was", allowed=CAUSES),
                _optional("topic", "text", "what it was about"),
                _RECORDED,
            ),
            key=("complaint_id",),
            after_sign_up=("opened_at",),
            in_order=(("opened_at", "resolved_at"),),
            sort=("customer_id", "opened_at", "complaint_id"),
        ),
        Table(
            "referrals",
            "a recommendation by a customer to somebody",
            (
                Column("referrer_id", "id", "the customer who recommends"),
                Column("referred_id", "id", "the person it was made to, customer or not"),
                Column("referred_at", "time", "when"),
                _optional("converted_at", "time", "when that person became a customer"),
                _RECORDED,
            ),
            key=("referrer_id", "referred_id"),
            customer="referrer_id",
            in_order=(("referred_at", "converted_at"),),
            sort=("referrer_id", "referred_at", "referred_id"),
        ),
        Table(
            "departures",
            "the departure of a customer",
            (
                _CUSTOMER,
                Column("departed_at", "time", "when the contract ended or notice was given"),
                _optional("reason", "text", "the reason stated", allowed=REASONS),
                _optional("comment", "text", "free text, never a feature"),
                _RECORDED,
            ),
            key=("customer_id", "departed_at"),
            after_sign_up=("departed_at",),
            sort=("customer_id", "departed_at"),
        ),
        Table(
            "contacts",
            "a message sent to a customer",
            (
                _CUSTOMER,
                Column("contacted_at", "time", "when it was sent"),
                _optional("channel", "text", "e-mail, call, letter, ..."),
                _optional("campaign", "text", "the campaign it belonged to"),
                _RECORDED,
            ),
            sort=("customer_id", "contacted_at"),
        ),
        Table(
            "offers",
            "an offer to win back or to keep, randomized or logged; the control counts as one",
            (
                _CUSTOMER,
                Column("offered_at", "time", "when it was sent, or would have been"),
                Column("offer", "text", "its name in the experiment, or the name of the control"),
                _optional("arm", "text", "the group, where it differs from the offer"),
                _optional("propensity", "probability", "probability that this offer was sent"),
                _optional("chosen", "text", "what a campaign chose, sent or held out at random"),
                _optional("every_offer_open", "flag", "each offer had a chance; empty: yes"),
                _optional("campaign", "text", "the campaign it belonged to"),
                _optional("returned_at", "time", "when the customer returned; empty: did not"),
                _optional("returned", "flag", "whether the customer returned"),
                _optional("offer_cost", "money", "what the offer actually cost", low=0),
                _optional("value", "money", "what the return earned; may be < 0"),
                _RECORDED,
            ),
            key=("customer_id", "offered_at"),
            after_sign_up=("offered_at",),
            in_order=(("offered_at", "returned_at"),),
            one_of=("returned_at", "returned"),
            instead="orders",
            sort=("customer_id", "offered_at"),
        ),
        Table(
            "suppressions",
            "a person who must not be scored or contacted",
            (
                Column("customer_id", "id", "the person, who need not be a customer any more"),
                Column("since", "time", "the date from which this holds"),
                Column("why", "text", "the reason: objection, deceased, blocked, ..."),
            ),
            customer=None,
            sort=("customer_id", "since"),
        ),
    )
}


def plain_name(name: str) -> str:
    """A column name without case and punctuation: 'Churn Score' and churn_score are the same."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def tables_with_label(label: str | None) -> dict[str, Table]:
    """The contract where a column of `attributes` says who left: that column, and no history."""
    if label is None:
        return TABLES
    attributes = TABLES["attributes"]
    column = Column(label, "flag", "whether the customer left", empty=True)
    labelled = replace(
        attributes,
        row_is="facts about a customer, with the label",
        columns=(*attributes.columns, column),
        key=("customer_id",),
    )
    return {**TABLES, "attributes": labelled}


def contract_markdown() -> str:
    """The contract as markdown, one section per table, for docs/contract.md."""
    return "\n".join(_table_markdown(table) for table in TABLES.values())


def _table_markdown(table: Table) -> str:
    lines = [
        f"### {table.name}",
        "",
        f"One row is {table.row_is}. {_rules(table)}".strip(),
        "",
        "| column | type | needed | values | meaning |",
        "|---|---|---|---|---|",
    ]
    for column in table.columns:
        needed = "yes" if column.needed else "no"
        cells = (column.name, KINDS[column.kind], needed, _values(column), column.meaning)
        lines.append("| " + " | ".join(cells) + " |")
    if table.takes_more:
        lines.append("| any | number, text, true or false | no | finite | one feature each |")
    return "\n".join([*lines, ""])


def _values(column: Column) -> str:
    if column.allowed:
        return ", ".join(column.allowed)
    if column.low is not None and column.high is not None:
        return f"{column.low:g} to {column.high:g}"
    if column.low is not None:
        return f"at least {column.low:g}"
    return "any" if not column.empty else "any, may be empty"


def _rules(table: Table) -> str:
    rules = []
    if table.key:
        rules.append(f"Key: {', '.join(table.key)}.")
    if table.customer:
        rules.append(f"`{table.customer}` must be in customers.")
    rules += [f"`{name}` may not be before `signed_up_at`." for name in table.after_sign_up]
    rules += [f"`{later}` may not be before `{earlier}`." for earlier, later in table.in_order]
    if table.one_of:
        rules.append(f"Needs {' or '.join(table.one_of)}, unless there is a table {table.instead}.")
    return " ".join(rules)

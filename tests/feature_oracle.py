"""Every feature of one customer at one moment, as plainly as Python can say it; slow on purpose.

Tables are lists of dicts in canonical units. Nothing here is shared with the package but the
definition of churn.
"""

import math
from collections.abc import Sequence
from typing import Any

from winback.features.churn_definition import ChurnDefinition

Row = dict[str, Any]
DAY = 86_400


def known(rows: Sequence[Row], time: str, as_of: int) -> list[Row]:
    return [
        row
        for row in rows
        if row[time] is not None
        and row[time] < as_of
        and (row.get("recorded_at") is None or row["recorded_at"] < as_of)
    ]


def mine(rows: Sequence[Row], customer: int, by: str = "customer_id") -> list[Row]:
    return [row for row in rows if row[by] == customer]


def days(seconds: int) -> float:
    return seconds / DAY


def share(above: float, below: float) -> float | None:
    return above / below if below > 0 else None


def since(moments: Sequence[int], as_of: int) -> float | None:
    return days(as_of - max(moments)) if moments else None


def in_last(rows: Sequence[Row], time: str, as_of: int, length: int) -> list[Row]:
    return [row for row in rows if row[time] >= as_of - length * DAY]


def in_one_before(rows: Sequence[Row], time: str, as_of: int, length: int) -> list[Row]:
    recent = as_of - length * DAY
    return [row for row in rows if recent - length * DAY <= row[time] < recent]


def total(rows: Sequence[Row], column: str) -> int:
    return sum(row[column] or 0 for row in rows)


def silences(moments: Sequence[int], definition: ChurnDefinition) -> list[tuple[int, int | None]]:
    """(departed_at, returned_at) of every silence that became too long."""
    moments = sorted(moments)
    found = []
    for place, moment in enumerate(moments):
        allowed = definition.inactive_days * DAY
        if definition.gap_multiple is not None and place > 0:
            mean_gap = (moment - moments[0]) / place
            allowed = max(allowed, math.floor(mean_gap * definition.gap_multiple))
        following = moments[place + 1] if place + 1 < len(moments) else None
        if following is None or following >= moment + allowed:
            found.append((moment + allowed, following))
    return found


def departures(
    tables: dict[str, list[Row]], customer: int, as_of: int, definition: ChurnDefinition
) -> list[tuple[int, int | None]] | None:
    """(departed_at, returned_at) as known at as_of, in order; None if no table tells."""
    orders = known(mine(tables.get("orders", []), customer), "ordered_at", as_of)
    if definition.kind == "inactivity":
        if "orders" in tables:
            moments = [row["ordered_at"] for row in orders]
        elif "activity" in tables:
            uses = known(mine(tables["activity"], customer), "happened_at", as_of)
            moments = [row["happened_at"] for row in uses]
        else:
            return None
        return [(left, back) for left, back in silences(moments, definition) if left < as_of]
    if "departures" not in tables:
        return None
    found = []
    for row in mine(tables["departures"], customer):
        left = row["departed_at"]
        if left + definition.grace_days * DAY >= as_of:
            continue
        if row.get("recorded_at") is not None and row["recorded_at"] >= as_of:
            continue
        later = [order["ordered_at"] for order in orders if order["ordered_at"] > left]
        back = min(later, default=None)
        undone_until = left + max(definition.grace_days, definition.resign_gap_days) * DAY
        if back is None or back >= undone_until:
            found.append((left, back))
    return sorted(found)


def expected(
    tables: dict[str, list[Row]],
    customer: int,
    as_of: int,
    *,
    windows_days: Sequence[int],
    definition: ChurnDefinition,
    kinds: Sequence[str],
) -> Row:
    """Features by name; None where a feature does not apply."""
    middle = sorted(windows_days)[min(1, len(windows_days) - 1)]
    found: Row = {}
    person = mine(tables["customers"], customer)[0]
    orders = known(mine(tables.get("orders", []), customer), "ordered_at", as_of)
    if "orders" in tables:
        found |= of_orders(orders, as_of, windows_days, middle)
    if "activity" in tables:
        uses = known(mine(tables["activity"], customer), "happened_at", as_of)
        found |= of_activity(uses, as_of, windows_days, middle, kinds)
    found |= of_lifetimes(tables, person, orders, as_of, definition)
    if "complaints" in tables:
        rows = known(mine(tables["complaints"], customer), "opened_at", as_of)
        found |= of_complaints(rows, as_of, windows_days)
    if "referrals" in tables:
        made = known(mine(tables["referrals"], customer, "referrer_id"), "referred_at", as_of)
        received = known(mine(tables["referrals"], customer, "referred_id"), "referred_at", as_of)
        converted = known(made, "converted_at", as_of)
        found |= {
            "referrals_made": len(made),
            "days_since_last_referral": since([row["referred_at"] for row in made], as_of),
            "was_referred": int(bool(received)),
            "referrals_converted": len(converted),
            "referrals_converted_share": share(len(converted), len(made)),
        }
    if "departures" in tables:
        left = known(mine(tables["departures"], customer), "departed_at", as_of)
        left.sort(key=lambda row: row["departed_at"])
        found["departure_reason"] = left[-1]["reason"] if left else None
    if "contacts" in tables:
        rows = known(mine(tables["contacts"], customer), "contacted_at", as_of)
        found |= {
            f"contacts_{middle}d": len(in_last(rows, "contacted_at", as_of, middle)),
            "contacts_total": len(rows),
            "days_since_last_contact": since([row["contacted_at"] for row in rows], as_of),
        }
    if "offers" in tables:
        rows = known(mine(tables["offers"], customer), "offered_at", as_of)
        found |= {
            "past_offers": len(rows),
            "days_since_last_offer": since([row["offered_at"] for row in rows], as_of),
            "past_offers_accepted": len(known(rows, "returned_at", as_of)),
        }
    cents = person["cost_to_serve_monthly"]
    found["cost_to_serve_monthly"] = None if cents is None else cents / 100
    if "attributes" in tables:
        found |= of_attributes(mine(tables["attributes"], customer), as_of)
    return found


def of_orders(orders: list[Row], as_of: int, windows_days: Sequence[int], middle: int) -> Row:
    found: Row = {}
    moments = [row["ordered_at"] for row in orders]
    recent = in_last(orders, "ordered_at", as_of, middle)
    before = in_one_before(orders, "ordered_at", as_of, middle)
    for length in windows_days:
        inside = in_last(orders, "ordered_at", as_of, length)
        found[f"orders_{length}d"] = len(inside)
        found[f"spend_{length}d"] = total(inside, "amount") / 100
    last = since(moments, as_of)
    gap = share(days(max(moments) - min(moments)), len(moments) - 1) if moments else None
    spent, spent_before = total(recent, "amount"), total(before, "amount")
    discounted = [row for row in orders if (row["discount"] or 0) > 0]
    given, paid = total(orders, "discount"), total(orders, "amount")
    longest = max(windows_days)
    return found | {
        "days_since_last_order": last,
        "orders_total": len(orders),
        f"orders_trend_{middle}d": share(len(recent) - len(before), len(recent) + len(before)),
        "mean_days_between_orders": gap,
        "order_gap_ratio": None if gap is None or last is None else share(last, gap),
        "spend_total": paid / 100,
        "mean_order_amount": share(paid / 100, len(orders)),
        f"spend_trend_{middle}d": share(spent - spent_before, spent + spent_before),
        f"margin_{longest}d": total(in_last(orders, "ordered_at", as_of, longest), "margin") / 100,
        "margin_total": total(orders, "margin") / 100,
        f"discounted_share_{middle}d": share(
            sum((row["discount"] or 0) > 0 for row in recent), len(recent)
        ),
        "discounted_share_total": share(len(discounted), len(orders)),
        "discount_total": given / 100,
        "discount_depth_total": share(given, given + paid),
    }


def of_activity(
    uses: list[Row], as_of: int, windows_days: Sequence[int], middle: int, kinds: Sequence[str]
) -> Row:
    recent = in_last(uses, "happened_at", as_of, middle)
    before = in_one_before(uses, "happened_at", as_of, middle)
    found: Row = {
        f"activity_{length}d": len(in_last(uses, "happened_at", as_of, length))
        for length in windows_days
    }
    found |= {
        "days_since_last_activity": since([row["happened_at"] for row in uses], as_of),
        "activity_total": len(uses),
        f"activity_trend_{middle}d": share(len(recent) - len(before), len(recent) + len(before)),
        f"activity_quantity_{middle}d": total(recent, "quantity") / 1000,
    }
    short = min(windows_days)
    lately = total(in_last(uses, "happened_at", as_of, short), "quantity")
    earlier = total(in_one_before(uses, "happened_at", as_of, short), "quantity")
    found |= {
        f"activity_quantity_{short}d": lately / 1000,
        f"activity_quantity_trend_{short}d": share(lately - earlier, lately + earlier),
        f"activity_quantity_ratio_{short}d": share(
            lately * (as_of - min((row["happened_at"] for row in uses), default=as_of)),
            total(uses, "quantity") * short * DAY,
        ),
    }
    for kind in kinds:
        same = [row for row in uses if row["kind"] == kind]
        found[f"days_since_last_{kind}"] = since([row["happened_at"] for row in same], as_of)
        found[f"activity_{kind}_{middle}d"] = sum(row["kind"] == kind for row in recent)
    return found


def of_lifetimes(
    tables: dict[str, list[Row]],
    person: Row,
    orders: list[Row],
    as_of: int,
    definition: ChurnDefinition,
) -> Row:
    began = person["signed_up_at"]
    if began is None or began >= as_of:
        began = min((row["ordered_at"] for row in orders), default=None)
    found: Row = {"days_since_signup": None if began is None else days(as_of - began)}
    left = departures(tables, person["customer_id"], as_of, definition)
    if left is None:
        return found
    last, back = left[-1] if left else (None, None)
    is_lost = last is not None and back is None
    starts = [returned for _, returned in left if returned is not None and last is not None]
    before_last = max((moment for moment in starts if moment <= last), default=began)
    start = back if back is not None else before_last if left else began
    end = last if is_lost else as_of
    return found | {
        "days_in_lifetime": None if start is None else days(end - start),
        "lifetimes_so_far": len(left) + (0 if is_lost else 1),
        "departures_so_far": len(left),
        "is_lost": int(is_lost),
        "is_lost_twice": int(len(left) >= 2),
        "days_since_departure": None if last is None else days(as_of - last),
        "days_away_before_return": None if back is None else days(back - last),
    }


def of_complaints(rows: list[Row], as_of: int, windows_days: Sequence[int]) -> Row:
    found: Row = {
        f"complaints_{length}d": len(in_last(rows, "opened_at", as_of, length))
        for length in windows_days
    }
    resolved = [r for r in rows if r["resolved_at"] is not None and r["resolved_at"] < as_of]
    took = sum(row["resolved_at"] - row["opened_at"] for row in resolved)
    severities = [row["severity"] for row in rows if row["severity"] is not None]
    return found | {
        "complaints_total": len(rows),
        "days_since_last_complaint": since([row["opened_at"] for row in rows], as_of),
        "complaints_open": len(rows) - len(resolved),
        "complaints_resolved_share": share(len(resolved), len(rows)),
        "mean_days_to_resolve": share(days(took), len(resolved)),
        "complaints_severe": sum(severity >= 3 for severity in severities),
        "complaint_worst_severity": max(severities, default=None),
        "complaints_by_human": sum(row["cause"] == "human" for row in rows),
        "complaints_by_system": sum(row["cause"] == "system" for row in rows),
    }


def of_attributes(rows: list[Row], as_of: int) -> Row:
    if rows and "known_at" not in rows[0]:
        facts = rows
    else:
        always = [{**row, "known_at": row["known_at"] or -math.inf} for row in rows]
        facts = known(always, "known_at", as_of)
        facts.sort(key=lambda row: row["known_at"])
    last = facts[-1] if facts else dict.fromkeys(("plan", "autopay", "age"))
    return {
        "plan": last["plan"],
        "autopay": None if last["autopay"] is None else int(last["autopay"]),
        "age": last["age"],
    }


def unrecorded(rows: Sequence[Row]) -> list[Row]:
    """Rows as everybody knows them in the end."""
    return [{**row, "recorded_at": None} for row in rows]


def is_customer(
    tables: dict[str, list[Row]], person: Row, as_of: int, definition: ChurnDefinition
) -> bool:
    """Whether she is known as a customer at as_of; always, where a source tells no times."""
    if definition.kind == "contract" and person["signed_up_at"] is not None:
        return person["signed_up_at"] < as_of
    for name, time in (("orders", "ordered_at"), ("activity", "happened_at")):
        if name in tables:
            return bool(known(mine(tables[name], person["customer_id"]), time, as_of))
    return True


def churn_label(
    tables: dict[str, list[Row]], person: Row, as_of: int, definition: ChurnDefinition
) -> int | None:
    """1 or 0 for a customer active at as_of; None for one who is not in the training set."""
    customer = person["customer_id"]
    left = departures(tables, customer, as_of, definition)
    if not is_customer(tables, person, as_of, definition) or left is None:
        return None
    if left and left[-1][1] is None:
        return None
    everything = {name: unrecorded(rows) for name, rows in tables.items()}
    grace = definition.grace_days * DAY if definition.kind == "contract" else 0
    final = departures(everything, customer, 10**12, definition) or []
    lost = [moment + grace for moment, _ in final if moment + grace >= as_of]
    start = as_of + definition.lead_days * DAY
    if any(moment < start for moment in lost):
        return None
    return int(any(moment < start + definition.horizon_days * DAY for moment in lost))

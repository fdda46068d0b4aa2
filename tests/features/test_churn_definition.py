from typing import Any

import pytest
from feature_tables import DAY, START, frames_on

from winback.features.churn_definition import ChurnDefinition
from winback.features.sensitivity import churn_counts, neighbours, rates


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "rfm"}, "kind must be one of contract, inactivity, label, found 'rfm'"),
        ({"horizon_days": 0}, "horizon_days must be a whole number of days, at least 1, found 0"),
        ({"inactive_days": 90.5}, "inactive_days must be a whole number of days, at least 1"),
        ({"grace_days": -1}, "grace_days must be a whole number of days, at least 0, found -1"),
        ({"gap_multiple": 0.0}, "gap_multiple must be above 0, found"),
    ],
)
def test_a_wrong_definition_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChurnDefinition(**wrong)


def test_a_label_is_mature_when_no_order_can_undo_it_any_more() -> None:
    contract = ChurnDefinition(grace_days=10, resign_gap_days=30, lead_days=7, horizon_days=60)
    assert contract.maturity_days == 7 + 60 + (30 - 10)
    assert ChurnDefinition(kind="inactivity", horizon_days=60).maturity_days == 60


def test_neighbours_begin_with_the_definition_and_differ() -> None:
    for kind in ("contract", "inactivity"):
        given = ChurnDefinition(kind=kind, inactive_days=77, resign_gap_days=5)
        around = neighbours(given)
        assert around[0] == given
        assert len(set(around)) == len(around) >= 4


@pytest.mark.parametrize("engine", ["duckdb", "pandas", "polars"])
def test_sensitivity_counts_customers_and_money_by_hand(engine: str) -> None:
    """Of 3 at the start, one leaves for good and one comes back after 20 days."""
    start, end = START + 100 * DAY, START + 200 * DAY
    tables = frames_on(
        engine,
        {
            "customers": [
                {"customer_id": one, "signed_up_at": START + since * DAY}
                for one, since in ((1, 0), (2, 0), (3, 50), (4, 150))
            ],
            "orders": [
                {"customer_id": 1, "ordered_at": START + 10 * DAY, "amount": 1_000},
                {"customer_id": 1, "ordered_at": START + 90 * DAY, "amount": 3_000},
                {"customer_id": 2, "ordered_at": START + 99 * DAY, "amount": 500},
                {"customer_id": 2, "ordered_at": START + 140 * DAY, "amount": 500},
                {"customer_id": 3, "ordered_at": start, "amount": 700},
            ],
            "departures": [
                {"customer_id": 1, "departed_at": start, "reason": None},
                {"customer_id": 2, "departed_at": START + 120 * DAY, "reason": None},
                {"customer_id": 3, "departed_at": end, "reason": None},
            ],
        },
    )
    plain, patient = ChurnDefinition(), ChurnDefinition(resign_gap_days=30)
    table = rates(churn_counts(tables, (plain, patient), start=start, end=end))
    rows = table.sort("definition").collect(backend="pyarrow").to_native().to_pylist()
    wanted = ("resign_gap_days", "customers_at_start", "lost", "churn_rate", "money_lost")
    assert [tuple(row[name] for name in wanted) for row in rows] == [
        (0, 3, 2, 2 / 3, 45.0),
        (30, 3, 1, 1 / 3, 40.0),
    ]


def test_sensitivity_refuses_what_it_cannot_count() -> None:
    tables = frames_on("polars", {"customers": [{"customer_id": 1}]})
    with pytest.raises(ValueError, match="must end after its start 5, found end 5"):
        churn_counts(tables, (ChurnDefinition(),), start=5, end=5)
    with pytest.raises(ValueError, match="finds no departures in the tables customers"):
        churn_counts(tables, (ChurnDefinition(),), start=5, end=6)

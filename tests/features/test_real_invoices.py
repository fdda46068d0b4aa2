"""Online Retail II: three customers whose features were worked out by hand from the raw invoices.

As of 2011-01-19 00:00, lost after 180 silent days. Their invoices until then (C is a cancellation;
those of December 2010 stand in both files and count once):

12346  2009-12-14 08:34 45.00, 11:00 22.50, 11:02 22.50; 12-18 10:47 22.50, 10:55 1.00;
       2010-01-04 09:24 22.50, 09:53 22.50; 01-14 13:50 22.50; 01-22 13:30 22.50; 01-26 C;
       03-02 13:08 27.05; 06-28 13:53 142.31; 06-30 C; 10-04 C, C;
       2011-01-18 10:01 77,183.60, 10:17 C of its 74,215 pieces
12875  2010-01-11 12:37 305.28; 04-16 13:12 354.24; 08-25 14:35 354.24; 12-12 12:03 293.76
15221  2010-03-12 10:40 323.35; 03-24 C; 04-25 15:50 463.80; 04-30 C; 10-29 10:28 871.80;
       12-05 12:29 C of 18 pieces; 12-08 13:08 403.25
"""

import os
from dataclasses import replace
from pathlib import Path

import narwhals as nw
import pytest
from feature_tables import written

from winback.features.families.assemble import features
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.moments import seconds
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.tables import frames

ROOT = Path(__file__).parents[2]
BESIDE = ROOT.parent / "shared" / "data" / "online_retail"


def of(days: int, hours: int, minutes: int) -> float:
    return (days * 1440 + hours * 60 + minutes) / 1440


BY_HAND = {
    12346: {
        "days_since_last_order": of(0, 13, 59),
        "orders_total": 12, "orders_30d": 1, "orders_180d": 1, "orders_360d": 3,
        "orders_trend_90d": 1.0,
        "mean_days_between_orders": of(400, 1, 27) / 11,
        "spend_30d": 77183.60, "spend_360d": 77352.96, "spend_total": 77556.46,
        "mean_order_amount": 77556.46 / 12,
        "activity_total": 5, "activity_180d": 3, "activity_quantity_90d": 74215.0,
        "days_since_signup": of(400, 15, 26),
        # Silent from 2010-06-28 13:53, so lost on 2010-12-25 13:53, and back on 2011-01-18 10:01.
        "lifetimes_so_far": 2, "departures_so_far": 1, "is_lost": 0, "is_lost_twice": 0,
        "days_since_departure": of(24, 10, 7), "days_away_before_return": of(23, 20, 8),
        "days_in_lifetime": of(0, 13, 59),
    },
    12875: {
        "days_since_last_order": of(37, 11, 57), "days_since_last_activity": None,
        "orders_total": 4, "orders_30d": 0, "orders_90d": 1, "orders_180d": 2, "orders_360d": 3,
        "mean_days_between_orders": of(334, 23, 26) / 3,
        "order_gap_ratio": of(37, 11, 57) / (of(334, 23, 26) / 3),
        "spend_90d": 293.76, "spend_180d": 648.00, "spend_360d": 1002.24, "spend_total": 1307.52,
        "spend_trend_90d": (293.76 - 354.24) / (293.76 + 354.24),
        "lifetimes_so_far": 1, "departures_so_far": 0, "days_since_departure": None,
        "days_in_lifetime": of(372, 11, 23),
    },
    15221: {
        "orders_total": 4, "orders_90d": 2, "orders_360d": 4,
        "spend_90d": 1275.05, "spend_total": 2062.20, "mean_order_amount": 515.55,
        "activity_total": 3, "activity_90d": 1, "activity_quantity_90d": 18.0,
        "days_since_last_cancellation": of(44, 11, 31),
        # Silent from 2010-04-25 15:50, so lost on 2010-10-22 15:50, and back on 10-29 10:28.
        "departures_so_far": 1, "lifetimes_so_far": 2, "days_away_before_return": of(6, 18, 38),
        "days_in_lifetime": of(81, 13, 32),
    },
}  # fmt: skip


def test_three_customers_equal_the_hand_calculation(tmp_path: Path) -> None:
    data = os.environ.get("ONLINE_RETAIL") or (str(BESIDE) if BESIDE.exists() else "")
    if not data:
        pytest.skip("no Online Retail II data: set ONLINE_RETAIL to its folder")
    source = load_source(
        ROOT / "sources" / "online_retail.yaml", environment={"ONLINE_RETAIL": data}
    )
    assert source.churn is not None
    ingest(source, tmp_path / "tables", truth=tmp_path / "truth")
    tables = frames.open_tables(tmp_path / "tables", threads=1)
    as_of = nw.lit(seconds("2011-01-19"), dtype=nw.Int64)
    snapshots = tables["customers"].filter(nw.col("customer_id").is_in(list(BY_HAND)))
    table = features(
        tables,
        snapshots.select("customer_id", as_of=as_of),
        windows_days=(30, 90, 180, 360),
        definition=replace(source.churn, inactive_days=180),
    )
    rows = written(table).set_index("customer_id")
    for customer, wanted in BY_HAND.items():
        found = rows.loc[customer, list(wanted)].to_dict()
        known = {name: value for name, value in wanted.items() if value is not None}
        assert {name: found[name] for name in known} == pytest.approx(known, rel=1e-12)
        assert all(found[name] != found[name] for name in wanted if wanted[name] is None)

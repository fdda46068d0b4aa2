"""The customers of the list, counted part by part: the same as of all at once, in flat memory."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from winback.models.offers import Offer
from winback.pipelines.reporting import listed
from winback.pipelines.reporting.listed import Terms, read_listed
from winback.pipelines.storage.atomic import StoreError
from winback.pipelines.tables import parts
from winback.pipelines.tables.list_rows import is_sent

TERMS = Terms({"gift": Offer(20.0, 1.0), "mail": Offer(0.0, 2.0)}, "none", 0.2)
ARMS = ["none", "gift", "mail"]


def people(rows, seed=0):
    """A list, every fourth of it active, and the features of its customers and of others."""
    rng = np.random.default_rng(seed)
    ids = np.arange(rows) * 3
    active = ids % 4 == 0
    offer = pd.Series(rng.choice(ARMS, rows), dtype="str").mask(active)
    table = pd.DataFrame(
        {
            "customer_id": ids,
            "as_of": pd.Timestamp("2024-01-01"),
            "churn_probability": np.where(active, rng.beta(1, 9, rows), np.nan),
            "recommended_offer": offer,
            "expected_incremental_profit": np.where(
                active, np.nan, rng.normal(5, 9, rows) * (offer != "none")
            ),
            "holdout": ~active & (rng.random(rows) < 0.1),
            "beyond_experiment": ~active & (rng.random(rows) < 0.3),
            "excluded_by": pd.Series("least_experiment_rows", range(rows)).where(offer == "none"),
            "priority": rng.choice(["A", "B", "C"], rows),
            "strategy": np.where(active, "harvest", "win back"),
            "reasons": np.where(offer == "none", "lost too often; others", "best"),
            "model_version": "1",
        }
    )
    for arm in ARMS:
        table[f"return_probability_{arm}"] = np.where(active, np.nan, rng.random(rows))
        table[f"value_{arm}"] = np.where(active, np.nan, 100 * rng.random(rows))
    for arm in ARMS[1:]:
        table[f"uplift_{arm}"] = np.where(active, np.nan, rng.normal(0.1, 0.1, rows))
    today = pd.DataFrame(
        {
            "customer_id": np.arange(3 * rows),
            "population": np.where(np.arange(3 * rows) % 4 == 0, "active", "lost"),
            "departure_reason": rng.choice(["price", "service", None], 3 * rows),
            "margin_total": 1.0,
        }
    )
    return table, today


@pytest.fixture
def counted(tmp_path, monkeypatch):
    def count(table, today, part_rows=1_000, first=5):
        monkeypatch.setattr(parts, "PART_ROWS", part_rows)
        table.to_parquet(tmp_path / "list.parquet", index=False, row_group_size=4_096)
        today.to_parquet(tmp_path / "current.parquet", index=False, row_group_size=3_000)
        return read_listed(
            tmp_path / "list.parquet", tmp_path / "current.parquet", TERMS, first=first
        )

    return count


def test_counts_and_sums_are_those_of_all_rows(counted):
    table, today = people(9_000)
    found = counted(table, today)
    cells = found.cells
    rows = table.merge(today, on="customer_id")
    by = ["recommended_offer", "priority", "departure_reason"]
    for name in ("uplift_gift", "expected_incremental_profit", "margin_total"):
        expected = rows.groupby(by, dropna=False)[name].sum()
        pd.testing.assert_series_equal(cells.groupby(by, dropna=False)[name].sum(), expected)
    sent = table[is_sent(table, "none")]
    mine = cells[is_sent(cells, "none")]
    assert mine["customers"].sum() == len(sent)
    assert cells["at_risk"].sum() == table["churn_probability"].count()
    assert cells["unlike"].sum() == (table["recommended_offer"] == "none").sum()
    stopped = (table["recommended_offer"] == "none") & ~table["holdout"]
    assert cells.groupby("rule")["customers"].sum()["lost too often"] == stopped.sum()

    gain = table["expected_incremental_profit"]
    beyond = table["recommended_offer"].notna() & table["beyond_experiment"] & (gain > 0)
    assert cells["beyond"].sum() == beyond.sum()
    assert cells["gain_beyond"].sum() == pytest.approx(gain[beyond].sum())


def test_the_first_rows_and_the_tenth_at_risk_are_those_of_all_rows(counted):
    table, today = people(9_000)
    table.loc[[20, 8_000, 4_000], "churn_probability"] = 1.0  # equal: the smaller id first
    found = counted(table, today)
    risk = table["churn_probability"].dropna().sort_values(ascending=False)
    assert found.top_tenth == pytest.approx(risk.head(len(risk) // 10).sum(), rel=1e-6)
    assert found.risky["customer_id"].tolist()[:3] == [60, 12_000, 24_000]
    sent = table[is_sent(table, "none")].nlargest(5, "expected_incremental_profit")
    assert found.gaining["customer_id"].tolist() == sent["customer_id"].tolist()
    effects = table.loc[is_sent(table, "none"), ["uplift_gift", "uplift_mail"]].to_numpy()
    np.testing.assert_array_equal(found.edges, np.histogram_bin_edges(effects, bins=listed.BINS))
    for name, values in zip(found.effects, effects.T, strict=True):
        assert found.effects[name].tolist() == np.histogram(values, found.edges)[0].tolist()


def test_parts_of_any_size_say_the_same(counted):
    table, today = people(3_000)
    whole, small = counted(table, today, part_rows=100_000), counted(table, today, part_rows=97)
    pd.testing.assert_frame_equal(whole.cells, small.cells)
    pd.testing.assert_frame_equal(whole.gaining, small.gaining)
    pd.testing.assert_frame_equal(whole.effects, small.effects)
    assert whole.top_tenth == pytest.approx(small.top_tenth)


@pytest.mark.slow
def test_memory_does_not_depend_on_the_number_of_customers(counted):
    peaks = []
    for rows in (2_000, 2_000, 24_000):  # the first one warms up
        table, today = people(rows)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        counted(table, today, part_rows=500)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_where_nobody_is_sent_an_offer_no_effect_is_counted(counted):
    table, today = people(400)
    nothing = pd.Series("none", range(len(table))).where(table["recommended_offer"].notna())
    quiet = table.assign(recommended_offer=nothing, expected_incremental_profit=0.0)
    found = counted(quiet, today)
    assert found.effects.to_numpy().sum() == 0
    assert found.gaining.empty


def test_effects_that_are_not_known_are_not_counted(counted):
    table, today = people(400)
    sent = is_sent(table, "none")
    table.loc[table.index[sent][:3], "uplift_gift"] = np.nan
    effects = counted(table, today).effects
    assert effects["uplift_gift"].sum() == sent.sum() - 3
    assert effects["uplift_mail"].sum() == sent.sum()


@pytest.mark.parametrize("name", ["excluded_by", "reasons"])
def test_a_list_without_a_column_is_refused(counted, name):
    table, today = people(400)
    with pytest.raises(StoreError, match=f"column '{name}' is missing"):
        counted(table.drop(columns=name), today)

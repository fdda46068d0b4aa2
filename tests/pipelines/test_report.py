"""What evaluate and the report say beyond the policies: kept words, drivers, age, leavers."""

import json
import re

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def page(finished):
    return (finished / "reports/report.html").read_text()


def table_of(page, title):
    """Text of the table under a title."""
    return re.sub(r"<[^>]+>", " ", page[page.index(title) :].split("</table>")[0])


def test_leavers_in_no_experiment_are_graded_apart(finished, page):
    grades = json.loads((finished / "reports/metrics.json").read_text())["leavers"]
    asked = pd.read_parquet(finished / "data/features/leavers.parquet")
    offered = pd.read_parquet(finished / "data/tables/offers.parquet")
    assert grades["rows"] == len(asked) > 300
    assert not set(asked["customer_id"]) & set(offered["customer_id"])
    assert grades["base_rate"] == pytest.approx(asked["returned"].mean())
    kept = pd.read_parquet(finished / "artifacts/winback/leavers.parquet")
    assert grades["predicted"] == pytest.approx(kept["return_probability_none"].mean())
    assert f"{grades['rows']:,.0f} customers left after the last offer" in page
    assert "their uplift is carried over from the experiment" in page


def test_values_are_held_against_what_held_out_returners_brought(finished):
    table = pd.read_csv(finished / "reports/plots/value_reliability.csv")
    rows = pd.read_parquet(finished / "artifacts/winback/held_out.parquet")
    assert set(table["offer"]) == {"none", "discount", "upgrade", "bundle"}
    back = rows[(rows["returned"] == 1) & (rows["offer"] == "bundle")]
    mine = table[table["offer"] == "bundle"]
    assert mine["rows"].sum() == len(back)
    observed = (mine["observed"] * mine["rows"]).sum() / len(back)
    assert observed == pytest.approx(back["value"].mean())


def test_drivers_of_return_and_of_each_effect_are_shown(finished, page):
    families = pd.read_csv(finished / "artifacts/winback/families.csv")
    assert set(families["output"]) == {
        "return_probability_none",
        "uplift_discount",
        "uplift_upgrade",
        "uplift_bundle",
    }
    assert "What drives a return without an offer" in page
    assert "What makes an offer work better with one customer than with another" in page


def test_reasons_stand_with_their_class(page):
    shown = table_of(page, "in the classes of Stauss and Friege")
    assert re.search(r"price\s+bought away", shown)
    assert re.search(r"moved\s+moved away", shown)


def test_churn_grades_stand_with_intervals_cutoff_and_age(finished, page):
    metrics = pd.read_csv(finished / "artifacts/churn/metrics.csv")
    auc = metrics[(metrics["slice"] == "all") & (metrics["metric"] == "auc")].iloc[0]
    assert f"{auc['value']:.3f} ({auc['lo']:.3f} to {auc['hi']:.3f})" in page
    assert "then it pays" in page
    aged = pd.read_csv(finished / "artifacts/churn/staleness.csv")
    assert len(aged) >= 2
    assert all(f"{row['auc']:.3f} ({row['lo']:.3f}" in page for row in aged.to_dict("records"))


def test_the_power_of_the_experiment_is_said(page):
    found = re.search(r"four times in five, an offer that changes the share by (0\.\d+)", page)
    assert 0.02 < float(found[1]) < 0.2

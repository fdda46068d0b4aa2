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


@pytest.fixture(scope="module")
def cards(page):
    """Text of each card of the first screen by its question."""
    found = re.findall(r'<section class="card"><h2>(.*?)</h2>(.*?)</section>', page, re.DOTALL)
    return {question: re.sub(r"<[^>]+>", " ", answer) for question, answer in found}


def test_the_first_screen_answers_five_questions(finished, cards):
    customers = pd.read_parquet(finished / "data/recommendations.parquet")
    policies = pd.DataFrame(json.loads((finished / "reports/policies.json").read_text()))
    levels = pd.read_csv(finished / "artifacts/winback/readout/levels.csv")
    leaving, returning, worth, offers, strategy = cards.values()

    risk = customers["churn_probability"].dropna()
    assert f"{risk.sum():,.0f} " in leaving
    assert f"of {len(risk):,} active customers" in leaving

    rates = levels[levels["outcome"] == "returned"].set_index("arm")
    for arm in ("none", rates["estimate"].drop("none").idxmax()):
        row = rates.loc[arm]
        assert f"{row['estimate']:.1%} ({row['lo']:.1%} to {row['hi']:.1%})" in returning

    assert re.search(r"[\d.]+ months and \$\d+", worth)
    assert re.search(r"\$\d+ each \(\$\d+ to \$\d+\) within 730 days", worth)

    offer = customers["recommended_offer"]
    sent = customers[offer.notna() & (offer != "none") & ~customers["holdout"]]
    costs = {"discount": 120, "upgrade": 105, "bundle": 225}
    paid = sum(
        rows[f"return_probability_{name}"].sum() * costs[name] + 2 * len(rows)
        for name, rows in sent.groupby("recommended_offer")
    )
    assert f"{len(sent):,} offers" in offers
    assert f"Expected cost ${paid:,.0f}" in offers

    ours = policies[(policies["objective"] == "profit") & (policies["policy"] == "ours")].iloc[0]
    assert f"${ours['value_per_customer']:,.0f} (${ours['lo']:,.0f} to" in strategy


def test_what_weakens_the_claims_stands_under_the_cards(page):
    amber = page.split('class="warnings"')[1].split("</aside>")[0]
    assert "simulated" in amber
    assert page.index('class="warnings"') < page.index("<nav")


def test_charts_have_a_headline_a_role_and_ids_of_their_own(page):
    assert page.count("<svg") == page.count('<svg role="img" aria-label="') >= 12
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_stays_small_and_names_things_in_words(page):
    assert len(page) < 6_000_000
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    for raw in ("treat_none", "discount_for_all", "p_holm", "gain_lo"):
        assert raw not in text
    assert not re.search(r"\b(she|her|he|his)\b", text)


def test_fairness_is_not_spoken_of_where_no_column_is_protected(finished, page):
    assert "fairness" not in json.loads((finished / "reports/metrics.json").read_text())
    assert not (finished / "reports/plots/fairness.csv").exists()
    assert "Whom the offers reach" not in page

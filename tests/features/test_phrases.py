"""One phrase for each feature, high and low, that a marketer reads."""

import json

import pytest

from winback.features.phrases import category, high_and_low, is_flag, unknown


@pytest.mark.parametrize(
    ("name", "high", "low"),
    [
        ("orders_90d", "many orders in 90 days", "few orders in 90 days"),
        ("activity_premium_90d", "much 'premium' in 90 days", "little 'premium' in 90 days"),
        ("activity_quantity_90d", "uses a lot in 90 days", "uses little in 90 days"),
        ("days_since_last_use", "no 'use' for long", "'use' lately"),
        ("discounted_share_total", "often buys at a discount", "rarely buys at a discount"),
        ("household", "high household", "low household"),
    ],
)
def test_a_feature_is_said_in_words(name, high, low):
    assert high_and_low(name) == (high, low)


def test_what_never_happened_and_what_is_a_category_are_said_so():
    assert unknown("days_since_last_contact") == "never contacted"
    assert unknown("age", "as known from the source: age") == "age unknown"
    assert category("departure_reason", "need_gone") == (
        "gave 'need gone' as the reason for leaving"
    )
    assert category("plan", "gold", "as known from the source: plan") == "plan gold"


def test_a_flag_is_said_as_true_or_not():
    meaning = "1 if true: bought mens"
    assert high_and_low("bought_mens", meaning) == ("bought mens", "not bought mens")
    assert unknown("bought_mens", meaning) == "bought mens unknown"
    assert is_flag(meaning)
    assert not is_flag("as known from the source: age")


@pytest.mark.slow
def test_every_number_of_a_run_has_words_of_its_own(finished):
    entries = json.loads((finished / "data/features/dictionary.json").read_text())
    named = [e for e in entries if e["unit"] != "category" and e["family"] != "attributes"]
    assert len(named) > 50
    assert not [e["name"] for e in named if high_and_low(e["name"])[0].startswith("high ")]
    assert {e["unit"] == "flag" for e in entries if is_flag(e["meaning"])} == {True}
    assert {is_flag(e["meaning"]) for e in entries if e["unit"] == "flag"} == {True}

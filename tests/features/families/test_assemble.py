"""The feature table as a whole: its columns, its dictionary, and what it refuses."""

import re
from collections.abc import Callable
from typing import Any, get_args

import duckdb
import narwhals as nw
import pytest
from feature_tables import DAY, KINDS, START, arrow, frames_on, many_tables, on_engine

from winback.features.churn_definition import ChurnDefinition
from winback.features.families.activity_kinds import MOST_KINDS, activity_kinds
from winback.features.families.assemble import dictionary, features, with_features
from winback.features.families.attributes import check_allowed, check_columns
from winback.features.families.family import Unit

SETTING: dict[str, Any] = {"windows_days": (2, 5), "definition": ChurnDefinition()}
UNIT_IN_NAME = {
    "days": r"(^|_)days_",
    "share": r"_share(_|$)|_depth_",
    "ratio": r"_ratio(_\d+d)?$|_trend_\d+d$",
}


def snapshots(engine: str = "polars") -> Any:
    rows = [{"customer_id": one % 3, "as_of": START + 9 * DAY} for one in range(4)]
    return frames_on(engine, {"s": rows})["s"]


def attributes_of(**column: Any) -> Any:
    return frames_on(
        "polars", {"customers": [{"customer_id": 1}], "attributes": [{"customer_id": 1, **column}]}
    )


def test_columns_are_the_dictionary_in_its_order() -> None:
    tables = frames_on("polars", many_tables(1))
    entries = dictionary(tables, **SETTING)
    table = features(tables, snapshots(), **SETTING)
    assert table.collect_schema().names() == ["customer_id", "as_of", *(e["name"] for e in entries)]
    assert 50 <= len(entries) <= 80


@pytest.mark.parametrize("engine", ["polars", "duckdb", "pandas"])
def test_every_feature_is_a_float_or_a_text(engine: str) -> None:
    """A model signature declares doubles and refuses whole numbers."""
    session = duckdb.connect() if engine == "duckdb" else None
    tables = frames_on(engine, many_tables(1), session)
    rows = [{"customer_id": 1, "as_of": START + 9 * DAY}]
    keys = on_engine(engine, arrow("snapshots", rows), session)
    schema = features(tables, keys, **SETTING).collect_schema()
    for entry in dictionary(tables, **SETTING):
        is_text = entry["unit"] == "category"
        assert schema[entry["name"]] == (nw.String if is_text else nw.Float64), entry


def test_what_is_kept_are_the_distinct_snapshots_once() -> None:
    tables = frames_on("polars", many_tables(1))
    kept = []

    def keep(frame: Any) -> Any:
        kept.append(frame.collect().lazy())
        return kept[-1]

    found = features(tables, snapshots(), keep=keep, **SETTING).sort("customer_id").collect()
    plain = features(tables, snapshots(), **SETTING).sort("customer_id").collect()
    assert found.to_native().equals(plain.to_native())
    assert [frame.collect().shape for frame in kept] == [(3, 2)]


def test_every_entry_says_unit_and_meaning_and_names_carry_the_unit() -> None:
    for entry in dictionary(frames_on("polars", many_tables(1)), **SETTING):
        assert entry["unit"] in get_args(Unit)
        assert len(entry["meaning"]) > 5
        assert not entry["meaning"].endswith(".")
        pattern = UNIT_IN_NAME.get(entry["unit"], "")
        assert re.search(pattern, entry["name"]), entry


def test_a_missing_table_leaves_its_features_out() -> None:
    tables = many_tables(1)
    whole = [entry["name"] for entry in dictionary(frames_on("polars", tables), **SETTING)]
    for name in tables.keys() - {"customers"}:
        rest = frames_on("polars", {key: rows for key, rows in tables.items() if key != name})
        table = features(rest, snapshots(), **SETTING)
        kept = table.collect_schema().names()[2:]
        assert kept == [column for column in whole if column in kept]
        assert len(kept) < len(whole)
        assert table.collect().shape == (3, len(kept) + 2)


def test_repeated_snapshots_count_once_and_keep_their_rows() -> None:
    tables = frames_on("polars", many_tables(1))
    table = features(tables, snapshots(), **SETTING)
    assert table.collect().shape[0] == 3
    assert with_features(snapshots(), table).collect().shape[0] == 4


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("churn_score", "known only afterwards"),
        ("ChurnScore", "known only afterwards"),
        ("passport_id", "an id"),
        ("accountID", "an id"),
        ("device_uuid", "an id"),
        ("Comment", "free text"),
        ("email", "free text"),
        ("home_address", "free text"),
        ("gender", "protected"),
        ("Customer Sex", "protected"),
    ],
)
def test_denied_columns_are_refused_by_name(column: str, why: str) -> None:
    tables = attributes_of(**{column: "x"})
    deny = {"Churn Score": "known only afterwards"}
    with pytest.raises(ValueError, match=rf"column '{column}' must not be a feature \({why}\)"):
        features(tables, snapshots(), deny=deny, **SETTING)


@pytest.mark.parametrize("column", ["device_name", "has_phone", "paid", "plan_key", "arms_race"])
def test_names_that_only_look_denied_pass(column: str) -> None:
    check_allowed([column], {})


@pytest.mark.parametrize("engine", ["polars", "duckdb", "pandas"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (lambda one: f"account {one}", "an id: 600 values of 600 customers"),
        (lambda one: f"city {one % 300}", "free text: 300 different values, up to 8 letters"),
        (lambda one: "a" * (81 if one else 3), "free text: 2 different values, up to 81 letters"),
    ],
)
def test_texts_that_are_no_categories_are_refused(
    engine: str, value: Callable[[int], str], why: str
) -> None:
    rows = [{"customer_id": one, "plan": value(one)} for one in range(600)]
    with pytest.raises(ValueError, match=rf"'plan' must not be a feature \({why}\); leave it out"):
        check_columns(frames_on(engine, {"attributes": rows}), deny={})


def test_texts_that_are_categories_pass() -> None:
    def plans(customers: int, values: int) -> Any:
        rows = [{"customer_id": one, "plan": f"p{one % values}"} for one in range(customers)]
        return frames_on("polars", {"attributes": rows})

    check_columns({}, deny={})
    check_columns(plans(600, 200), deny={})
    check_columns(plans(29, 29), deny={})  # few customers may all differ
    check_columns(plans(600, 600), deny={}, leave_out=("plan",))
    check_columns(attributes_of(age=3), deny={})


def test_columns_left_out_are_not_features_and_must_exist() -> None:
    tables = attributes_of(gender="f", plan="basic")
    table = features(tables, snapshots(), leave_out=("gender",), **SETTING)
    assert "plan" in table.collect_schema().names()
    assert "gender" not in table.collect_schema().names()
    with pytest.raises(
        ValueError, match="'gendr' is to be left out but does not exist, found plan"
    ):
        features(tables, snapshots(), leave_out=("gendr",), **SETTING)


@pytest.mark.parametrize(("value", "unit"), [(3.5, "number"), (7, "number"), ("may", "category")])
def test_an_attribute_is_no_moment_whatever_its_name(value: Any, unit: str) -> None:
    """Timestamps are no attributes: the contract refuses them."""
    tables = attributes_of(priced_at=value)
    assert [(e["name"], e["unit"]) for e in dictionary(tables, **SETTING)] == [("priced_at", unit)]
    found = features(tables, snapshots(), **SETTING).filter(nw.col("customer_id") == 1)
    assert found.collect()["priced_at"].to_list() == [value]


def test_an_attribute_of_no_usable_type_is_refused() -> None:
    with pytest.raises(ValueError, match="column 'tags' must be a number, text, true or false, fo"):
        features(attributes_of(tags=["a", "b"]), snapshots(), **SETTING)


def test_an_attribute_may_not_take_the_name_of_another_feature() -> None:
    signed = {"customers": [{"customer_id": 1, "signed_up_at": START}]}
    tables = attributes_of(days_since_signup=3.5) | frames_on("polars", signed)
    with pytest.raises(ValueError, match="the name 'days_since_signup' is used twice"):
        features(tables, snapshots(), **SETTING)


@pytest.mark.parametrize("windows", [(), (30, 30), (0, 30)])
def test_windows_must_be_distinct_days(windows: tuple[int, ...]) -> None:
    tables = frames_on("polars", {"customers": [{"customer_id": 1}]})
    with pytest.raises(ValueError, match="windows_days must be distinct whole days of at least 1"):
        features(tables, snapshots(), windows_days=windows, definition=ChurnDefinition())


def test_kinds_are_found_sorted_and_bounded() -> None:
    def activity(*kinds: str) -> Any:
        return frames_on(
            "polars",
            {"activity": [{"customer_id": 1, "happened_at": 1, "kind": kind} for kind in kinds]},
        )

    assert activity_kinds(activity("premium", "call", "premium")) == KINDS
    assert activity_kinds({}) == ()
    with pytest.raises(ValueError, match=f"at most {MOST_KINDS} kinds get features, found 13"):
        activity_kinds(activity(*(f"k{number}" for number in range(13))))
    with pytest.raises(ValueError, match="'A b' and 'a-b' would share the feature name 'a_b'"):
        activity_kinds(activity("a-b", "A b"))

"""Logs of campaigns as rows of offers: what must be known of a return depends on who was sent."""

import re
from datetime import datetime

import duckdb
import pandas as pd
import pytest

from winback.features.contract.violation import ContractError, hashed
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import SourceError
from winback.pipelines.storage.atomic import replace_folder
from winback.pipelines.tables.campaign_log import add_campaigns

SOURCE = """
name: gym
title: A gym
tables:
  customers: {{query: select 1}}
  activity: {{query: select 1}}
  offers: {{query: select 1}}
churn: {{kind: inactivity, horizon_days: 90, inactive_days: 90}}
experiment:
  offers: {{mail: {{contact_cost: 1}}}}
retention:
  control: quiet
  offers: {{call: {{contact_cost: 2}}}}
suppressions: none
campaigns:
  folder: {folder}/campaigns
  responses: {{query: select 1}}
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "gym.yaml").write_text(SOURCE.format(folder=tmp_path))
    return load_source(tmp_path / "gym.yaml")


@pytest.fixture
def engine():
    """Two customers, of whom the first was sent a mail before and came back."""
    with duckdb.connect() as connection:
        connection.execute("create table customers as select unnest([1, 2]) as customer_id")
        connection.execute(
            "create table offers as select 1 as customer_id, timestamp '2023-06-01' as offered_at, "
            "'mail' as offer, true as returned"
        )
        yield connection


def logged(tmp_path, offers, ids=(1, 2), name="spring"):
    log = pd.DataFrame(
        {
            "customer_id": ids,
            "campaign": name,
            "offered_at": pd.Timestamp("2024-01-01"),
            "chosen": "call",
            "offer": offers,
            "propensity": 0.5,
            "every_offer_open": True,
        }
    )
    with replace_folder(tmp_path / "campaigns" / name) as new:
        log.to_parquet(new.path / "log.parquet", index=False)
        new.extra["source"] = "gym"


def test_who_stayed_is_told_by_the_source_so_active_customers_need_no_responses(
    source, engine, tmp_path
):
    logged(tmp_path, ["call", "quiet"])
    add_campaigns(source, engine)
    rows = engine.execute("select customer_id, offer, returned from offers order by 2").fetchall()
    assert rows == [(1, "call", None), (1, "mail", True), (2, "quiet", None)]


@pytest.mark.parametrize("offer", ["mail", "none"])
def test_who_returned_is_told_by_orders_or_responses_alone(source, engine, tmp_path, offer):
    logged(tmp_path, ["call", offer])
    with pytest.raises(SourceError, match="no table says which customers returned"):
        add_campaigns(source, engine)


def answered(engine, *rows):
    engine.execute(
        'create table "campaigns.responses" (customer_id varchar, campaign varchar, returned bool)'
    )
    engine.executemany('insert into "campaigns.responses" values (?, ?, true)', rows)


def test_responses_of_nobody_in_the_logs_are_counted(source, engine, tmp_path, capsys):
    logged(tmp_path, ["call", "mail"])
    answered(engine, ("2", "spring"), ("3", "spring"), ("1", "summer"))
    add_campaigns(source, engine)
    told = "2 of 3 rows of campaigns.responses are of no customer in a log of campaigns (rows 2, 3;"
    assert told in capsys.readouterr().err
    assert ("mail", True) in engine.execute(
        "select offer, returned from offers where campaign = 'spring'"
    ).fetchall()


def test_responses_that_are_all_of_nobody_are_refused(source, engine, tmp_path):
    """Ids or campaigns are written in another way: nobody would seem to have answered."""
    logged(tmp_path, ["call", "mail"])
    answered(engine, ("1", "Spring"), ("2", "Spring"))
    with pytest.raises(SourceError, match=r"2 of 2 rows of campaigns\.responses are of no cust"):
        add_campaigns(source, engine)


def test_an_answer_of_another_type_is_one_clear_error_with_example_rows_and_cure(
    source, engine, tmp_path
):
    logged(tmp_path, ["call", "mail"])
    engine.execute(
        """create table "campaigns.responses" as from (values
        (1, 'spring', 'true', '25/03/2024', '12,50', '-3'),
        (2, 'spring', 'ja', '2024-03-05', '9.99', 'nan'))
        as t(customer_id, campaign, returned, returned_at, value, offer_cost)"""
    )
    with pytest.raises(ContractError) as refused:
        add_campaigns(source, engine)
    told = {violation.column: str(violation) for violation in refused.value.violations}
    assert set(told) == {"returned", "returned_at", "value", "offer_cost"}
    one = f"(row 1; hashed ids {hashed(1)}); cast it in the source's query"
    assert told["value"] == (
        "campaigns.responses: column 'value' must be a number (money), found text such as '12,50' "
        f"in 1 row {one}: replace(value, ',', '.')::double"
    )
    assert "found text such as '25/03/2024' in 1 row" in told["returned_at"]
    assert "strptime(returned_at, '%d/%m/%Y')" in told["returned_at"]
    assert "found text in 1 row (row 2;" in told["returned"]
    assert "found text in 1 row" in told["offer_cost"]


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("returned", "2", "2"),
        ("returned", "'nan'::double", "nan"),
        ("value", "true", "true"),
        ("value", "1e30", "1e+30"),
        ("returned_at", "20240305", "20240305"),
    ],
)
def test_an_answer_that_is_no_text_is_checked_too(source, engine, tmp_path, column, value, found):
    logged(tmp_path, ["call", "mail"])
    outcome = "" if column.startswith("returned") else "true as returned, "
    engine.execute(
        "create table \"campaigns.responses\" as select 1 as customer_id, 'spring' as campaign, "
        f"{outcome}{value} as {column}"
    )
    with pytest.raises(
        ContractError, match=rf"'{column}' must be .* found {re.escape(found)} in 1"
    ):
        add_campaigns(source, engine)


@pytest.mark.parametrize(
    ("returned_at", "value", "expected"),
    [
        ("'2024-03-05T10:00:00+02:00'", "'12.5'", datetime(2024, 3, 5, 8)),
        ("'2024-03-05'", "12.5::float", datetime(2024, 3, 5)),
        ("timestamp_ns '2024-03-05 08:00:00.5'", "12.50", datetime(2024, 3, 5, 8, 0, 0, 500_000)),
        ("'2024-03-05 10:00:00+02'::timestamptz_ns", "'1.25e1'", datetime(2024, 3, 5, 8)),
    ],
)
def test_answers_are_read_in_any_type_that_says_the_same(
    source, engine, tmp_path, returned_at, value, expected
):
    logged(tmp_path, ["call", "mail"])
    engine.execute(
        "create table \"campaigns.responses\" as select 2 as customer_id, 'spring' as campaign, "
        f"1.0::double as returned, {returned_at} as returned_at, {value} as value"
    )
    add_campaigns(source, engine)
    rows = engine.execute(
        "select returned, returned_at, value::double from offers where customer_id = 2"
    ).fetchall()
    assert rows == [(True, expected, 12.5)]


def test_two_answers_of_one_customer_to_one_campaign_are_refused(source, engine, tmp_path):
    logged(tmp_path, ["call", "mail"])
    answered(engine, ("1", "spring"), ("2", "spring"), ("1", "spring"))
    with pytest.raises(ContractError, match="be unique together with campaign, found 1 key used"):
        add_campaigns(source, engine)


@pytest.mark.parametrize("ids", [("1", "2"), ("001", "002")])
@pytest.mark.parametrize(
    ("named", "kind"), [("2024-01-01", "date"), ("2024-01-01", "timestamp"), ("2024", "bigint")]
)
def test_names_and_ids_that_a_csv_makes_dates_or_numbers_match_the_log(
    source, engine, tmp_path, ids, named, kind
):
    """The default name of a campaign is a date, which ingest makes a timestamp."""
    engine.execute("create or replace table customers as select unnest(?) as customer_id", [ids])
    engine.execute("drop table offers")
    logged(tmp_path, ["call", "mail"], ids, named)
    engine.execute(
        f'create table "campaigns.responses" as select {ids[1]}::bigint as customer_id, '
        f"'{named}'::{kind} as campaign, true as returned"
    )
    add_campaigns(source, engine)
    rows = engine.execute("select customer_id, returned from offers order by 1").fetchall()
    assert rows == [(ids[0], None), (ids[1], True)]


def test_a_view_of_the_source_may_have_the_name_of_a_table_of_ours(source, engine, tmp_path):
    engine.execute("create view answers as select 1")
    engine.execute("create view logs as select 1")
    logged(tmp_path, ["call", "mail"])
    answered(engine, ("2", "spring"))
    add_campaigns(source, engine)
    assert engine.execute("from offers where returned and offer = 'mail'").fetchall()


@pytest.mark.parametrize(
    ("ids", "number", "error", "message"),
    [
        (("7", "007"), 7, ContractError, "be the id of one customer, found one that several"),
        (("1.5", "9"), 2, SourceError, "1 of 1 rows of .* are of no customer"),  # not rounded to it
    ],
)
def test_a_number_is_an_answer_of_one_id_of_a_log_and_of_no_other(
    source, engine, tmp_path, ids, number, error, message
):
    engine.execute("create or replace table customers as select unnest(?) as customer_id", [ids])
    logged(tmp_path, ["call", "mail"], ids)
    engine.execute(
        'create table "campaigns.responses" as '
        f"select {number} as customer_id, 'spring' as campaign, true as returned"
    )
    with pytest.raises(error, match=message):
        add_campaigns(source, engine)


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        ([("1", "Spring"), ("2", "spring")], r"no log is of campaign 'Spring' \(logs: spring\)"),
        ([("C-1", "spring"), ("2", "spring")], "looks like 'A-9', those of the logs like '9'"),
        ([("3", "spring"), ("2", "spring")], "no campaign chose an offer for them"),
        ([("9", "spring"), ("2", "spring")], "they are in the log of another campaign"),
    ],
)
def test_answers_of_nobody_are_told_with_count_examples_and_likely_cause(
    source, engine, tmp_path, capsys, answers, cause
):
    logged(tmp_path, ["call", "mail"])
    if answers[0][0] == "9":
        logged(tmp_path, ["call", "mail"], (8, 9), "summer")
    answered(engine, *answers)
    add_campaigns(source, engine)
    told = capsys.readouterr().err
    assert (
        f"1 of 2 rows of campaigns.responses are of no customer in a log of campaigns "
        f"(row 1; hashed ids {hashed(answers[0][0])}): " in told
    )
    assert re.search(cause, told)

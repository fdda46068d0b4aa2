"""Numbers and times that came as text are told with an example and the SQL that reads them."""

import duckdb
import pandas as pd
import pytest
from contract_tables import engines

from winback.features.contract.as_text import date_formats, numbers_as_text, text_problem


def attributes(values, engine="pandas"):
    rows = pd.DataFrame(
        {"customer_id": range(len(values)), "price": pd.Series(values, dtype="str")}
    )
    return engines({"attributes": rows})[engine]["attributes"]


PRICES = [f"{number},{number % 100:02d}" for number in range(1, 40)] + ["12,50"] * 2 + [None] * 20


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_a_decimal_comma_is_told_with_example_and_cure(engine):
    assert numbers_as_text(attributes(PRICES, engine)) == [
        "attributes: column 'price' is text, and 41 of its 41 values are numbers such as '99,99', "
        "so that each is a category of its own; cast it in the source's query: replace(price, "
        "',', '.')::double; if it is a code, name it under allowed:"
    ]


@pytest.mark.parametrize(
    ("values", "is_told"),
    [
        (["12.5", "7.25"] * 9, True),
        ([*["1,5"] * 95, *["unknown"] * 5], True),
        ([*["1,5"] * 94, *["unknown"] * 6], False),
        ([str(number) for number in range(100, 140)], True),
        (["1", "2", "3"] * 40, False),  # codes
        ([f"0{number}" for number in range(1000, 1040)], False),  # post codes
        ([f"{day:02d}.12.2025" for day in range(1, 30)], False),
        ([f"10.0.0.{number}" for number in range(30)], False),
        (["north", "south"], False),
        ([None, None], False),
    ],
)
def test_only_what_is_nearly_all_numbers_is_told(values, is_told):
    assert bool(numbers_as_text(attributes(values))) == is_told


def test_a_column_that_is_known_to_be_a_code_is_passed_over():
    assert numbers_as_text(attributes(PRICES), known=("price",)) == []


def test_a_whole_number_of_one_row_might_be_an_id_and_is_not_shown():
    (told,) = numbers_as_text(attributes([str(7700900000 + number) for number in range(40)]))
    assert "7700" not in told
    assert "price::double" in told


@pytest.mark.parametrize(
    ("text", "number"),
    [("12,50", 12.5), ("1.234,56", 1234.56), ("1,234.56", 1234.56), ("7.25", 7.25),
     ("1 234,5", 1234.5), ("1'234.5", 1234.5), ("1.234.567", 1234567.0), ("-3", -3.0)],
)  # fmt: skip
def test_the_sql_that_is_told_reads_the_example(text, number):
    cure = text_problem("money", "amount", text)[2].partition(": ")[2]
    quoted = text.replace("'", "''")
    assert duckdb.sql(f"select {cure} from (select '{quoted}' as amount)").fetchall() == [(number,)]


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("31/12/2025", ("%d/%m/%Y", "%m/%d/%Y")),
        ("31.12.25", ("%d.%m.%y", "%m.%d.%y")),
        ("3-1-2025 9:05", ("%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M")),
        ("31/12/2025T10:00:59", ("%d/%m/%YT%H:%M:%S", "%m/%d/%YT%H:%M:%S")),
        ("2025-12-31", None),
        ("soon", None),
    ],
)
def test_a_date_without_the_year_first_has_two_formats(text, formats):
    assert date_formats(text) == formats


def test_what_is_no_number_is_not_shown_where_one_is_due():
    assert text_problem("money", "amount", "0049 171 555") == (
        "be a number (money)", "text", "cast it in the source's query",
    )  # fmt: skip

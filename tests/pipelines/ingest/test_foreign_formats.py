"""Files as strangers have them: other orders of day and month, zones, commas, blank text."""

import duckdb
import pandas as pd
import pytest
from shop import SHOP, run, shop, write_raw

from winback.features.contract.violation import ContractError
from winback.pipelines.settings.sources import SourceError
from winback.pipelines.storage.atomic import verify

BY_DAY = "select * replace (strftime(ordered_at, '{}') as ordered_at) from sound"
AT_NOON = "select * replace (strftime(ordered_at, '{} %H:%M') as ordered_at) from sound"


@pytest.mark.parametrize(
    ("written", "option"),
    [
        ("%d/%m/%Y", "dateformat"),
        ("%m/%d/%Y", "dateformat"),
        ("%d.%m.%Y", "dateformat"),
        ("%d/%m/%y", "dateformat"),
        ("%d/%m/%Y %H:%M:%S", "timestampformat"),
    ],
)
def test_a_date_is_not_guessed_and_the_cure_that_is_told_reads_it(
    raw, accepted, tmp_path, written, option
):
    write_raw(raw, orders=BY_DAY.format(written))
    with pytest.raises(SourceError) as refusal:
        run(shop(raw), tmp_path / "out")
    message = str(refusal.value)
    assert message.startswith(
        f"{raw.parent}/shop.yaml: 'orders' reads {raw}/orders.csv, whose column 'ordered_at' must "
        "hold dates as in ISO 8601 (2025-12-31), found '"
    )
    assert f"{option} = '%d" in message
    assert f"'{written}'" in message
    text = SHOP.replace("orders.csv')", f"orders.csv', {option} = '{written}')")
    run(shop(raw, text), tmp_path / "out")
    days = "select sum(ordered_at::date - date '2000-01-01') from '{}/tables/orders.parquet'"
    read, sound = (
        duckdb.sql(days.format(each)).fetchall() for each in (tmp_path / "out", accepted)
    )
    assert read == sound


def test_a_date_of_which_only_the_day_first_can_be_is_not_guessed_either(raw, tmp_path):
    write_raw(raw, orders="select * replace ('31/12/2019' as ordered_at) from sound")
    with pytest.raises(SourceError, match=r"found '31/12/2019', .* '%d/%m/%Y'\) if the day does"):
        run(shop(raw), tmp_path / "out")


def test_a_date_that_no_query_names_is_not_looked_at(raw, tmp_path):
    write_raw(raw, orders="select *, '03/12/1980' as born from sound")
    text = SHOP.replace(
        "select * from read_csv('${SHOP}/orders.csv')",
        "select order_id, customer_id, ordered_at, amount from read_csv('${SHOP}/orders.csv')",
    )
    assert run(shop(raw, text), tmp_path / "out")["orders"] == 3000
    with pytest.raises(SourceError, match="column 'born' must hold dates"):
        run(shop(raw), tmp_path / "out")


FILE = "'${SHOP}/orders.csv'"
USED = "order_id, customer_id, ordered_at, amount"


@pytest.mark.parametrize(
    "query",
    [
        "select {USED} from read_csv('${{SHOP}}/order*.csv')",
        "select * exclude (born) from read_csv({FILE}) /* all * but born */",
        "with rows as (select *, 2 * amount as twice from {FILE}) select {USED} from rows",
        "select * exclude (born) from read_csv({FILE}, types = {{'born':'VARCHAR'}})",
        "select * exclude (born) from read_csv({FILE}, dateformat = '%m/%d/%Y')",
    ],
)
def test_only_dates_that_a_query_reads_and_says_nothing_of_are_refused(raw, tmp_path, query):
    write_raw(raw, orders="select *, '03/12/1980' as born from sound")
    query = query.format(USED=USED, FILE=FILE)
    text = SHOP.replace("select * from read_csv('${SHOP}/orders.csv')", query)
    assert run(shop(raw, text), tmp_path / "out")["orders"] == 3000


def test_a_format_of_dates_says_nothing_of_times_nor_of_another_file(raw, tmp_path):
    write_raw(raw, orders=BY_DAY.format("%d/%m/%Y %H:%M:%S"))
    text = SHOP.replace("orders.csv')", "orders.csv', dateformat = '%m/%d/%Y')")
    with pytest.raises(SourceError, match="timestampformat = '%d/%m/%Y"):
        run(shop(raw, text), tmp_path / "out")
    other = (
        "select o.* from read_csv('${SHOP}/none.csv', dateformat = '%d/%m/%Y') n, 'orders.csv' o"
    )
    (raw / "none.csv").write_text("day\n01/02/2020\n")
    with pytest.raises(SourceError, match="whose column 'ordered_at' must hold dates"):
        run(
            shop(
                raw,
                SHOP.replace(
                    "select * from read_csv('${SHOP}/orders.csv')",
                    other.replace("'orders.csv'", "'${SHOP}/orders.csv'"),
                ),
            ),
            tmp_path / "out",
        )


def test_two_digits_of_a_year_may_come_first(raw, tmp_path):
    write_raw(raw, orders=BY_DAY.format("%y-%m-%d"))
    with pytest.raises(SourceError, match="'%y-%m-%d' if the year does"):
        run(shop(raw), tmp_path / "out")


@pytest.mark.parametrize("written", ["%d/%m/%Y", "%m/%d/%Y"])
def test_dates_that_are_text_are_refused_with_both_ways_to_read_them(raw, tmp_path, written):
    write_raw(raw, orders=AT_NOON.format(written))
    message = (
        r"orders: column 'ordered_at' must be a timestamp, as in ISO 8601 \(2025-12-31\), found "
        r"text such as '01/01/2019 .*'; cast it in the source's query: strptime\(ordered_at, "
        r"'%d/%m/%Y %H:%M'\) if the day comes first, strptime\(ordered_at, '%m/%d/%Y %H:%M'\) if"
    )
    with pytest.raises(ContractError, match=message):
        run(shop(raw), tmp_path / "out")
    text = SHOP.replace(
        "select * from read_csv",
        f"select * replace (strptime(ordered_at, '{written} %H:%M') as ordered_at) from read_csv",
    )
    assert run(shop(raw, text), tmp_path / "out")["orders"] == 3000


def test_what_may_be_a_name_is_not_shown(raw, tmp_path):
    write_raw(raw, orders="select * replace ('alice@example.com' as ordered_at) from sound")
    with pytest.raises(
        ContractError, match=r"must be a timestamp, .*, found text; cast it"
    ) as told:
        run(shop(raw), tmp_path / "out")
    assert "alice" not in str(told.value)


def test_amounts_with_a_decimal_comma_are_refused_with_the_cast(raw, tmp_path):
    write_raw(
        raw, orders="select * replace (replace(amount::varchar, '.', ',') as amount) from sound"
    )
    message = r"be a number \(money\), found text such as '\d+,\d+'; cast it .*replace\(amount, ','"
    with pytest.raises(ContractError, match=message):
        run(shop(raw), tmp_path / "out")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("unit", ["ns", "us"])
def test_zoned_times_of_pandas_become_naive_utc(raw, accepted, tmp_path, zone, unit):
    file = raw / "customers.parquet"
    rows = pd.read_parquet(file)
    stamps = rows["signed_up_at"].astype(f"datetime64[{unit}]")
    rows.assign(signed_up_at=stamps.dt.tz_localize("UTC").dt.tz_convert(zone)).to_parquet(file)
    run(shop(raw), tmp_path / "out")
    found, sound = (
        pd.read_parquet(folder / "tables/customers.parquet")["signed_up_at"]
        for folder in (tmp_path / "out", accepted)
    )
    pd.testing.assert_series_equal(found, sound)


def with_plan(raw, values):
    """The source with an attribute `plan` whose values are this SQL over customer_id."""
    write_raw(raw, customers=f"select *, {values} as plan from sound")
    return shop(raw, SHOP.replace("      income from", "      income, plan from"))


def test_blank_text_is_missing(raw, tmp_path):
    values = "case customer_id % 3 when 0 then '' when 1 then ' ' else 'gold' end"
    run(with_plan(raw, values), tmp_path / "out")
    plans = pd.read_parquet(tmp_path / "out/tables/attributes.parquet")["plan"]
    assert plans.value_counts().to_dict() == {"gold": 100}
    assert plans.isna().sum() == 200


def test_blank_text_is_refused_where_a_missing_value_would_be(raw, tmp_path):
    write_raw(raw, offers="select * replace (if(customer_id < 2, '', offer) as offer) from sound")
    with pytest.raises(ContractError, match=r"'offer' must not be empty, found nothing in 2 rows"):
        run(shop(raw), tmp_path / "out")


def test_numbers_that_are_text_are_told_and_kept_in_the_manifest(raw, tmp_path, capsys):
    source = with_plan(raw, "(customer_id % 50) || ',' || (10 + customer_id % 7)")
    run(source, tmp_path / "out")
    warnings = verify(tmp_path / "out/tables")["warnings"]
    (told,) = [each for each in warnings if each.startswith("attributes")]
    assert "column 'plan' is text, and 300 of its 300 values are numbers such as '9,99'" in told
    assert f"warning: {told}\n" in capsys.readouterr().err


LATE = SHOP.replace("as_of: 2021-01-01", "as_of: 2021-01-01\nchurn: {kind: inactivity}")


def test_an_as_of_later_than_the_orders_is_told(raw, tmp_path, capsys):
    run(shop(raw, SHOP), tmp_path / "out")
    (told,) = verify(tmp_path / "out/tables")["warnings"]
    assert told.startswith("the newest order is of 2020-05-14, 231 days before as_of 2021-01-01: ")
    assert told.endswith("; other tables go on up to 2020-06-01")
    assert told in capsys.readouterr().err


def test_an_as_of_at_which_everybody_would_be_lost_is_refused(raw, tmp_path):
    with pytest.raises(ContractError, match=r"\[WB112\] orders: .* within 180 days .* 231 days"):
        run(shop(raw, LATE), tmp_path / "out")
    assert not (tmp_path / "out/tables").exists()


def test_an_as_of_at_the_end_of_the_data_is_not_spoken_of(raw, tmp_path):
    text = SHOP.replace("as_of: 2021-01-01", "as_of: 2020-06-02")
    late = "select 'last', 1, timestamp '2020-05-30', 1.5"
    write_raw(raw, orders=f"from sound union all {late}")
    run(shop(raw, text), tmp_path / "out")
    assert verify(tmp_path / "out/tables")["warnings"] == []

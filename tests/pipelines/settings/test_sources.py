from pathlib import Path

import pytest

from winback.models.offers import Offer
from winback.pipelines.settings.raw_files import raw_files, require_raw_files
from winback.pipelines.settings.source_files import load_source, made_from
from winback.pipelines.settings.sources import SourceError
from winback.pipelines.settings.yaml_dataclasses import SettingsError

SOURCES = Path(__file__).parents[3] / "sources"
PLAIN = """
name: shop
title: A shop
about: the shop's export
where_to_get: the shop's cellar
tables:
  customers:
    query: select * from read_csv('${SHOP:-data/raw/shop}/customers.csv')
"""
EXPERIMENT = """
experiment:
  control: none
  offers:
    discount: {cost_on_acceptance: 120, contact_cost: 2}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "shop.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["kumar", "retention", "hillstrom", "telco", "online_retail"])
def test_shipped_sources_load(name):
    source = load_source(SOURCES / f"{name}.yaml", environment={})
    assert source.name == name
    assert source.title
    assert source.about


def test_kumar_offers_cost_what_the_study_says():
    experiment = load_source(SOURCES / "kumar.yaml").experiment
    assert experiment.offers == {
        "discount": Offer(120.0, 2.0),
        "upgrade": Offer(105.0, 2.0),
        "bundle": Offer(225.0, 2.0),
    }
    assert experiment.offer_names == ("none", "discount", "upgrade", "bundle")
    assert experiment.tailored == {"price": "discount", "service": "upgrade"}
    assert experiment.tailoring_cost == 8


def test_overrides_reach_the_simulated_world_alone():
    assert load_source(SOURCES / "kumar.yaml", overrides={"scale": 0.1}).simulate["scale"] == 0.1
    telco = SOURCES / "telco.yaml"
    assert load_source(telco, overrides={"scale": 0.1}, environment={}) == load_source(
        telco, environment={}
    )


def test_variables_are_put_in_with_their_default(tmp_path):
    path = write(tmp_path, PLAIN)
    (default,) = raw_files(load_source(path, environment={}))
    assert (default.pattern, default.variable) == ("data/raw/shop/customers.csv", "SHOP")
    (own,) = raw_files(load_source(path, environment={"SHOP": "/o'neill"}))
    assert own.pattern == "/o'neill/customers.csv"
    table = load_source(path, environment={"SHOP": "/o'neill"}).tables["customers"]
    assert "read_csv('/o''neill/customers.csv')" in table.query


def test_an_unset_variable_without_default_is_named(tmp_path):
    path = write(tmp_path, PLAIN.replace(":-data/raw/shop", ""))
    message = r"shop\.yaml: tables\.customers: environment variable SHOP is not set; set it"
    with pytest.raises(SettingsError, match=message):
        load_source(path, environment={})


def test_a_relative_path_is_found_below_the_root_of_the_project(tmp_path, monkeypatch):
    copy, root = tmp_path / "copy", tmp_path / "root"
    (root / "data" / "raw" / "shop").mkdir(parents=True)
    copy.mkdir()
    monkeypatch.chdir(copy)
    path = write(tmp_path, PLAIN)
    (files,) = raw_files(load_source(path, environment={"DVC_ROOT": str(root)}))
    assert files.pattern == str(root / "data" / "raw" / "shop" / "customers.csv")


def test_a_missing_file_says_what_it_is_and_where_to_get_it(tmp_path):
    source = load_source(write(tmp_path, PLAIN), environment={"SHOP": str(tmp_path)})
    message = (
        r"shop\.yaml: 'customers' reads /.*/customers\.csv, not found; set SHOP to where it lies\n"
        r"It is the shop's export\.\nGet it from the shop's cellar"
    )
    with pytest.raises(SourceError, match=message):
        require_raw_files(source)
    (tmp_path / "customers.csv").write_text("customer_id\n1\n")
    require_raw_files(source)


def test_a_world_that_looks_further_ahead_than_churn_is_refused(tmp_path):
    text = PLAIN[: PLAIN.index("tables:")] + "churn: {horizon_days: 180}\nsimulate: {%s}\n"
    for said in ("", "churn_horizon_days: 180"):
        assert load_source(write(tmp_path, text % said)).churn.horizon_days == 180
    with pytest.raises(SettingsError, match=r"simulate: churn_horizon_days must be .*\(180\), fou"):
        load_source(write(tmp_path, text % "churn_horizon_days: 90"))


def test_files_are_recognized_in_queries(tmp_path):
    query = """
      -- don't be fooled by this apostrophe
      select 'a/b' as slash, 'it''s.csv' as file, * from read_parquet('/x/*.parquet')
      union all select * from '/y/old.csv.gz' union all select * from 's3://bucket/z.parquet'
    """
    text = PLAIN.replace("select * from read_csv('${SHOP:-data/raw/shop}/customers.csv')", "|")
    path = write(tmp_path, text.rstrip() + query.replace("\n      ", "\n      "))
    files = raw_files(load_source(path, environment={}))
    assert [each.pattern for each in files] == [
        "it's.csv",
        "/x/*.parquet",
        "/y/old.csv.gz",
        "s3://bucket/z.parquet",
    ]
    assert [each.remote for each in files] == [False, False, False, True]


def test_files_are_recognized_whatever_they_and_the_comments_are_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/orders.dat").write_text("")
    (tmp_path / 'raw/my "x".csv').write_text("")
    (tmp_path / "raw/2024/06").mkdir(parents=True)
    (tmp_path / "raw/2024/06/day.dat").write_text("")
    query = """
      /* the shop's file */ select split(x, '/') from 'raw/a--b.parquet' union all
      select "name.csv" from "raw/my ""x"".csv" union all from read_csv('raw/orders.dat')
      union all from read_csv('raw/absent.dat') where accept = '*/*'
      union all from read_csv('raw/**/day.dat') union all from "raw/absent.parquet"
    """
    text = PLAIN.replace("select * from read_csv('${SHOP:-data/raw/shop}/customers.csv')", "|")
    source = load_source(write(tmp_path, text.rstrip() + query), environment={})
    files = raw_files(source)
    assert [each.pattern for each in files] == [
        "raw/a--b.parquet",
        'raw/my "x".csv',
        "raw/orders.dat",
        "raw/absent.dat",
        "raw/**/day.dat",
        "raw/absent.parquet",
    ]
    with pytest.raises(SourceError, match=r"reads raw/absent\.parquet, not found; correct the qu"):
        require_raw_files(source)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("title:", "titel:", r"unknown key 'titel'; did you mean 'title'\?"),
        ("title: A shop\n", "", r"shop\.yaml: key 'title' is missing; it must be text"),
        ("name: shop", "name: My Shop", "name must be lower-case letters, digits and _, found 'M"),
        ("  customers:", "  custommers:", r"unknown table 'custommers'; did you mean 'customers'"),
        ("  customers:", "  orders:", "tables: customers is missing; every source has customers"),
        ("    query:", "    sql:", r"tables\.customers: unknown key 'sql'; allowed: query, uri, v"),
        ("tables:", "simulate: {}\ntables:", "must have either tables or simulate, found both"),
        ("tables:", "views:", "must have either tables or simulate, found neither"),
        ("tables:", "views: {orders: {query: x}}\ntables:", r"views\.orders: must be DuckDB SQL u"),
        ("tables:", "as_of: soon\ntables:", r"as_of: must be a date or timestamp, found text"),
        ("tables:", "churn: {kind: contrakt}\ntables:", "kind must be one of contract, inactivity"),
        (
            "tables:",
            "known_afterwards: visit\ntables:",
            "known_afterwards: must be a list, found text",
        ),
        ("    query:", "    version_query: x\n    query:", "version_query is for databases"),
        ("tables:", "tables:\n  offers: {query: x}", "experiment is missing; the table offers nee"),
    ],
)
def test_a_mistake_in_a_source_is_named(tmp_path, before, after, message):
    assert before in PLAIN
    with pytest.raises(SettingsError, match=message):
        load_source(write(tmp_path, PLAIN.replace(before, after, 1)), environment={})


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("discount:", "none:", "offers must not list the control 'none'; it costs nothing"),
        ("  offers:\n    discount: {", "  offers: {}\n  x: {", "unknown key 'x'"),
        ("120", "-120", r"offers\.discount: cost_on_acceptance must be at least 0, found -120"),
        ("contact_cost", "contact_costs", r"did you mean 'contact_cost'\?"),
        ("control: none", "return_window_days: 0", "return_window_days must be at least 1, fou"),
        ("control: none", "objective: money", "objective: must be one of profit, roi, returns"),
        ("control: none", "tailored: {prize: discount}", "tailored: unknown reason 'prize'; did"),
        ("control: none", "tailored: {price: discuont}", "tailored: unknown offer 'discuont'; did"),
        ("control: none", "tailoring_cost: -1", "tailoring_cost must be at least 0, found -1"),
    ],
)
def test_a_mistake_in_an_experiment_is_named(tmp_path, before, after, message):
    assert before in EXPERIMENT
    text = PLAIN + EXPERIMENT.replace(before, after, 1)
    with pytest.raises(SettingsError, match=message):
        load_source(write(tmp_path, text), environment={})


def test_an_experiment_without_offers_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="offers must name at least one offer beside the con"):
        load_source(write(tmp_path, PLAIN + "experiment: {offers: {}}"), environment={})


RETENTION = """
churn: {horizon_days: 90}
retention:
  control: nothing
  offers:
    rebate: {cost_on_acceptance: 8}
"""


def test_an_experiment_among_active_customers_has_names_of_its_own(tmp_path):
    source = load_source(write(tmp_path, PLAIN + EXPERIMENT + RETENTION), environment={})
    assert source.offer_names == ("none", "discount", "nothing", "rebate")
    experiment = source.retention_experiment
    assert experiment.return_window_days == 90
    assert experiment.offers == {"rebate": Offer(8.0, 0.0)}
    alone = load_source(write(tmp_path, PLAIN + RETENTION), environment={})
    assert alone.offer_names == ("nothing", "rebate")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RETENTION.replace("nothing", "none") + EXPERIMENT,
            "'none' is a name of experiment as well",
        ),
        (
            RETENTION.replace("rebate", "discount") + EXPERIMENT,
            "'discount' is a name of experiment",
        ),
        (RETENTION.replace("churn: {horizon_days: 90}", ""), "retention: needs churn of kind"),
        (RETENTION.replace("days: 90", "days: 400"), "must be above churn.horizon_days"),
        (RETENTION.replace("rebate", "nothing"), "retention: offers must not list the control"),
    ],
)
def test_an_experiment_among_active_customers_that_cannot_be_told_is_refused(
    tmp_path, text, message
):
    with pytest.raises(SettingsError, match=message):
        load_source(write(tmp_path, PLAIN + text), environment={})


DOSES = "  doses:\n    depth: {off_10: 10, off_20: 20.5}\n"
DEPTHS = EXPERIMENT + "    off_10: {}\n    off_20: {}\n"


def test_a_source_says_which_offers_are_doses(tmp_path):
    source = load_source(write(tmp_path, PLAIN + DEPTHS + DOSES), environment={})
    assert source.experiment.doses == {"depth": {"off_10": 10.0, "off_20": 20.5}}
    plain = load_source(write(tmp_path, PLAIN + DEPTHS), environment={})
    assert plain.experiment.doses == {}
    assert made_from(plain) != made_from(source)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("{off_10: 10, off_20: 20.5}", "{off_10: 10}", "doses.depth: must have at least two"),
        ("20.5", "deep", "experiment.doses.depth.off_20: must be a number, found text: 'deep'"),
        ("off_20: 20.5", "of_20: 20.5", "doses.depth: 'of_20' is not among the offers discount"),
    ],
)
def test_a_mistake_in_doses_is_named(tmp_path, before, after, message):
    text = PLAIN + DEPTHS + DOSES.replace(before, after)
    with pytest.raises(SettingsError, match=message):
        load_source(write(tmp_path, text), environment={})

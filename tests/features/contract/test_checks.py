"""Tables that meet the contract pass, and the documentation names all of it."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from contract_tables import AS_OF, clean, engines, said

from winback.features.contract.checks import check
from winback.features.contract.contract import TABLES, contract_markdown


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_sound_tables_pass(engine):
    assert said(engines(clean())[engine]) == []


def test_customers_alone_pass():
    assert said({"customers": pd.DataFrame({"customer_id": ["a", "b"]})}) == []


def test_two_attributes_of_one_customer_known_at_different_times_are_sound():
    tables = clean()
    later = tables["attributes"].assign(known_at=pd.Timestamp("2019-05-05"))
    tables["attributes"] = pd.concat([tables["attributes"], later])
    assert said(tables) == []


def test_a_complaint_resolved_at_once_is_sound():
    tables = clean()
    tables["complaints"]["resolved_at"] = tables["complaints"]["opened_at"]
    assert said(tables) == []


def test_any_offer_will_do_where_no_experiment_is_declared():
    assert check(clean(), as_of=AS_OF) == []


def resample(tables: dict[str, pd.DataFrame], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """A bootstrap of customers with all that is theirs, under new ids."""
    ids = tables["customers"]["customer_id"].to_numpy()
    drawn = pd.DataFrame({"old": rng.choice(ids, len(ids)), "new": np.arange(len(ids))})
    copies = {}
    for name, frame in tables.items():
        owner = TABLES[name].customer or "customer_id"
        copy = drawn.merge(frame, left_on="old", right_on=owner, how="inner")
        copy[owner] = copy["new"]
        for key in ("order_id", "complaint_id"):
            if key in copy:
                copy[key] = np.arange(len(copy))
        copies[name] = copy[list(frame.columns)]
    return copies


def test_no_false_alarm_on_resamples():
    rng = np.random.default_rng(5)
    tables = clean(customers=40, seed=1)
    for _ in range(40):
        copies = resample(tables, rng)
        assert said({name: pl.from_pandas(frame) for name, frame in copies.items()}) == []


def test_the_documentation_names_every_table_and_column():
    text = contract_markdown()
    for table in TABLES.values():
        assert f"### {table.name}\n" in text
        for column in table.columns:
            assert f"\n| {column.name} | " in text
            assert column.meaning in text

"""Protected columns as they were known at the moment of the list, and counts by their groups."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.fairness import MOST_GROUPS
from winback.models.offers import Offer
from winback.pipelines.settings.experiments import Experiment
from winback.pipelines.settings.params import Machine
from winback.pipelines.settings.sources import Source, TableQuery
from winback.pipelines.tables import parts, protected
from winback.pipelines.tables.protected import count_protected, latest_protected

MACHINE = Machine(threads=1, memory_limit="1GB")


def write_list(folder, customers):
    """A list of candidates for the offer `mail`."""
    listed = pd.DataFrame(
        {
            "customer_id": customers,
            "as_of": pd.Timestamp("2024-07-01"),
            "recommended_offer": "mail",
            "holdout": False,
            "excluded_by": pd.Series([None] * len(customers), dtype="str"),
            "expected_incremental_profit": 1.0,
            "uplift_mail": 0.1,
            "reasons": "best",
            "model_version": "1",
        }
    )
    listed.to_parquet(folder / "list.parquet", index=False)
    return folder / "list.parquet"


def shop(*protected):
    """A source with an experiment and protected columns."""
    return Source(
        name="shop",
        title="A shop",
        protected=protected,
        experiment=Experiment({"mail": Offer()}),
        tables={"customers": TableQuery("from c"), "offers": TableQuery("from o")},
    )


@pytest.fixture
def latest(tmp_path):
    def read(names, attributes=None, *, customers=("a", "b")):
        if attributes is not None:
            pd.DataFrame(attributes).to_parquet(tmp_path / "attributes.parquet")
        file = latest_protected(
            tmp_path,
            names,
            write_list(tmp_path, customers),
            machine=MACHINE,
            scratch=tmp_path,
        )
        return None if file is None else pd.read_parquet(file)

    return read


def test_the_latest_row_known_by_then_is_taken(latest):
    found = latest(
        ["region", "absent"],
        {
            "customer_id": [2, 1, 1, 1, 4, 4, 5],
            "known_at": pd.to_datetime(
                [None, None, "2024-06-01", "2024-08-01", None, None, "2024-08-01"]
            ),
            "region": ["only", "old", "now", "later", "first", "last", "later"],
            "income": 1.0,
        },
        customers=[1, 2, 4, 5],
    )
    assert found.columns.tolist() == ["customer_id", "region"]
    assert found.set_index("customer_id")["region"].to_dict() == {1: "now", 2: "only", 4: "last"}


def test_undated_rows_are_taken_as_they_are(latest):
    found = latest(['my "group"'], {"customer_id": ["b", "a"], 'my "group"': [1, 2]})
    assert found["customer_id"].tolist() == ["a", "b"]
    assert found['my "group"'].tolist() == [2, 1]


def test_without_columns_or_attributes_there_is_nothing(latest):
    assert latest(["region"]) is None
    assert latest([], {"customer_id": [1], "region": ["a"]}) is None
    assert latest(["gender"]) is None


def test_a_text_of_too_many_values_names_nobody(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parts, "PART_ROWS", 20)  # no part by itself has too many
    people = np.arange(MOST_GROUPS + 2)
    file = write_list(tmp_path, people)
    pd.DataFrame(
        {
            "customer_id": people,
            "name": [f"person {one}" for one in people],
            "district": [f"district {one % MOST_GROUPS}" for one in people],
        }
    ).to_parquet(tmp_path / "attributes.parquet")
    counts = count_protected(shop("name", "district"), tmp_path, file, MACHINE, tmp_path)
    assert {*counts} == {"district"}
    assert counts["district"]["candidates"].sum() == len(people)
    assert "name: has too many values for groups" in capsys.readouterr().err


def test_bands_are_of_the_customers_of_the_list_read_once_for_all_columns(tmp_path, monkeypatch):
    read, reads = protected.list_parts, []

    def counting(file, columns):
        reads.append(columns)
        return read(file, columns)

    monkeypatch.setattr(protected, "list_parts", counting)
    file = write_list(tmp_path, range(100))
    people = np.arange(300)  # of whom two thirds are not listed
    ages = pd.DataFrame({"customer_id": people, "age": people, "income": 2.0 * people})
    ages.to_parquet(tmp_path / "attributes.parquet")
    counts = count_protected(shop("age", "income"), tmp_path, file, MACHINE, tmp_path)
    assert counts["age"]["candidates"].tolist() == [25] * 4
    assert counts["income"]["candidates"].tolist() == [25] * 4
    assert len(reads) == 1

"""Protected columns as they were known at the moment of the list, and counts by their groups."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.fairness import MOST_GROUPS
from winback.models.offers import Offer
from winback.pipelines.settings.experiments import Experiment
from winback.pipelines.settings.params import Machine
from winback.pipelines.settings.sources import Source, TableQuery
from winback.pipelines.tables import parts
from winback.pipelines.tables.protected import count_protected, latest_protected

MACHINE = Machine(threads=1, memory_limit="1GB")


@pytest.fixture
def latest(tmp_path):
    def read(names, attributes=None):
        if attributes is not None:
            pd.DataFrame(attributes).to_parquet(tmp_path / "attributes.parquet")
        file = latest_protected(
            tmp_path,
            names,
            as_of=pd.Timestamp("2024-07-01"),
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
    listed = pd.DataFrame(
        {
            "customer_id": people,
            "as_of": pd.Timestamp("2024-07-01"),
            "recommended_offer": pd.Series("mail", people),
            "holdout": False,
            "excluded_by": pd.Series([None] * len(people), dtype="str"),
            "expected_incremental_profit": 1.0,
            "uplift_mail": 0.1,
            "reasons": "best",
            "model_version": "1",
        }
    )
    listed.to_parquet(tmp_path / "list.parquet", index=False)
    pd.DataFrame(
        {
            "customer_id": people,
            "name": [f"person {one}" for one in people],
            "district": [f"district {one % MOST_GROUPS}" for one in people],
        }
    ).to_parquet(tmp_path / "attributes.parquet")
    source = Source(
        name="shop",
        title="A shop",
        protected=("name", "district"),
        experiment=Experiment({"mail": Offer()}),
        tables={"customers": TableQuery("from c"), "offers": TableQuery("from o")},
    )
    counts = count_protected(source, tmp_path, tmp_path / "list.parquet", MACHINE, tmp_path)
    assert {*counts} == {"district"}
    assert counts["district"]["candidates"].sum() == len(people)
    assert "name: has too many values for groups" in capsys.readouterr().err

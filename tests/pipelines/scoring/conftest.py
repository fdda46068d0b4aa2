"""A scoring job of 1,000 customers, 50 of whom objected."""

import pandas as pd
import pytest

from winback.pipelines.score import Job


@pytest.fixture(scope="module")
def artifacts(finished):
    return finished / "artifacts"


@pytest.fixture(scope="module")
def customers(finished):
    return pd.read_parquet(finished / "data/features/current.parquet").head(1_000)


@pytest.fixture
def job(tmp_path, artifacts, customers):
    """1,000 customers, 50 of whom objected, in parts of 300."""
    customers.to_parquet(tmp_path / "customers.parquet", index=False)
    customers[["customer_id"]][::20].to_parquet(tmp_path / "objected.parquet", index=False)
    return Job(
        features=tmp_path / "customers.parquet",
        out=tmp_path / "scores",
        model=str(artifacts),
        suppressions=tmp_path / "objected.parquet",
        part_rows=300,
    )

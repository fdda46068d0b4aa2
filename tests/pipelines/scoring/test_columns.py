"""Columns that are not those of the training: answered by name and meaning, or refused by name."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scoring_job import BAD_DATA, command, rows

from winback.models.formula.answers import forecasts
from winback.pipelines.storage.trained_models import read_answers

PARTS = ("churn", "winback", "decision")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: pd.concat([f, f[:2]]), "2 customers stand there twice"),
        (
            lambda f: f.assign(customer_id=f["customer_id"].astype("Int64").where(f.index > 0)),
            "without customer_id",
        ),
        (
            lambda f: f.assign(customer_id=f["customer_id"].where(f.index > 0)),
            "'customer_id' must be text or a whole number, found double",
        ),
        (lambda f: f[:0], "no rows to score"),
        (lambda f: f.assign(as_of="today"), "'as_of' must be a timestamp"),
    ],
)
def test_bad_rows_are_refused_by_name(job, customers, capsys, change, words):
    change(customers).to_parquet(job.features, index=False)
    assert command(job) == BAD_DATA
    assert words in capsys.readouterr().err
    assert not job.out.exists()


WHAT_HAPPENS = {  # to columns that are not those of the training: (change, as if, exit code, words)
    "reordered": (lambda f: f[list(f.columns)[::-1]], None, 0, ""),
    "extra": (lambda f: f.assign(note="x", more=1), None, 0, ""),
    "missing": (lambda f: f.drop(columns="orders_total"), None, BAD_DATA, "missing: orders_total"),
    "renamed": (
        lambda f: f.rename(columns={"orders_total": "Orders_Total"}),
        None,
        BAD_DATA,
        "missing: orders_total",
    ),
    "whole numbers": (lambda f: f.assign(orders_total=f["orders_total"].astype(int)), None, 0, ""),
    "whole numbers with holes": (
        lambda f: f.assign(orders_total=f["orders_total"].astype("Int64").mask(f.index < 9)),
        lambda f: f.assign(orders_total=f["orders_total"].mask(f.index < 9)),
        0,
        "",
    ),
    "yes and no": (
        lambda f: f.assign(orders_total=f["orders_total"] > 3),
        lambda f: f.assign(orders_total=(f["orders_total"] > 3).astype(float)),
        0,
        "",
    ),
    "decimals": (
        lambda f: f.assign(orders_total=f["orders_total"].map(lambda x: Decimal(str(x)))),
        None,
        0,
        "",
    ),
    "all missing": (
        lambda f: f.assign(orders_total=None, departure_reason=None),
        lambda f: f.assign(orders_total=np.nan, departure_reason=pd.NA),
        0,
        "",
    ),
    "unseen categories": (
        lambda f: f.assign(departure_reason="abducted"),
        lambda f: f.assign(departure_reason=pd.Series(pd.NA, f.index, dtype="str")),
        0,
        "",
    ),
    "categories as codes": (
        lambda f: f.assign(departure_reason=f["departure_reason"].astype("category")),
        None,
        0,
        "",
    ),
    "text for a number": (
        lambda f: f.assign(orders_total=f["orders_total"].astype("str")),
        None,
        BAD_DATA,
        "'orders_total' must be a number, found",
    ),
    "a number for a category": (
        lambda f: f.assign(departure_reason=1.5),
        None,
        BAD_DATA,
        "'departure_reason' must be text, found double",
    ),
}


@pytest.mark.parametrize("case", WHAT_HAPPENS)
def test_what_happens_to_columns_that_are_not_those_of_the_training(job, customers, capsys, case):
    """Answered by name and meaning, or refused by name; never answered wrong in silence."""
    change, as_if, code, words = WHAT_HAPPENS[case]
    change(customers).to_parquet(job.features, index=False)
    assert command(job) == code
    assert words in capsys.readouterr().err
    if code:
        assert not job.out.exists()
        return
    allowed = (as_if or (lambda f: f))(customers).drop(customers.index[::20])
    models = Path(job.model)
    expected = forecasts(read_answers(*(models / part for part in PARTS)), allowed)
    found = rows(job.out)[expected.columns]
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("other", ["no population", "ids as text"])
def test_files_of_one_folder_have_the_same_keys(job, customers, capsys, other):
    """A column that the first file lacks would be read from none of them."""
    odd = customers[500:]
    if other == "no population":
        odd = odd.drop(columns="population")
    else:
        odd = odd.assign(customer_id=odd["customer_id"].astype("str"))
    job.features.unlink()
    job.features.mkdir()
    odd.to_parquet(job.features / "part-0.parquet", index=False)
    customers[:500].to_parquet(job.features / "part-1.parquet", index=False)
    assert command(job) == BAD_DATA
    assert "must be those of part-0.parquet" in capsys.readouterr().err
    assert not job.out.exists()

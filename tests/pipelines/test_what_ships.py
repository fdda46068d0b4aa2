"""What ships learns from everybody but the customers kept apart; grades come from another fit."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import winback

from winback.models.evaluation.held_out import kept_apart
from winback.pipelines.storage.atomic import write_manifest

OUTCOMES = {"churn": ["churned"], "winback": ["returned", "value", "second_days", "second_ended"]}


@pytest.fixture(scope="module")
def apart_of(finished):
    """True for the customers of a part that the small project keeps apart."""

    def apart(part):
        rows = pd.read_parquet(finished / f"data/features/{part}.parquet")
        return kept_apart(rows["customer_id"], share=0.2)

    return apart


def trained_anew(finished, folder, part, changed):
    """The folder of a part, trained after the outcomes of some rows were dealt out anew."""
    rows = pd.read_parquet(finished / f"data/features/{part}.parquet")
    dealt = np.random.default_rng(4).permutation(np.flatnonzero(changed))
    rows.loc[changed, OUTCOMES[part]] = rows[OUTCOMES[part]].iloc[dealt].to_numpy()
    return trained_on(finished, folder, part, rows)


def trained_on(finished, folder, part, rows):
    """The folder of a part, trained on these rows in a copy of the project."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("cache", "mlartifacts"))
    features = folder / "data/features"
    rows.to_parquet(features / f"{part}.parquet", index=False)
    write_manifest(features, json.loads((features / "_manifest.json").read_text()))
    given = ("--features", "data/features", f"--{part}", f"artifacts/{part}")
    assert winback(folder, f"train_{part}", *given) == 0
    return folder / f"artifacts/{part}"


def model(folder):
    """The files that answer and decide."""
    names = [file.name for file in folder.iterdir() if file.suffix == ".txt"]
    return {
        name: (folder / name).read_bytes()
        for name in [*names, "formula.json", "offers.json"]
        if (folder / name).exists()
    }


def predictions(folder):
    rows = pd.read_parquet(folder / "held_out.parquet").set_index("customer_id")
    return rows.filter(regex="^(return_probability|uplift|value|expected_profit)_")


@pytest.mark.parametrize("part", ["churn", "winback"])
def test_no_outcome_of_a_customer_kept_apart_reaches_what_ships(finished, apart_of, tmp_path, part):
    before = finished / f"artifacts/{part}"
    after = trained_anew(finished, tmp_path / "project", part, apart_of(part))
    assert model(before) == model(after)


def test_held_out_customers_are_graded_by_a_fit_without_them_and_teach_the_one_that_ships(
    finished, apart_of, tmp_path
):
    before = finished / "artifacts/winback"
    graded = pd.read_parquet(before / "held_out.parquet")["customer_id"]
    rows = pd.read_parquet(finished / "data/features/winback.parquet")
    held = rows["customer_id"].isin(graded).to_numpy()
    assert held[apart_of("winback")].all()
    after = trained_anew(finished, tmp_path / "project", "winback", held)
    pd.testing.assert_frame_equal(predictions(before), predictions(after))
    said, said_after = (json.loads((one / "offers.json").read_text()) for one in (before, after))
    for objective, decided in said["by_objective"].items():
        again = said_after["by_objective"][objective]
        for name in ("personalize", "best_single"):  # what is sent; they only tell how evident
            assert decided[name] == again[name]
        assert decided["n"] == again["n"] > len(rows) - len(graded)
        assert decided["gain"] != again["gain"]
    assert said["policy_tree"] == said_after["policy_tree"]
    assert model(before) != model(after)


def notes(folder):
    return json.loads((folder / "readout/readout.json").read_text())["notes"]


def test_a_young_part_of_the_experiment_and_customers_not_lost_are_pointed_out(finished, tmp_path):
    rows = pd.read_parquet(finished / "data/features/winback.parquet")
    latest = (rows["campaign"] == rows["campaign"].max()).to_numpy()
    rows.loc[latest, "value"] = np.nan
    rows.loc[:99, "is_lost"] = 0
    folder = trained_on(finished, tmp_path / "project", "winback", rows)
    told = (
        f"value, profit and roi are read on {(~latest).sum():,} of {len(rows):,} customers",
        f"100 of {len(rows):,} customers were not lost",
    )
    for note in told:
        assert not any(one.startswith(note) for one in notes(finished / "artifacts/winback"))
        assert any(one.startswith(note) for one in notes(folder))
    effects = pd.read_csv(folder / "readout/effects.csv")
    assert {"returned", "value", "profit"} <= {*effects["outcome"]}

"""`winback customer`: what the list says about one customer, and a forecast that adds up."""

import json
import shutil

import pandas as pd
import pytest

from winback.pipelines.cli import main
from winback.pipelines.job.exit_codes import REFUSED
from winback.pipelines.storage.atomic import write_manifest
from winback.pipelines.storage.without_customers import rows_of

KINDS = {
    "active": lambda rows: rows["recommended_offer"].isna(),
    "offered": lambda rows: rows["excluded_by"].isna() & rows["recommended_offer"].notna(),
    "excluded": lambda rows: rows["excluded_by"].notna(),
    "held out": lambda rows: rows["holdout"].astype(bool),
}


@pytest.fixture
def project(finished, monkeypatch):
    """Only read here; whoever writes takes a copy."""
    monkeypatch.chdir(finished)
    return finished


@pytest.fixture
def copy(finished, tmp_path, monkeypatch):
    kept = shutil.ignore_patterns(".git", "cache")
    folder = shutil.copytree(finished, tmp_path / "project", ignore=kept)
    monkeypatch.chdir(folder)
    return folder


def listed(project):
    return pd.read_parquet(project / "data/recommendations.parquet")


def facts(capsys, identity, *more):
    assert main(["customer", str(identity), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_waterfall_adds_up_to_the_forecast_of_the_list(project, capsys, kind):
    rows = listed(project)
    for row in rows[kind(rows)].head(3).to_dict("records"):
        told = facts(capsys, row["customer_id"])
        assert told["waterfalls"]
        for fall in told["waterfalls"]:
            total = fall["base"] + sum(part["share"] for part in fall["parts"])
            assert abs(total - row[fall["output"]]) < 1e-9
            assert abs(fall["forecast"] - row[fall["output"]]) < 1e-9


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_terminal_and_the_page_say_what_the_list_says(copy, capsys, kind):
    rows = listed(copy)
    row = rows[kind(rows)].iloc[0]
    assert main(["customer", str(row["customer_id"]), "--html", "page.html"]) == 0
    shown = capsys.readouterr().out
    page = (copy / "page.html").read_text()
    known = facts(capsys, row["customer_id"])
    for text in (shown, page):
        assert f"Customer {row['customer_id']}" in text
        assert row["priority"] in text
        assert row["strategy"] in text
        for fall in known["waterfalls"]:
            assert f"{fall['forecast']:.4f}" in text
            for part in fall["parts"]:
                assert part["meaning"].replace("'", "&#39;") in text.replace("'", "&#39;")
                assert part["value"] in text
    assert str(row["reasons"]) in shown
    assert rows_of(copy / "page.html", {str(row["customer_id"])}) == 1  # winback erase finds it


def test_the_decision_is_said_in_words(project, capsys):
    rows = listed(project)
    offered = KINDS["offered"](rows) & ~rows["holdout"].astype(bool)
    sent = rows[offered & (rows["assigned_offer"] == rows["recommended_offer"])].iloc[0]
    excluded = rows[KINDS["excluded"](rows)].iloc[0]
    held = rows[KINDS["held out"](rows)].iloc[0]
    drawn = "which the draw does with a probability of"
    for row, words in (
        (sent, f"Send {sent['assigned_offer']}, {drawn} {sent['propensity']:.2f}."),
        (excluded, f"No offer, because of the rule {excluded['excluded_by']}."),
        (held, f"Held out: {held['recommended_offer']} is recommended and nothing is sent"),
    ):
        assert main(["customer", str(row["customer_id"])]) == 0
        assert words in capsys.readouterr().out


def test_of_a_customer_who_objected_nothing_is_shown(copy, capsys):
    (first,) = pd.read_parquet("data/tables/suppressions.parquet")["customer_id"].head(1)
    assert facts(capsys, first) == {
        "customer_id": str(first),
        "suppressed": True,
        "exit_code": 0,
    }
    assert main(["customer", str(first), "--html", "page.html"]) == 0
    told = capsys.readouterr().out
    assert told == f"Customer {first} stands in the table of suppressions: nothing is shown.\n"
    assert not (copy / "page.html").exists()


def test_an_objection_after_the_list_was_made_counts(copy, capsys):
    customer = listed(copy)["customer_id"].iloc[0]
    file = copy / "data/tables/suppressions.parquet"
    table = pd.read_parquet(file)
    file.chmod(0o644)
    pd.concat([table, table.head(1).assign(customer_id=customer)]).to_parquet(file)
    assert facts(capsys, customer)["suppressed"]


@pytest.mark.parametrize("identity", ["99999999", "nobody", "1.0"])
def test_an_unknown_id_is_refused(project, capsys, identity):
    assert main(["customer", identity]) == REFUSED
    told = capsys.readouterr()
    assert f"customer {identity}: not on the list" in told.err
    assert not told.out


def test_a_list_of_other_models_is_refused(copy, capsys):
    customer = listed(copy)["customer_id"].iloc[0]
    for file in (copy / "artifacts/churn").rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    write_manifest(copy / "artifacts/churn", {"trained": "again"})
    assert main(["customer", str(customer)]) == REFUSED
    assert "older than the features or models that stand" in capsys.readouterr().err


def test_ids_and_values_do_not_steer_a_terminal(project, capsys):
    assert main(["customer", "\033[2J"]) == REFUSED
    assert "\033" not in capsys.readouterr().err

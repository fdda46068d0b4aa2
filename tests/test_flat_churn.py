"""A churn table with a label and no dates: every stage, and what is said of the random split."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from winback.models.evaluation.twins import count_twins, twin_keys
from winback.models.evaluation.unseen import remember_share, unseen
from winback.pipelines.cli import main
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.yaml_dataclasses import SettingsError, read_yaml

SOURCE = """
name: members
title: Members of a gym
as_of: 2024-07-01
suppressions: none
tables:
  customers:
    query: select member as customer_id from read_csv('members.csv')
  attributes:
    query: select * rename (member as customer_id) from read_csv('members.csv')
churn: {kind: label, column: cancelled}
protected: [gender]
allowed: [NumberOfAddress]
"""
AT_RANDOM = "at random: the table has no dates"


def members(rows=900, copies=60, seed=0):
    rng = np.random.default_rng(seed)
    visits = rng.poisson(6, rows)
    fee = 10 + rng.permutation(rows) * 0.07  # nobody has another's by chance
    addresses = rng.integers(1, 4, rows)
    chance = 1 / (1 + np.exp(0.5 * visits - 0.03 * fee))
    table = pd.DataFrame(
        {
            "member": [f"m{number}" for number in range(rows)],
            "visits": visits,
            "fee": fee,
            "NumberOfAddress": addresses,
            "gender": rng.choice(["f", "m"], rows),
            "cancelled": rng.random(rows) < chance,
        }
    )
    twins = table.iloc[:copies].assign(member=[f"copy{number}" for number in range(copies)])
    undecided = table.iloc[-20:].assign(
        member=[f"new{number}" for number in range(20)],
        fee=lambda t: t["fee"] + 0.5,
        cancelled=None,
    )
    return pd.concat([table, twins, undecided], ignore_index=True)


def written(folder, table, source=SOURCE):
    table.to_csv(folder / "members.csv", index=False)
    (folder / "source.yaml").write_text(source)
    params = (ROOT / "params.yaml").read_text().replace("sources/kumar.yaml", "source.yaml")
    (folder / "params.yaml").write_text(params.replace("tuning_fits: 12", "tuning_fits: 2"))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Every stage of dvc.yaml on the table; the folder that they leave."""
    folder = written(tmp_path_factory.mktemp("gym"), members())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in read_yaml(ROOT / "dvc.yaml")["stages"].values():
            assert main(stage["cmd"].split()[1:]) == 0, stage["cmd"]
    return folder


def test_the_label_is_learned_and_is_no_feature(run):
    names = {
        entry["name"] for entry in json.loads((run / "data/features/dictionary.json").read_text())
    }
    assert names == {"visits", "fee", "NumberOfAddress"}
    rows = pd.read_parquet(run / "data/features/churn.parquet")
    assert len(rows) == 960  # the undecided are asked about and not learned from
    assert rows["churned"].sum() == members()["cancelled"].sum()
    assert json.loads((run / "reports/metrics.json").read_text())["churn"]["churn"]["auc"] > 0.7


def test_the_list_has_risks_for_whoever_is_there_and_no_offers(run):
    listed = pd.read_parquet(run / "data/recommendations.parquet").set_index("customer_id")
    gone = members().set_index("member")["cancelled"].eq(True)
    assert listed["churn_probability"].notna().equals(~gone.reindex(listed.index))
    assert not {*listed["recommended_offer"].dropna()} - {"none"}


def test_without_offers_a_protected_group_has_its_risk_and_no_ratio(run):
    table = pd.read_csv(run / "reports/plots/fairness.csv").set_index("group")
    listed = pd.read_parquet(run / "data/recommendations.parquet")
    gender = listed["customer_id"].map(members().set_index("member")["gender"])
    risks = listed["churn_probability"].groupby(gender).mean()
    assert table["churn_risk"].to_dict() == pytest.approx(risks.to_dict())
    assert table["ratio"].isna().all()
    assert "unequally" not in (run / "reports/report.html").read_text()


def test_a_random_split_and_twins_are_said_everywhere(run):
    metrics = json.loads((run / "reports/metrics.json").read_text())
    assert metrics["churn_tested_on"].startswith(AT_RANDOM)
    page = (run / "reports/report.html").read_text()
    assert AT_RANDOM in page
    assert "120 of 960 rows have a twin" in page
    assert "later dates" not in page.replace("nothing is tested on later ones", "")
    notes = json.loads((run / "artifacts/churn/_manifest.json").read_text())["notes"]
    assert any("120 of 960 rows have a twin" in note for note in notes)


def test_few_rows_are_tuned_within_the_budget(run):
    assert len(pd.read_csv(run / "artifacts/churn/tuning.csv")) == 2


def test_scoring_and_the_customers_page_work(run, monkeypatch, capsys):
    monkeypatch.chdir(run)
    assert main(["customer", "new3"]) == 0
    assert "new3" in capsys.readouterr().out


def test_twins_are_on_one_side_and_are_remembered_there():
    rows = members()
    rows = rows[rows["cancelled"].notna()].assign(churned=1, as_of=pd.Timestamp("2024-07-01"))
    rows = rows.rename(columns={"member": "customer_id"}).reset_index(drop=True)
    columns = ["visits", "fee", "NumberOfAddress"]
    keys = twin_keys(rows, columns)
    assert count_twins(keys) == 120
    memory = remember_share(0.3, columns=columns)
    kept = pd.Series(unseen(memory, rows))
    assert 0.25 < kept.mean() < 0.35
    assert kept.groupby(keys).nunique().max() == 1
    floats = rows.assign(visits=rows["visits"].astype("Float64"))
    assert (unseen(memory, floats.sample(frac=1, random_state=0).sort_index()) == kept).all()
    with pytest.raises(ValueError, match="column fee is missing"):
        unseen(memory, rows.drop(columns="fee"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("", "churn: {kind: label}"), "column must be given for kind label"),
        (("", "churn: {kind: contract, column: cancelled}"), "column must be given for kind label"),
        (
            ("allowed: [NumberOfAddress]", "allowed: [gender]"),
            "known_afterwards or protected as well",
        ),
        (("attributes:", "orders:"), "kind label needs the table attributes"),
    ],
)
def test_a_source_that_does_not_fit_its_label_is_refused(change, message, tmp_path):
    old, new = change
    text = (
        SOURCE.replace(old, new)
        if old
        else SOURCE.replace("churn: {kind: label, column: cancelled}", new)
    )
    (tmp_path / "source.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_source(tmp_path / "source.yaml")


@pytest.mark.parametrize(
    ("source", "table", "said"),
    [
        (
            SOURCE.replace("column: cancelled", "column: canceled"),
            members(),
            "'canceled' must exist",
        ),
        (SOURCE, members().assign(cancelled="gone"), "'cancelled' must be true or false"),
        (SOURCE, pd.concat([members()] * 2), "customer_id"),
    ],
    ids=["no such column", "text", "two rows per customer"],
)
def test_a_label_that_breaks_the_contract_is_named(
    source, table, said, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(written(tmp_path, table, source))
    assert main(["ingest", "--tables", "data/tables", "--truth", "data/truth"]) == 3
    assert said in capfd.readouterr().err


def test_columns_that_must_not_be_features_are_named_all_at_once(tmp_path, monkeypatch, capfd):
    table = members().assign(e_mail_address="a@b.c", city=[f"c{n % 300}" for n in range(980)])
    source = SOURCE.replace("protected: [gender]\n", "").replace("allowed: [NumberOfAddress]\n", "")
    monkeypatch.chdir(written(tmp_path, table, source))
    assert main(["ingest", "--tables", "data/tables", "--truth", "data/truth"]) == 0
    assert main(["featurize", "--tables", "data/tables", "--features", "data/features"]) == 3
    said = capfd.readouterr().err
    for name in ("NumberOfAddress", "gender", "e_mail_address", "city"):
        assert f"column '{name}' must not be a feature" in said
    assert "under allowed:" in said

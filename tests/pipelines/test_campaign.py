"""`winback campaign`: everybody accounted for, chances logged, nothing changed, objectors out."""

import io
import json
import shutil
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from winback.pipelines import campaign as drawing
from winback.pipelines.cli import main
from winback.pipelines.storage.places import local_copy, replace_folder
from winback.pipelines.storage.shared_files import below
from winback.pipelines.tables import parts
from winback.pipelines.tables.campaign_files import log_files

OFFERS = ["discount", "upgrade", "bundle"]


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    returncode: int
    stdout: str
    stderr: str


def called_in(folder, *command):
    """A command in this process, which is quicker than another one."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main(command[1:])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign") / "project"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def sent(project):
    done = called_in(project, "winback", "campaign", "--name", "spring")
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(project, sent):
    return project / "data/campaigns/spring"


def test_the_funnel_adds_up_from_all_lost_to_those_sent(project, folder, sent):
    steps = pd.read_csv(folder / "funnel.csv").set_index("step")["customers"]
    current = pd.read_parquet(project / "data/features/current.parquet")
    assert steps["lost"] == (current["population"] == "lost").sum()
    assert steps["lost"] == steps.drop("lost").sum()
    sheet = pd.read_parquet(folder / "send.parquet")
    assert steps["sent"] == len(sheet) > 100
    assert f"{len(sheet):,} customers to contact" in sent.stdout


def test_the_log_keeps_the_chance_of_every_offer(project, folder):
    log = pd.read_parquet(folder / "log.parquet")
    table = pd.read_parquet(project / "data/recommendations.parquet").set_index("customer_id")
    offered = table[table["recommended_offer"].isin(OFFERS)]
    assert set(log["customer_id"]) == set(offered.index)
    chances = log[[f"probability_{name}" for name in ["none", *OFFERS]]].to_numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert log["every_offer_open"].all()
    own = chances[np.arange(len(log)), pd.Index(["none", *OFFERS]).get_indexer(log["offer"])]
    np.testing.assert_allclose(log["propensity"], own)
    assert 0.05 < (log["offer"] == "none").mean() < 0.15
    explored = log[(log["offer"] != "none") & (log["offer"] != log["chosen"])]
    assert 0.01 < len(explored) / len(log) < 0.07


def test_the_sheet_says_what_a_marketer_needs(project, folder):
    sheet = pd.read_parquet(folder / "send.parquet")
    listed = pd.read_parquet(project / "data/recommendations.parquet").set_index("customer_id")
    without = listed.loc[sheet["customer_id"], "expected_profit_none"].to_numpy()
    spent = sheet["return_probability"] * sheet["cost_on_acceptance"] + 2.0
    earned = sheet["return_probability"] * sheet["value_of_return"]
    np.testing.assert_allclose(sheet["expected_cost"], spent)
    np.testing.assert_allclose(sheet["expected_gain"], earned - spent - without)
    assert sheet["expected_gain"].is_monotonic_decreasing
    days = pd.to_datetime(sheet["remind_again_until"]) - pd.to_datetime(sheet["contact_on"])
    assert (days.dt.days == 7).all()
    assert sheet["another_agent"].any()
    assert not sheet["another_agent"].all()
    assert sheet.loc[sheet["explores"], "reasons"].str.startswith("drawn at random").all()


def test_there_is_a_csv_per_offer_with_the_same_rows(folder):
    sheet = pd.read_parquet(folder / "send.parquet")
    for name, rows in sheet.groupby("offer"):
        listed = pd.read_csv(folder / f"send-{name}.csv")
        assert listed["customer_id"].tolist() == rows["customer_id"].tolist()


def test_parts_of_any_size_give_the_same_campaign(project, folder, monkeypatch):
    monkeypatch.setattr(parts, "PART_ROWS", 97)
    done = called_in(project, "winback", "campaign", "--name", "spring", "--campaigns", "data/cut")
    assert done.returncode == 0, done.stderr
    for file in ("log.parquet", "send.parquet"):
        again = pd.read_parquet(project / "data/cut/spring" / file)
        pd.testing.assert_frame_equal(again, pd.read_parquet(folder / file))
    for file in sorted(folder.glob("*.csv")):
        assert (project / "data/cut/spring" / file.name).read_bytes() == file.read_bytes()
    again, before = (
        json.loads((place / "summary.json").read_text())
        for place in (project / "data/cut/spring", folder)
    )
    assert again["funnel"] == before["funnel"]
    assert again["notes"] == before["notes"]
    for offer, figures in before["offers"].items():
        assert again["offers"][offer] == pytest.approx(figures)


def test_the_same_campaign_again_stays_and_another_of_its_name_is_refused(project, folder):
    before = (folder / "_manifest.json").read_bytes()
    again = called_in(project, "winback", "campaign", "--name", "spring")
    assert again.returncode == 0
    assert "is this campaign already" in again.stderr
    decision = project / "data/recommendations.parquet"
    kept = decision.read_bytes()
    pd.read_parquet(decision).iloc[1:].to_parquet(decision, index=False)
    other = called_in(project, "winback", "campaign", "--name", "spring")
    decision.write_bytes(kept)
    assert other.returncode == 3
    assert "was drawn from another list" in other.stderr
    assert (folder / "_manifest.json").read_bytes() == before


def test_customers_of_a_campaign_are_not_in_the_next_one_of_the_same_days(project, folder):
    done = called_in(project, "winback", "campaign", "--name", "spring2")
    assert done.returncode == 3
    log = pd.read_parquet(folder / "log.parquet")
    assert f"in another campaign {len(log):,}" in done.stderr
    assert not (project / "data/campaigns/spring2").exists()


def meanwhile(monkeypatch, happens):
    """Let something happen while the next campaign is drawn; gives the list of what it gave."""
    draw_campaign, given = drawing.draw_campaign, []

    def drawn(*args, **kwargs):
        monkeypatch.setattr(drawing, "draw_campaign", draw_campaign)
        given.append(happens())
        return draw_campaign(*args, **kwargs)

    monkeypatch.setattr(drawing, "draw_campaign", drawn)
    return given


@pytest.mark.parametrize("stored", [False, True])
def test_two_campaigns_are_not_drawn_at_a_time(project, monkeypatch, request, stored):
    place = str(request.getfixturevalue("store")) if stored else "data/at_once"

    def draws(name):
        return called_in(project, "winback", "campaign", "--name", name, "--campaigns", place)

    second = meanwhile(monkeypatch, lambda: draws("b"))
    first = draws("a")
    assert first.returncode == 0, first.stderr
    assert second[0].returncode == 8
    assert "[WB007]" in second[0].stderr
    assert "another job is writing there" in second[0].stderr


@pytest.mark.parametrize("stored", [False, True])
def test_what_another_machine_drew_meanwhile_is_not_overlooked(
    project, folder, monkeypatch, request, stored
):
    place = request.getfixturevalue("store") if stored else project / "data/two_machines"

    def elsewhere():
        with replace_folder(below(place, "b")) as new:
            shutil.copy(folder / "log.parquet", new.path)
            new.extra["source"] = "kumar"

    meanwhile(monkeypatch, elsewhere)
    there = ["--campaigns", str(place)]
    done = called_in(project, "winback", "campaign", "--name", "a", *there)
    assert done.returncode == 3
    assert "changed meanwhile" in done.stderr
    again = called_in(project, "winback", "campaign", "--name", "a", *there)
    assert f"in another campaign {len(pd.read_parquet(folder / 'log.parquet')):,}" in again.stderr


def test_who_objected_since_the_list_was_made_is_not_sent_anything(project, folder, tmp_path):
    objecting = pd.read_parquet(folder / "send.parquet")["customer_id"].head(20)
    objecting.to_frame().to_parquet(tmp_path / "list.parquet", index=False)
    other = ["--campaigns", "data/others", "--suppressions", str(tmp_path / "list.parquet")]
    done = called_in(project, "winback", "campaign", "--max-age-days", "100000", *other)
    assert done.returncode == 0, done.stderr
    (summary,) = (project / "data/others").glob("*/summary.json")
    assert not set(pd.read_parquet(summary.parent / "log.parquet")["customer_id"]) & set(objecting)
    before = json.loads((folder / "summary.json").read_text())["funnel"]["objected"]
    assert json.loads(summary.read_text())["funnel"]["objected"] == before + 20


def test_a_list_of_another_source_is_refused(project, sent):
    params = project / "params.yaml"
    kept = params.read_text()
    params.write_text(kept.replace("sources/small.yaml", "sources/hillstrom.yaml"))
    done = called_in(project, "winback", "campaign", "--name", "other")
    params.write_text(kept)
    assert done.returncode == 3
    assert "holds the source 'kumar', and params.yaml names 'hillstrom'" in done.stderr


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("params.yaml", "  budget: ", "  budget: 100"),
        ("params.yaml", "smallest_profit: 0.0", "smallest_profit: 20"),
        ("sources/small.yaml", "cost_on_acceptance: ", "cost_on_acceptance: 1"),
    ],
)
def test_a_list_decided_under_other_settings_is_refused(project, sent, file, before, after):
    kept = (project / file).read_text()
    assert before in kept
    (project / file).write_text(kept.replace(before, after, 1))
    done = called_in(project, "winback", "campaign", "--name", "over", "--campaigns", "data/over")
    (project / file).write_text(kept)
    assert done.returncode == 3
    assert "decided under other settings" in done.stderr
    assert not (project / "data/over/over").exists()


def test_a_list_older_than_the_features_is_refused(project, sent):
    """As after a run that failed while it trained."""
    listed = project / "data/recommendations.parquet"
    kept = listed.read_bytes()
    rows = pd.read_parquet(listed)
    rows.assign(as_of=rows["as_of"] - pd.Timedelta(days=31)).to_parquet(listed, index=False)
    done = called_in(project, "winback", "campaign", "--name", "other")
    listed.write_bytes(kept)
    assert done.returncode == 3
    assert "data/recommendations.parquet: older than the features; run winback run" in done.stderr


def test_campaigns_of_another_source_are_not_this_ones(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "spring")
    with log_files(tmp_path, "kumar") as own, log_files(tmp_path, "hillstrom") as others:
        assert own == {"spring": tmp_path / "spring/log.parquet"}
        assert others == {}


@pytest.mark.filterwarnings("ignore")  # of MLflow's libraries
def test_campaigns_live_in_an_object_store_as_they_do_here(project, folder, store):
    there = ["--campaigns", str(store)]
    done = called_in(project, "winback", "campaign", "--name", "spring", *there)
    assert done.returncode == 0, done.stderr
    assert f"{store}/spring/send.parquet" in done.stdout
    with local_copy(below(store, "spring"), "seen") as copy:
        for name in ("log.parquet", "send.parquet", "funnel.csv", "send-discount.csv"):
            assert (copy / name).read_bytes() == (folder / name).read_bytes()
    again = called_in(project, "winback", "campaign", "--name", "spring", *there)
    assert again.returncode == 0
    assert "is this campaign already" in again.stderr
    other = called_in(project, "winback", "campaign", "--name", "spring2", *there)
    assert other.returncode == 3
    assert f"in another campaign {len(pd.read_parquet(folder / 'log.parquet')):,}" in other.stderr
    assert "campaign spring:" in called_in(project, "winback", "history", *there).stdout
    assert not [*(project / "data").glob("copy-of-*")]


@pytest.mark.parametrize("name", ["../out", "", ".hidden", "a/b"])
def test_a_name_that_is_no_folder_is_refused(project, name):
    done = called_in(project, "winback", "campaign", "--name", name or " ")
    assert done.returncode == 3
    assert "cannot name a folder" in done.stderr


def test_an_erased_customer_is_in_no_file_of_a_campaign(project, folder, tmp_path):
    copy = tmp_path / "project"
    shutil.copytree(project, copy, symlinks=True)
    customer = int(pd.read_parquet(folder / "send.parquet")["customer_id"].iloc[3])
    done = called_in(copy, "winback", "erase", "--customer", str(customer))
    assert done.returncode == 0, done.stderr
    there = copy / "data/campaigns/spring"
    for file in (*there.glob("*.parquet"), *there.glob("send-*.csv")):
        read = pd.read_parquet if file.suffix == ".parquet" else pd.read_csv
        rows = read(file)
        assert len(rows)
        assert customer not in rows["customer_id"].tolist()

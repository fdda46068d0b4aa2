"""A source whose experiment goes on in campaigns: their logs and what came of them are read out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, winback

from winback.models.decision.draws import Draws, draw, offer_probabilities
from winback.pipelines.fingerprint import hash_raw
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.storage.places import replace_folder
from winback.pipelines.storage.shared_files import below

SOURCE = """
name: mail
title: An e-mail experiment and a campaign
as_of: 2024-06-01
tables:
  customers: {query: "select distinct customer_id from read_parquet('people.parquet')"}
  attributes: {query: "select customer_id, age from read_parquet('people.parquet')"}
  offers: {query: "select * from read_parquet('offers.parquet')"}
experiment:
  control: none
  offers:
    mail: {contact_cost: 1}
    gift: {contact_cost: 1, cost_on_acceptance: 10}
campaigns:
  folder: campaigns
  responses: {query: "select * from read_parquet('responses.parquet')"}
"""
RATES = {"none": 0.1, "mail": 0.2, "gift": 0.4}


@pytest.fixture
def sent_before(tmp_path):
    """An experiment on 3,000 customers, and the log and responses of a campaign to 6,000 others."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"customer_id": np.arange(9_000), "age": rng.integers(20, 80, 9_000)})
    tested = people.head(3_000)
    offer = rng.choice(["none", "mail", "gift"], len(tested))
    offers = pd.DataFrame(
        {
            "customer_id": tested["customer_id"],
            "offered_at": pd.Timestamp("2023-06-01"),
            "offer": offer,
            "returned": rng.random(len(tested)) < pd.Series(offer).map(RATES),
        }
    )
    names, chosen = ("none", "mail", "gift"), np.where(people["age"].iloc[3_000:] > 50, 2, 1)
    draws = Draws(0.1, 0.3, "campaign", ("mail", "gift"))
    ids = people["customer_id"].iloc[3_000:].reset_index(drop=True)
    held, explored = draw(draws, ids)
    sent = np.where(held.astype(bool), 0, np.where(explored >= 0, explored + 1, chosen))
    log = pd.DataFrame(
        {
            "customer_id": ids,
            "campaign": "first",
            "offered_at": pd.Timestamp("2024-01-01"),
            "chosen": np.array(names)[chosen],
            "offer": np.array(names)[sent],
            "propensity": offer_probabilities(draws, chosen, names)[np.arange(len(ids)), sent],
            "every_offer_open": True,
        }
    )
    answer = log[["customer_id", "campaign"]].assign(
        returned=rng.random(len(log)) < log["offer"].map(RATES)
    )
    people.to_parquet(tmp_path / "people.parquet", index=False)
    offers.to_parquet(tmp_path / "offers.parquet", index=False)
    answer.to_parquet(tmp_path / "responses.parquet", index=False)
    with replace_folder(tmp_path / "campaigns/first") as new:
        log.to_parquet(new.path / "log.parquet", index=False)
        new.extra["source"] = "mail"
    (tmp_path / "mail.yaml").write_text(SOURCE)
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    return log


def test_a_source_reads_the_logs_of_its_campaigns(sent_before, tmp_path, capsys):
    assert winback(tmp_path, "readout", "--source", "mail.yaml", "--out", "found") == 0
    assert "6,000 customers for whom an offer was chosen" in capsys.readouterr().out
    for file, rows in (("effects.csv", 3_000), ("explored/effects.csv", 6_000)):
        effects = pd.read_csv(tmp_path / "found" / file)
        gift = effects[(effects["arm"] == "gift") & ~effects["adjusted"]].iloc[0]
        assert abs(gift["estimate"] - 0.3) < 4 * gift["se"]
        facts = json.loads((tmp_path / "found" / file).with_name("readout.json").read_text())
        assert facts["rows"] == rows


def test_a_source_reads_its_campaigns_from_an_object_store(sent_before, store, capsys):
    source = Path("mail.yaml")
    hashed = hash_raw(load_source(source))
    with replace_folder(below(store, "first")) as new:
        shutil.copy("campaigns/first/log.parquet", new.path)
        new.extra["source"] = "mail"
    shutil.rmtree("campaigns")
    source.write_text(source.read_text().replace("folder: campaigns", f"folder: {store}"))
    assert hash_raw(load_source(source)) == hashed
    assert winback(Path(), "readout", "--source", "mail.yaml") == 0
    assert "6,000 customers for whom an offer was chosen" in capsys.readouterr().out
    source.write_text(source.read_text().replace("s3://", "ftp://"))
    assert winback(Path(), "readout", "--source", "mail.yaml") == 3
    assert "campaigns.folder: ftp:// is not supported" in capsys.readouterr().err


def test_a_campaign_that_logged_wrong_chances_is_refused(sent_before, tmp_path, capsys):
    with replace_folder(tmp_path / "campaigns/first") as new:
        wrong = sent_before.assign(propensity=sent_before["propensity"].clip(upper=0.4))
        wrong.to_parquet(new.path / "log.parquet", index=False)
        new.extra["source"] = "mail"
    assert winback(tmp_path, "readout", "--source", "mail.yaml") == 4
    assert "propensities" in capsys.readouterr().err


def test_without_orders_or_responses_a_campaign_cannot_be_read(sent_before, tmp_path, capsys):
    text = (tmp_path / "mail.yaml").read_text()
    (tmp_path / "mail.yaml").write_text(text[: text.index("  responses:")])
    assert winback(tmp_path, "readout", "--source", "mail.yaml") == 3
    assert "no table says which customers returned" in capsys.readouterr().err


def of_csv(folder, responses):
    """The source reads its responses from a CSV."""
    responses.to_csv(folder / "responses.csv", index=False)
    source = folder / "mail.yaml"
    source.write_text(
        source.read_text().replace("read_parquet('responses.parquet')", "'responses.csv'")
    )


def test_responses_that_cannot_be_read_are_one_error_and_what_stood_stays(
    sent_before, tmp_path, capsys
):
    (tmp_path / "params.yaml").write_text(
        (tmp_path / "params.yaml").read_text().replace("sources/kumar.yaml", "mail.yaml")
    )
    command = ("ingest", "--tables", "tables", "--truth", "truth")
    assert winback(tmp_path, *command) == 0
    before = (tmp_path / "tables/offers.parquet").read_bytes()
    answers = pd.read_parquet(tmp_path / "responses.parquet")
    value = np.where(answers.index % 2, "12.50", "12,50")
    of_csv(tmp_path, answers.assign(value=value, returned_at="2024-02-01"))
    capsys.readouterr()
    assert winback(tmp_path, *command) == 3
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert (
        "[WB111] campaigns.responses: column 'value' must be a number (money), found text such as "
        "'12,50' in 3,000 rows (rows 1, 3, 5, 7, 9 and more; hashed ids " in told
    )
    assert (tmp_path / "tables/offers.parquet").read_bytes() == before


def test_responses_of_pandas_with_a_zone_and_nanoseconds_are_read_as_utc(sent_before, tmp_path):
    answers = pd.read_parquet(tmp_path / "responses.parquet").query("returned")
    moment = pd.Timestamp("2024-02-01 00:30", tz="Europe/Berlin")
    zoned = pd.Series(moment, answers.index).astype("datetime64[ns, Europe/Berlin]")
    answers.drop(columns="returned").assign(returned_at=zoned).to_parquet(
        tmp_path / "responses.parquet", index=False
    )
    (tmp_path / "params.yaml").write_text(
        (tmp_path / "params.yaml").read_text().replace("sources/kumar.yaml", "mail.yaml")
    )
    assert winback(tmp_path, "ingest", "--tables", "tables", "--truth", "truth") == 0
    offers = pd.read_parquet(tmp_path / "tables/offers.parquet")
    found = offers["returned_at"].dropna()
    assert len(found) == len(answers)
    assert found.unique().tolist() == [pd.Timestamp("2024-01-31 23:30")]


def test_a_campaign_with_a_date_for_a_name_is_read_from_a_csv(sent_before, tmp_path, capsys):
    with replace_folder(tmp_path / "campaigns/first") as new:
        sent_before.assign(campaign="2024-01-01").to_parquet(new.path / "log.parquet", index=False)
        new.extra["source"] = "mail"
    answers = pd.read_parquet(tmp_path / "responses.parquet").assign(campaign="2024-01-01")
    of_csv(tmp_path, answers)
    assert winback(tmp_path, "readout", "--source", "mail.yaml") == 0
    output = capsys.readouterr()
    assert "are of no customer" not in output.err
    assert output.out.startswith("Honest campaign. The chosen offers brought +")
    assert "\n2024-01-01  " in output.out

"""The lists of a campaign: one CSV per offer, whatever the offers are called."""

import pandas as pd

from winback.pipelines.storage.atomic import replace_folder
from winback.pipelines.tables.campaign_files import contacted_since, write_offer_lists

OFFERS = ["mail", "10%", "10$", "Скидка", "Звонок", "10%", "gift.2-a_b"]


def lists_of(folder, offers):
    """The CSVs that are written for customers 0, 1, 2, ... by their names."""
    folder.mkdir()
    sheet = pd.DataFrame({"customer_id": range(len(offers)), "offer": offers})
    sheet.to_parquet(folder / "send.parquet", index=False)
    write_offer_lists(folder)
    return {file.name: pd.read_csv(file) for file in folder.glob("send-*.csv")}


def test_offers_that_differ_in_replaced_characters_alone_have_lists_of_their_own(tmp_path):
    lists = lists_of(tmp_path / "all", OFFERS)
    by_offer = {rows["offer"].iloc[0]: rows for rows in lists.values()}
    assert len(lists) == len(by_offer) == 6
    for offer, rows in by_offer.items():
        assert rows["offer"].unique().tolist() == [offer]
        assert [OFFERS[customer] for customer in rows["customer_id"]] == [offer] * len(rows)
    assert sum(map(len, lists.values())) == len(OFFERS)


def test_the_name_of_a_list_depends_on_its_offer_alone(tmp_path):
    lists = lists_of(tmp_path / "all", OFFERS)
    assert {"send-mail.csv", "send-gift.2-a_b.csv"} < {*lists}
    (alone,) = lists_of(tmp_path / "alone", ["10%"])
    assert lists[alone]["offer"].unique().tolist() == ["10%"]


def test_whom_a_campaign_contacted_is_known_by_numbers_and_by_texts(tmp_path):
    """Ids that were numbers when a campaign was drawn may be texts today."""
    for name, ids in (("first", [1, 2]), ("second", ["2", "a"])):
        with replace_folder(tmp_path / name) as new:
            log = pd.DataFrame({"customer_id": ids, "offered_at": pd.Timestamp("2024-05-01")})
            log.to_parquet(new.path / "log.parquet", index=False)
            new.extra["source"] = "shop"
    since = pd.Timestamp("2024-04-01")
    assert sorted(contacted_since(tmp_path, "shop", since)) == ["1", "2", "a"]
    assert list(contacted_since(tmp_path, "another", since)) == []

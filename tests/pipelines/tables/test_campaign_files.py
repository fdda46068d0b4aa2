"""The lists of a campaign: one CSV per offer, whatever the offers are called."""

import pandas as pd

from winback.pipelines.tables.campaign_files import write_offer_lists

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

"""Rows that a model has not learned from: customers kept apart, as long as they are the same."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.held_out import held_out, kept_apart
from winback.models.evaluation.unseen import remember_offers, remember_share, unseen

APART = [16, 27]  # of customers 0 to 40 at a share of 0.1, in every version


def offers(customers=500):
    rows = pd.DataFrame({"customer_id": np.arange(customers), "offer": "gift"})
    return rows.assign(as_of=pd.Timestamp("2020-01-01"))


def apart(rows, share=0.1):
    return kept_apart(rows["customer_id"], share=share)


def test_the_customers_kept_apart_never_change():
    """Models of earlier years were trained without these; another hash would grade them on rows
    that they have seen."""
    rows = offers(41)
    assert rows["customer_id"][apart(rows)].tolist() == APART
    assert (kept_apart(rows["customer_id"].astype(str), share=0.1) == apart(rows)).all()


def test_a_smaller_share_is_part_of_a_larger_one_and_no_seed_picks_the_same():
    rows = offers(20_000)
    assert not (apart(rows, 0.1) & ~apart(rows, 0.2)).any()
    assert apart(rows, 0.2).mean() == pytest.approx(0.2, abs=0.01)
    for seed in range(3):
        both = apart(rows, 0.2) & held_out(rows["customer_id"], share=0.2, seed=seed)
        assert both.mean() == pytest.approx(0.04, abs=0.005)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nobody_or_everybody_cannot_be_kept_apart(share):
    with pytest.raises(ValueError, match=r"kept_apart must lie between 0 and 1"):
        kept_apart(pd.Series([1, 2]), share=share)


def test_customers_kept_apart_stay_unseen_when_rows_are_reordered_or_added():
    rows = offers()
    memory = remember_offers(rows, share=0.1)
    expected = apart(rows)
    assert (unseen(memory, rows) == expected).all()
    assert (unseen(memory, rows[::-1]) == expected[::-1]).all()
    more = offers(700).iloc[500:].assign(as_of=pd.Timestamp("2020-09-01"))
    assert (unseen(memory, pd.concat([rows, more]))[:500] == expected).all()


def test_snapshots_of_other_dates_are_unseen_for_the_same_customers():
    rows = offers().drop(columns="offer").assign(as_of=pd.Timestamp("2031-01-01"))
    assert (unseen(remember_share(0.1), rows) == apart(rows)).all()


def test_customers_erased_since_do_not_make_the_others_unknown():
    rows = offers()
    memory = remember_offers(rows, share=0.1)
    left = rows[rows["customer_id"] % 20 != 0]
    assert (unseen(memory, left) == apart(left)).all()


@pytest.mark.parametrize(
    "other",
    [
        lambda rows: rows.assign(customer_id=np.random.default_rng(0).permutation(500)),
        lambda rows: rows.assign(customer_id=rows["customer_id"] + 1_000),
        lambda rows: rows.iloc[250:],
        lambda rows: rows.assign(as_of=rows["as_of"] - pd.Timedelta(days=1)),
    ],
    ids=["shuffled", "renumbered", "half of them", "another moment"],
)
def test_other_customers_than_those_of_the_training_are_refused(other):
    rows = offers().assign(offer=lambda rows: ["gift", "call"] * (len(rows) // 2))
    memory = remember_offers(rows, share=0.1)
    with pytest.raises(ValueError, match=r"only \d+ of 200 sampled rows of its training are among"):
        unseen(memory, other(rows))


def test_rows_without_a_group_are_told_apart_too():
    rows = offers().assign(group_id=pd.Series(["home"] * 2, index=[3, 4], dtype="str"))
    memory = remember_offers(rows, share=0.1)
    assert len(set(memory["keys"])) == 200
    others = rows.assign(customer_id=rows["customer_id"] + 1_000)
    with pytest.raises(ValueError, match="only 0 of 200 sampled rows of its training are among"):
        unseen(memory, others)


@pytest.mark.parametrize("memory", [{"from": "2020-01-01"}, {"share": 0.4, "seed": 1, "keys": []}])
def test_the_memory_of_an_earlier_version_is_refused(memory):
    with pytest.raises(ValueError, match="an earlier version of winback trained it"):
        unseen(memory, offers())

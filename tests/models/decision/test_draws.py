"""What chance decides: the same everywhere, by the logged probabilities, drawn anew by a key."""

import numpy as np
import pandas as pd
import pytest

from winback.models.decision.draws import Draws, draw, offer_probabilities

IDS = pd.Series(np.arange(20_000))
OFFERS = ("discount", "upgrade")
PINNED = ([True] * 4 + [False] * 4, [1, 1, -1, -1, -1, -1, -1, 1])


def draws(holdout=0.1, exploring=0.2, key="key", offers=OFFERS):
    return Draws(holdout, exploring, key, offers)


def test_about_the_shares_are_drawn_independently_and_another_key_draws_others():
    held, explored = draw(draws(key="2026-01-01 1"), IDS)
    later, _ = draw(draws(key="2026-02-01 1"), IDS)
    held, later = held.astype(bool), later.astype(bool)
    assert held.mean() == pytest.approx(0.1, abs=0.01)
    assert later[held].mean() == pytest.approx(0.1, abs=0.03)
    assert np.bincount(explored + 1) / len(IDS) == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert (explored[held] >= 0).mean() == pytest.approx(0.2, abs=0.03)


def test_no_share_draws_nobody():
    held, explored = draw(draws(0.0, 0.0), IDS)
    assert not held.any()
    assert (explored == -1).all()
    assert (draw(draws(offers=()), IDS)[1] == -1).all()


def test_a_customer_is_drawn_alike_alone_shuffled_and_however_the_id_is_typed():
    held, explored = draw(draws(0.3), IDS)
    for row in range(100):
        alone = draw(draws(0.3), IDS[[row]])
        assert (alone[0][0], alone[1][0]) == (held[row], explored[row])
    for typed in (IDS[:100].astype("str"), IDS[:100].astype(float), IDS[:100].astype(object)):
        assert draw(draws(0.3), typed)[0].tolist() == held[:100].tolist()


def test_the_draw_is_that_of_every_machine():
    held, explored = draw(draws(0.5, 0.5), pd.Series(list("abcdefgh")))
    assert (held.tolist(), explored.tolist()) == PINNED


def test_without_an_id_nobody_knows():
    held, explored = draw(draws(0.5), pd.Series([None, np.nan]))
    assert held.tolist() == [None, None]
    assert explored.tolist() == [-1, -1]


def test_probabilities_add_to_one_and_are_those_of_the_draw():
    names = ("none", *OFFERS)
    chosen = np.resize([0, 1, 2], len(IDS))
    table = offer_probabilities(draws(), chosen, names)
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    np.testing.assert_allclose(table[:3], [[1, 0, 0], [0.1, 0.81, 0.09], [0.1, 0.09, 0.81]])
    alone = offer_probabilities(draws(offers=("upgrade",)), chosen, names)
    np.testing.assert_allclose(alone[:3], [[1, 0, 0], [0.1, 0.72, 0.18], [0.1, 0, 0.9]])


@pytest.mark.parametrize("name", ["holdout", "exploring"])
def test_a_share_of_one_is_refused(name):
    with pytest.raises(ValueError, match=r"_share must lie in \[0, 1\), found 1.0"):
        draws(**{name: 1.0})

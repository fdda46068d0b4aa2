"""The holdout: random, the same everywhere, and drawn anew by another key."""

import numpy as np
import pandas as pd
import pytest

from winback.models.decision.holdout import Holdout, in_holdout

IDS = pd.Series(np.arange(20_000))


def test_about_the_share_is_held_out_and_another_key_draws_others():
    first, later = (
        in_holdout(Holdout(0.1, key), IDS).astype(bool) for key in ("2026-01-01 1", "2026-02-01 1")
    )
    assert first.mean() == pytest.approx(0.1, abs=0.01)
    assert later[first].mean() == pytest.approx(0.1, abs=0.03)
    assert not in_holdout(Holdout(0.0, "key"), IDS).any()


def test_a_customer_is_drawn_alike_alone_shuffled_and_however_the_id_is_typed():
    holdout = Holdout(0.3, "key")
    expected = in_holdout(holdout, IDS)[:100].tolist()
    assert [in_holdout(holdout, IDS[[row]])[0] for row in range(100)] == expected
    for typed in (IDS[:100].astype("str"), IDS[:100].astype(float), IDS[:100].astype(object)):
        assert in_holdout(holdout, typed).tolist() == expected


def test_the_draw_is_that_of_every_machine():
    assert in_holdout(Holdout(0.5, "key"), pd.Series(["a", "b", "c", "d"])).tolist() == PINNED


def test_without_an_id_nobody_knows():
    assert in_holdout(Holdout(0.5, "key"), pd.Series([None, np.nan])).tolist() == [None, None]


def test_a_share_of_one_is_refused():
    with pytest.raises(ValueError, match=r"holdout_share must lie in \[0, 1\)"):
        Holdout(1.0, "key")


PINNED = [True, False, True, False]

"""Where each method stands over all worlds, as the benchmarks count it."""

import pandas as pd
import pytest
from zoo import kept_word, standing


def world(ours, peer, *, share=(0.8, 0.6), seconds=(2.0, 8.0)):
    """Three seeds of a world by what ours and a peer earn in each; nothing else is compared."""
    rows = [
        {"seed": seed, "method": method, "value": value, "gain over none": part, "fit s": fit}
        for seed, values in enumerate(zip(ours, peer, strict=True))
        for method, value, part, fit in zip(
            ("winback", "peer"), values, share, seconds, strict=True
        )
    ]
    return pd.DataFrame(rows)


def test_worlds_are_counted_and_shares_are_of_those_where_there_is_something_to_gain():
    frames = {
        "surely": world([1.0, 1.1, 1.2], [0.5, 0.6, 0.7]),
        "barely": world([1.0, 1.0, 1.0], [0.5, 1.2, 0.9], share=(0.4, 0.4)),
        "same": world([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], share=(None, None)),
        "worse": world([0.2, 0.3, 0.4], [0.3, 0.5, 0.5], share=(0.3, 0.9), seconds=(2.0, 4.0)),
        "without the peer": world([1.0], [1.0]).query("method == 'winback'"),
    }
    found = standing(frames).loc["peer"]
    assert found[["first", "level", "behind"]].tolist() == [2, 1, 1]
    assert found[["surely first", "surely behind"]].tolist() == [1, 0]
    assert found["our share"] == pytest.approx((0.8 + 0.4 + 0.3) / 3)
    assert found["share"] == pytest.approx((0.6 + 0.4 + 0.9) / 3)
    assert found["more"] == pytest.approx(found["our share"] - found["share"])
    assert found["+-"] == pytest.approx(0.0, abs=1e-12)  # the same in every seed
    assert found["cpu"] == pytest.approx((0.25**3 * 0.5) ** 0.25)
    assert found["cpu in all"] == pytest.approx(8.0 / 28.0)


def told(slopes, spreads):
    """What ours tells in each table: the same slope overall and in both fifths."""
    rows = pd.DataFrame({"method": "winback", "slope": slopes, "spread": spreads})
    return rows.assign(**{"low fifth": rows["slope"], "high fifth": rows["slope"]})


def test_tables_count_by_the_effects_that_they_tell():
    found = kept_word(told([1.0, 2.0, float("nan")], [0.04, 0.01, 0.0]))
    assert found["tables"] == 2
    assert found["slope"] == pytest.approx((0.04 * 1 + 0.01 * 2) / 0.05)
    assert found["low fifth"] == found["high fifth"] == pytest.approx((0.2 * 1 + 0.1 * 2) / 0.3)
    assert pd.isna(found["slope +-"])


def test_the_reach_of_equal_tables_is_that_of_their_mean():
    found = kept_word(told([0.8, 1.0, 1.2, 1.4], [0.02] * 4))
    error = pd.Series([0.8, 1.0, 1.2, 1.4]).sem()
    assert found["slope"] == pytest.approx(1.1)
    assert found["high fifth +-"] == pytest.approx(3.182 * error, rel=1e-3)


def test_nothing_told_is_no_word_to_keep():
    found = kept_word(told([float("nan")], [0.0]))
    assert found["tables"] == 0
    assert pd.isna(found["slope"])

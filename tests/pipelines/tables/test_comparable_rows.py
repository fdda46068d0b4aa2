"""Rows of experiments and campaigns in which every offer had a chance."""

import numpy as np
import pandas as pd

from winback.pipelines.tables.comparable_rows import comparable


def rows(**columns):
    names = ["none", "mail", "mail", "gift"]
    plain = {"offer": names, "propensity": np.nan, "chosen": None, "every_offer_open": None}
    return pd.DataFrame({**plain, **columns})


def test_an_experiment_without_propensities_has_the_shares_of_its_offers():
    assert comparable(rows(), "none")["propensity"].tolist() == [0.25, 0.5, 0.5, 0.25]


def test_propensities_that_are_known_stay():
    known = [0.2, 0.4, 0.4, 0.4]
    assert comparable(rows(propensity=known), "none")["propensity"].tolist() == known

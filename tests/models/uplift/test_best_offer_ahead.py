import numpy as np

from winback.models.uplift.best_offer_ahead import keep_ahead, learn_leads


def test_the_best_offer_stays_ahead_and_orders_stay():
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(500, 3)) * 0.1 + [0.05, 0.1, 0.02]
    leads = learn_leads(effects, 2)
    kept = keep_ahead(effects, 2, leads)
    values = np.column_stack([np.zeros(500), kept])
    assert (values.argmax(axis=1) == 2).all()
    for other in (0, 1, 3):
        before = np.column_stack([np.zeros(500), effects])
        lead = before[:, 2] - before[:, other]
        after = values[:, 2] - values[:, other]
        assert (np.argsort(lead) == np.argsort(after)).all()
        wide = lead > 0.1 * lead.mean()
        np.testing.assert_allclose(after[wide], lead[wide])


def test_where_nothing_is_best_no_offer_looks_better():
    rng = np.random.default_rng(1)
    effects = rng.normal(size=(200, 2)) * 0.1 - 0.02
    kept = keep_ahead(effects, 0, learn_leads(effects, 0))
    assert (kept < 0).all()


def test_equal_offers_do_no_harm():
    effects = np.zeros((10, 2))
    assert np.abs(keep_ahead(effects, 0, learn_leads(effects, 0))).max() < 1e-9

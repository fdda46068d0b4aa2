"""What a source's tables allow: an experiment is left out where none of its offers stands."""

import pytest

from winback.features.churn_definition import ChurnDefinition
from winback.models.offers import Offer
from winback.pipelines.featurize import left_out
from winback.pipelines.settings.experiments import Experiment, Retention
from winback.pipelines.settings.sources import Source, TableQuery

TABLES = ("customers", "orders", "offers")
SOURCE = Source(
    name="shop",
    title="A shop",
    churn=ChurnDefinition(horizon_days=30),
    tables={name: TableQuery(f"from '{name}.parquet'") for name in TABLES},
    experiment=Experiment({"mail": Offer()}),
    retention=Retention({"rebate": Offer()}, control="nothing"),
)


@pytest.mark.parametrize(
    ("offers", "skipped"),
    [
        ({"none", "mail", "nothing", "rebate"}, set()),
        ({"none", "mail"}, {"retention"}),
        ({"nothing", "rebate"}, {"winback"}),
        (set(), {"winback", "retention"}),
    ],
)
def test_an_experiment_without_offers_is_left_out_by_itself(offers, skipped):
    assert {*left_out(SOURCE, TABLES, offers=offers)} == skipped

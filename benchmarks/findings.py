"""What the published study found, asked of models fitted on simulated data.

    python benchmarks/findings.py [--quick]

Every seed is another telecom of sources/kumar.yaml: simulated, featurized and fitted as by the
stages, on all customers of its experiment. The answers are changes of what the fitted formula
says when one group of facts is given the values that it has among other customers (a partial
dependence of the group as a whole); the truth file is never opened. Who states both price and
service is left out of the experiment, so no model of it knows about them: how many came back on
their own is counted among those who left after the last offer. A second world of each seed has an
organic return of .30. Means and 95% intervals over seeds, and the share of seeds in which
the finding stands. One thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show
from scipy.stats import t as student

from winback.models.formula.formula import Formula, encode, evaluate
from winback.models.regression.additive import basis_matrix, learn_basis
from winback.models.returns.returns import fit_winback
from winback.models.returns.second_lifetime import SecondLifetime, fit_second_lifetime
from winback.pipelines.featurize import featurize
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.experiments import Experiment
from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.storage.stage_outputs import feature_names

ROOT = Path(__file__).resolve().parent.parent
REASON = "departure_reason"
STRESS = 0.30  # organic return of the second world
OWN_RETURN_DAYS = 180
ASKED_ROWS = 6_000
PUBLISHED = {  # profit and the returns above no offer follow from the published figures
    "acceptance: bundle > discount > upgrade": "0.47 > 0.45 > 0.41",
    "ROI: upgrade > discount > bundle": "7.93 > 6.68 > 3.02",
    "profit per contact: discount > upgrade > bundle": "361 > 341 > 319",
}


@dataclass(frozen=True)
class Fitted:
    """Models of one experiment, and the rows they were fitted on."""

    rows: pd.DataFrame
    features: list[str]
    experiment: Experiment
    formula: Formula
    lifetime: SecondLifetime

    def months(self, rows: pd.DataFrame) -> pd.Series:
        """Expected months of the second lifetime within the horizon, mean over rows, by offer."""
        returned = self.rows[self.rows["returned"] == 1]
        columns = self.formula.columns
        basis = learn_basis(columns, encode(columns, returned))
        months = self.lifetime.months(basis_matrix(basis, encode(columns, rows)))
        return pd.Series(months.mean(axis=0), index=self.experiment.offer_names)


def world(scale: float, seed: int, organic_return: float, folder: Path) -> Fitted:
    """Simulate a telecom and fit the win-back models on all customers of its experiment."""
    simulated = {"scale": scale, "organic_return": organic_return}
    source = load_source(ROOT / "sources" / "kumar.yaml", overrides=simulated)
    params = read_params(ROOT / "params.yaml")
    machine = replace(params.machine, threads=1)
    ingest(source, folder / "tables", truth=folder / "truth", threads=1, seed=seed)
    settings = replace(params.featurize, snapshots=1)
    featurize(source, settings, machine, tables=folder / "tables", out=folder / "features")
    rows = pd.read_parquet(folder / "features" / "winback.parquet")
    assert source.experiment is not None
    return fit(rows, feature_names(folder / "features", rows), source.experiment, seed)


def fit(rows: pd.DataFrame, features: list[str], experiment: Experiment, seed: int) -> Fitted:
    """The win-back models, and the hazard of the second lifetime."""
    days, ended = rows["second_days"].to_numpy(), rows["second_ended"].to_numpy()
    model = fit_winback(
        rows[features],
        offer=rows["offer"].to_numpy(),
        propensity=rows["propensity"].to_numpy(),
        returned=rows["returned"].to_numpy(),
        value=rows["value"].to_numpy(),
        second_days=days,
        second_ended=ended,
        offers=experiment.offers,
        control=experiment.control,
        horizon_days=experiment.value_horizon_days,
        seed=seed,
    )
    back = (rows["returned"] == 1).to_numpy() & np.isfinite(days)
    columns, names = model.formula.columns, experiment.offer_names
    matrix = encode(columns, rows[back])
    lifetime = fit_second_lifetime(
        basis_matrix(learn_basis(columns, matrix), matrix),
        pd.Index(names).get_indexer(pd.Index(rows.loc[back, "offer"])),
        len(names),
        days=days[back],
        ended=ended[back],
        horizon_days=experiment.value_horizon_days,
    )
    return Fitted(rows, features, experiment, model.formula, lifetime)


def mean_return(model: Fitted, rows: pd.DataFrame) -> float:
    """What the formula says of returning, mean over rows and offers."""
    outputs = [f"return_probability_{name}" for name in model.experiment.offer_names]
    return float(evaluate(model.formula, rows)[outputs].to_numpy().mean())


def given(
    rows: pd.DataFrame, donors: pd.DataFrame, columns: Sequence[str], seed: int
) -> pd.DataFrame:
    """Rows with the values that some columns have, together, in a draw of other rows."""
    drawn = donors[list(columns)].sample(len(rows), replace=True, random_state=seed)
    return rows.assign(**{name: drawn[name].to_numpy() for name in columns})


def answers(model: Fitted, seed: int) -> dict[str, tuple[float, ...]]:
    """Numbers of each finding; it stands where they fall."""
    rows = model.rows
    asked = rows.sample(min(len(rows), ASKED_ROWS), random_state=seed)
    referrals = [name for name in model.features if "referral" in name]
    complaints = [name for name in model.features if "complain" in name or "to_resolve" in name]
    complained = rows["complaints_total"] > 0
    mended = complained & (rows["complaints_open"] == 0)

    def returns(donors: pd.Series, columns: Sequence[str]) -> float:
        return mean_return(model, given(asked, rows[donors], columns, seed))

    without, resolved, unresolved = (
        returns(donors, complaints) for donors in (~complained, mended, complained & ~mended)
    )
    price, service = (asked.assign(**{REASON: name}) for name in ("price", "service"))
    offers = [name for name in model.experiment.offer_names if name != model.experiment.control]
    back = rows[rows["returned"] == 1]
    months = model.months(back)[["upgrade", "discount", "bundle"]]
    by_reason = [
        model.months(back.assign(**{REASON: name}))[offers].mean() for name in ("price", "service")
    ]
    return {
        "referrals raise return": (
            returns(rows["referrals_made"] > 0, referrals),
            returns(rows["referrals_made"] == 0, referrals),
        ),
        "complaints lower return": (without, unresolved),
        "resolution raises return": (resolved, unresolved),
        "resolution never more than offsets": (without, resolved),
        "return: price > service": (mean_return(model, price), mean_return(model, service)),
        "second months: upgrade > discount > bundle": tuple(months),
        "second months: price > service": tuple(by_reason),
    }


def by_offer(model: Fitted) -> pd.DataFrame:
    """Each offer sent to everybody, by forecast: the objectives that pick among them."""
    experiment, outputs = model.experiment, evaluate(model.formula, model.rows)
    control = experiment.control
    nothing = outputs[f"expected_profit_{control}"].mean()
    found = {}
    for name, offer in experiment.offers.items():
        chance, value = outputs[f"return_probability_{name}"], outputs[f"value_{name}"]
        profit = outputs[f"expected_profit_{name}"].mean()
        found[name] = {
            "acceptance": chance.mean(),
            "ROI": float(
                (chance * (value - offer.cost_on_acceptance)).sum()
                / (chance * offer.cost_on_acceptance).sum()
            ),
            "profit per contact": profit,
            "ROI above no offer": (profit - nothing) / offer.expected_cost(chance.mean()),
        }
    return pd.DataFrame(found)


def own_returns(tables: Path) -> pd.Series:
    """Share by stated reason that came back alone, of those who left after the last offer."""
    left = pd.read_parquet(tables / "departures.parquet").sort_values("departed_at")
    left = left.drop_duplicates("customer_id").set_index("customer_id")
    offers = pd.read_parquet(tables / "offers.parquet", columns=["offered_at"])
    orders = pd.read_parquet(tables / "orders.parquet", columns=["customer_id", "ordered_at"])
    last = orders.groupby("customer_id")["ordered_at"].max().reindex(left.index)
    known = orders["ordered_at"].max() - pd.Timedelta(days=OWN_RETURN_DAYS)
    asked = left["departed_at"].between(offers["offered_at"].max(), known)
    return (last > left["departed_at"])[asked].groupby(left.loc[asked, "reason"]).mean()


def repeat(scale: float, seed: int) -> dict[str, tuple[float, ...]]:
    """All findings of one seed."""
    with tempfile.TemporaryDirectory() as folder:
        usual = world(scale, seed, 0.15, Path(folder) / "usual")
        alone = own_returns(Path(folder) / "usual" / "tables")
        stress = world(scale, seed, STRESS, Path(folder) / "stress")
    found, offers = answers(usual, seed), by_offer(usual)
    found["own returns: price > service > both (counted)"] = tuple(
        alone[["price", "service", "both"]]
    )
    incremental, stressed = (
        table.loc["ROI above no offer"] for table in (offers, by_offer(stress))
    )
    order = {
        "acceptance": ["bundle", "discount", "upgrade"],
        "ROI": ["upgrade", "discount", "bundle"],
        "profit per contact": ["discount", "upgrade", "bundle"],
    }
    for objective, names in order.items():
        title = f"{objective}: {' > '.join(names)}"
        found[title] = tuple(offers.loc[objective, names])
    found["ROI above no offer, organic .15: upgrade > discount"] = tuple(
        incremental[["upgrade", "discount"]]
    )
    found["ROI above no offer, organic .30: discount > upgrade"] = tuple(
        stressed[["discount", "upgrade"]]
    )
    return found


def stands(numbers: Sequence[float]) -> bool:
    """Whether each number is below the one before."""
    return all(one > other for one, other in pairwise(numbers))


def table(found: Sequence[dict[str, tuple[float, ...]]]) -> pd.DataFrame:
    """One row per finding: the numbers, their differences with intervals, the share that agrees."""
    seeds = len(found)
    reach = student.ppf(0.975, seeds - 1) / np.sqrt(seeds) if seeds > 1 else np.nan
    records = []
    for finding in found[0]:
        numbers = np.array([one[finding] for one in found])
        gaps = numbers[:, :-1] - numbers[:, 1:]
        records.append(
            {
                "finding": finding,
                "published": PUBLISHED.get(finding, "order alone"),
                "found": " > ".join(f"{mean:.4g}" for mean in numbers.mean(axis=0)),
                "differences": ", ".join(
                    f"{gap.mean():+.3g} ±{reach * gap.std(ddof=min(1, seeds - 1)):.2g}"
                    for gap in gaps.T
                ),
                "seeds that agree": f"{np.mean([stands(row) for row in numbers]):.0%}",
            }
        )
    return pd.DataFrame(records)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds of a small world")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    scale, seeds = (0.2, 2) if arguments.quick else (1.0, arguments.seeds)
    warnings.simplefilter("ignore")
    found = [repeat(scale, seed) for seed in range(seeds)]
    title = f"published findings in the fitted models, {seeds} seeds, scale {scale:g}"
    show(title, table(found))


if __name__ == "__main__":
    main()

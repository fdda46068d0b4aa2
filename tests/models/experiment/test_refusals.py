"""Broken experiments and rows that cannot be are refused, with the reason."""

import numpy as np
import pandas as pd
import pytest
from experiments import OFFERS, experiment, policy_experiment, read

from winback.models.experiment.readout import ExperimentError, SampleRatioMismatch


def broken(name):
    frame, _ = experiment(n=6000)
    if name == "lost arm":
        return frame[frame["offer"] != "bundle"]
    if name == "contamination":
        frame.loc[frame.index[:5], "customer_id"] = frame["customer_id"].to_numpy()[-5:]
        frame.loc[frame.index[:5], "offer"] = "bundle"
        frame.loc[frame.index[-5:], "offer"] = "upgrade"
    if name == "timing":
        frame["returned_at"] = frame["as_of"] + pd.Timedelta(days=3)
        frame.loc[8, "returned_at"] = frame["as_of"][8]
        frame.loc[7, "returned_at"] = frame["as_of"][7] - pd.Timedelta(seconds=1)
    if name == "propensities":
        frame["propensity"] = 0.2
    if name == "no outcome":
        frame["returned"] = 0
    if name == "small arm":
        bundle = frame.index[frame["offer"] == "bundle"]
        return frame.drop(bundle[12:])
    if name == "sample ratio":
        bundle = frame.index[frame["offer"] == "bundle"]
        return frame.drop(bundle[: len(bundle) // 5])
    return frame


@pytest.mark.parametrize(
    ("check", "planned", "message"),
    [
        ("lost arm", dict.fromkeys(OFFERS, 0.25), r"no row is left of \['bundle'\]"),
        ("propensities", None, r"must be positive and sum to 1, found .* sum 0\.8"),
        ("no outcome", None, "none of 6,000 customers returned, in no arm; see that outcomes are"),
        ("contamination", None, "5 customers stand in more than one arm"),
        ("timing", None, "1 customers returned before their offer was sent"),
        ("small arm", None, r"'bundle': 12\} rows, at least 100 are needed"),
        ("sample ratio", None, r"is below 0\.001; rows found/expected: bundle 1188/1426"),
    ],
)
def test_a_broken_experiment_is_refused_by_name(check, planned, message):
    with pytest.raises(ExperimentError, match=message) as refusal:
        read(broken(check), planned=planned)
    assert refusal.value.check == check
    assert isinstance(refusal.value, SampleRatioMismatch) == (check == "sample ratio")


def test_a_lost_arm_without_a_plan_shows_in_the_sum_of_the_chances():
    with pytest.raises(ExperimentError, match=r"sum 0\.75; .* find the arm that is missing"):
        read(broken("lost arm"))


def test_a_lost_arm_of_an_experiment_with_a_policy_is_missed_by_name_or_by_the_chances():
    frame, _ = policy_experiment(n=20_000)
    frame = frame[frame["arm"] != "bundle"]
    with pytest.raises(ExperimentError, match=r"no row is left of \['bundle'\]"):
        read(frame, expected=["bundle", "discount", "tailored", "upgrade"])
    with pytest.raises(
        ExperimentError,
        match=r"adds to 20\d+ for 16\d+ rows.* not be sent every offer",
    ):
        read(frame)


def test_the_alarm_can_be_overridden_and_is_then_noted():
    result = read(broken("sample ratio"), allow_mismatch=True)
    assert result.sample_ratio.mismatch
    assert any(note.startswith("overridden: sample ratio") for note in result.notes)


def test_chances_of_policies_that_do_not_sum_to_one_are_refused():
    frame, _ = policy_experiment(n=20_000)
    flat = frame.assign(propensity=0.2)
    with pytest.raises(ExperimentError, match="logged chances are not those with which") as refusal:
        read(flat)
    assert refusal.value.check == "propensities"
    halved = frame.drop(columns="arm").assign(propensity=frame["propensity"] * 0.8)
    with pytest.raises(ExperimentError, match=r"1 / propensity is 4\.998 for 4 offers"):
        read(halved)


@pytest.mark.parametrize(
    ("change", "check", "message"),
    [
        ({"returned": np.nan}, "missing values", r"\{'returned': 6000\} rows are empty"),
        ({"returned": 2}, "columns", "'returned' must be 0 or 1"),
        ({"cost": 5.0}, "contamination", "rows of the control 'none' have an offer cost"),
        ({"propensity": 0.0}, "propensities", r"\(0, 1\], found 6000 rows outside"),
        ({"propensity": np.nan}, "propensities", r"\(0, 1\], found 6000 rows outside"),
        ({"propensity": 0.001}, "overlap", r"lowest propensity is 0\.001"),
        ({"offer": "gift"}, "lost arm", r"no row is left of \['none'\], found \['gift'\]"),
    ],
)
def test_rows_that_cannot_be_are_refused(change, check, message):
    frame, _ = experiment(n=6000)
    with pytest.raises(ExperimentError, match=message) as refusal:
        read(frame.assign(**change))
    assert refusal.value.check == check


def test_a_plan_that_contradicts_the_logged_chances_is_refused():
    frame, _ = experiment()
    with pytest.raises(ExperimentError, match=r"'none': \(0\.2, 0\.25\)") as refusal:
        read(frame.assign(propensity=0.2), planned=dict.fromkeys(OFFERS, 0.25))
    assert refusal.value.check == "propensities"


def test_missing_columns_and_unplanned_arms_are_named():
    frame, covariates = experiment()
    with pytest.raises(ExperimentError, match=r"\['offer'\] are missing"):
        read(frame.drop(columns="offer"))
    with pytest.raises(ExperimentError, match=r"\['upgrade'\] are not in the plan"):
        read(frame, planned={"none": 0.4, "bundle": 0.3, "discount": 0.3})
    with pytest.raises(ExperimentError, match="and as_of, when the offer was sent, is missing"):
        read(frame.drop(columns="as_of").assign(returned_at=pd.Timestamp("2024-01-02")))
    control = frame.assign(offer="none", propensity=1.0, cost=0.0)
    for rows in (control, control.assign(arm=np.where(frame["value"] > 0, "policy", "none"))):
        with pytest.raises(ExperimentError, match="all rows are of the control 'none', which"):
            read(rows)
    with pytest.raises(ValueError, match="covariates: must have 4000 rows, found 10"):
        read(frame, covariates=covariates.head(10))
    with pytest.raises(ValueError, match=r"outcomes: \['value', 'profit'\] must be finite"):
        read(frame.assign(value=np.inf))

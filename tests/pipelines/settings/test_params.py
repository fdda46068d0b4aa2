from pathlib import Path

import pytest

from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.yaml_dataclasses import SettingsError

SHIPPED = (Path(__file__).parents[3] / "params.yaml").read_text()


def write(folder, before, after):
    assert before in SHIPPED
    path = folder / "params.yaml"
    path.write_text(SHIPPED.replace(before, after, 1))
    return path


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("threads: 2", "threads: 0", r"machine\.threads: must be at least 1, found a whole number"),
        ("3GB", "much", r"machine\.memory_limit: must match .*, found text: 'much'"),
        ("  - 30\n", "  - 0\n", r"featurize\.windows_days\[0\]: must be at least 1"),
        ("rounds: 300", "rounds: -1", r"train_churn\.rounds: must be at least 1"),
        ("learning_rate: 0.04", "learning_rate: 0", r"learning_rate: must be above 0"),
        ("test_share: 0.33", "test_share: 1", r"train_winback\.test_share: must be below 1"),
        ("level: 0.95", "level: 95", r"evaluate\.level: must be below 1"),
        ("holdout_share: 0.1", "holdout_share: 1.0", r"recommend\.holdout_share: must be below 1"),
        ("budget: ", "budget: -5", r"recommend\.budget: must be at least 0"),
        ("capacity: {}", "capacity: {a: -1}", r"recommend\.capacity\.a: must be at least 0"),
        ("high_risk: 0.1", "high_risk: 10", r"recommend\.high_risk: must be at most 1"),
    ],
)
def test_a_value_out_of_its_range_is_named_with_its_section(tmp_path, before, after, message):
    with pytest.raises(SettingsError, match=message):
        read_params(write(tmp_path, before, after))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "learning_rate: 0.04",
            "lerning_rate: 0.04",
            "params.yaml: train_churn: unknown key 'lerning_rate'; did you mean 'learning_rate'?",
        ),
        ("train_churn:", "trian_churn:", "params.yaml: unknown key 'trian_churn'; did you mean"),
        ("hopeless_reasons", "hopless_reason", "recommend: unknown key 'hopless_reason'; did you"),
    ],
)
def test_a_misspelled_key_is_one_mistake_with_its_section(tmp_path, before, after, message):
    with pytest.raises(SettingsError) as caught:
        read_params(write(tmp_path, before, after))
    (problem,) = caught.value.problems
    assert message in problem


def test_a_key_that_is_missing_beside_one_like_no_other_is_named_too(tmp_path):
    with pytest.raises(SettingsError) as caught:
        read_params(write(tmp_path, "learning_rate: 0.04", "eta: 0.04"))
    assert caught.value.problems == (
        "params.yaml: train_churn: key 'learning_rate' is missing; it must be a number",
        "params.yaml: train_churn: unknown key 'eta'; allowed: learning_rate, num_leaves, rounds, "
        "least_rows_in_leaf, largest_sample, tuned_rows, tuning_fits, calibrate_share, test_share, "
        "seed",
    )

"""`winback tune`: a table of what was tried, and the line that reruns with the best."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

from winback.pipelines.settings.params import Machine, read_params
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.storage.atomic import replace_folder
from winback.pipelines.tune import tune

PARAMS = read_params(ROOT / "params.yaml").train_churn
SOURCE = load_source(ROOT / "sources/kumar.yaml")
MACHINE = Machine(threads=1, memory_limit="1GB")


def test_it_ends_with_the_command_of_the_best_settings(finished):
    said = tune(SOURCE, PARAMS, MACHINE, features=finished / "data/features", fits=2)
    assert len(re.findall(r"^ *0\.\d+ ", said, re.MULTILINE)) == 2
    rates = [float(rate) for rate in re.findall(r"^ *(0\.\d+) ", said, re.MULTILINE)]
    chosen = re.search(r"dvc exp run -S train_churn.learning_rate=([\d.]+) -S train_churn", said)
    assert float(chosen[1]) == rates[0]


def test_without_churn_there_is_nothing_to_tune(tmp_path: Path):
    with replace_folder(tmp_path / "features") as new:
        new.extra["skipped"] = {"churn": "no departures"}
    with pytest.raises(ValueError, match="no churn model to tune: no departures"):
        tune(SOURCE, PARAMS, MACHINE, features=tmp_path / "features", fits=1)

"""The same bytes of every artifact: another number of threads, and rows in another order."""

import hashlib
import shlex
import shutil

import pandas as pd
import pytest
from conftest import ROOT

from winback.pipelines.cli import main
from winback.pipelines.settings.yaml_dataclasses import read_yaml
from winback.pipelines.storage.atomic import replace_folder

STAGES = ("train_churn", "train_winback", "recommend", "evaluate", "report")
WRITTEN = ("artifacts", "reports", "data/recommendations.parquet")
SHUFFLED = ("churn", "winback", "leavers", "current")


def hashes(project):
    """SHA-256 of every file that the stages after featurize wrote, by its path."""
    files = [file for name in WRITTEN for file in [project / name, *(project / name).rglob("*")]]
    return {
        file.relative_to(project).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }


def shuffle(features):
    """Rewrite the frames of a feature folder in another order of rows, its manifest too."""
    with replace_folder(features.with_name("shuffled")) as new:
        shutil.copytree(features, new.path, dirs_exist_ok=True)
        new.extra.update(
            {k: v for k, v in read_yaml(features / "_manifest.json").items() if k != "files"}
        )
        for name in SHUFFLED:
            rows = pd.read_parquet(features / f"{name}.parquet").sample(frac=1, random_state=7)
            rows.to_parquet(new.path / f"{name}.parquet", index=False)
    shutil.rmtree(features)
    features.with_name("shuffled").rename(features)


@pytest.fixture(scope="module")
def again(finished, tmp_path_factory):
    """The finished project, run again from its features: shuffled, and on one thread."""
    project = shutil.copytree(finished, tmp_path_factory.mktemp("bytes") / "project")
    for name in WRITTEN[:2]:
        shutil.rmtree(project / name)
    shuffle(project / "data/features")
    params = (project / "params.yaml").read_text()
    assert "threads: 2" in params
    (project / "params.yaml").write_text(params.replace("threads: 2", "threads: 1"))
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for stage in STAGES:
            assert main(shlex.split(stages[stage]["cmd"])[1:]) == 0
    return hashes(project)


def test_one_thread_and_shuffled_rows_write_the_same_bytes(finished, again):
    before = hashes(finished)
    assert len(before) > 20
    assert again.keys() == before.keys()
    assert [name for name in before if again[name] != before[name]] == []

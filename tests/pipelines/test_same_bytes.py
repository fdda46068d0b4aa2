"""The same bytes of every artifact: another number of threads, and rows in another order."""

import hashlib
import shlex
import shutil
import time

import pandas as pd
import pytest
from bar import full
from conftest import ROOT, run_in

from winback.pipelines.cli import main
from winback.pipelines.settings.yaml_dataclasses import read_yaml
from winback.pipelines.storage.atomic import replace_folder

STAGES = ("train_churn", "train_winback", "recommend", "evaluate", "report")
WRITTEN = ("artifacts", "reports", "data/recommendations.parquet")
EARLIER, EARLIER_WRITTEN = ("ingest", "featurize"), ("data/tables", "data/features")
SHUFFLED = ("churn", "winback", "leavers", "current")


def hashes(project, written=WRITTEN):
    """SHA-256 of every file that the stages after featurize wrote, by its path."""
    files = [file for name in written for file in [project / name, *(project / name).rglob("*")]]
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


@pytest.mark.bar(
    "another number of threads, order of rows, zone, language, hash seed or clock: other bytes"
)
def test_one_thread_and_shuffled_rows_write_the_same_bytes(finished, again):
    before = hashes(finished)
    assert len(before) > 20
    assert again.keys() == before.keys()
    assert [name for name in before if again[name] != before[name]] == []


@pytest.mark.bar("other threads, rows, time zone, language, hash seed or clock: other bytes")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_another_zone_language_hash_seed_and_a_clock_set_back_write_the_same_bytes(
    finished, tmp_path, figure
):
    project = shutil.copytree(finished, tmp_path / "project")
    library = tmp_path / "clock.so"
    made = run_in(ROOT, "cc", "-shared", "-fPIC", "-o", library, "benchmarks/faults.c", "-ldl")
    assert made.returncode == 0, made.stderr
    elsewhere = {
        "TZ": "Pacific/Chatham",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "77",
        "LD_PRELOAD": str(library),
        "WINBACK_CLOCK": str(20 * 365 * 86_400),
    }
    told = run_in(
        project, "python", "-c", "import time; print(time.localtime().tm_year)", **elsewhere
    )
    assert int(told.stdout) < time.localtime().tm_year - 15
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    tried = full((*EARLIER, *STAGES), ("recommend",))
    before = hashes(project, (*WRITTEN, *EARLIER_WRITTEN))
    for stage in tried:
        done = run_in(project, *shlex.split(stages[stage]["cmd"]), **elsewhere)
        assert done.returncode == 0, done.stderr
    after = hashes(project, (*WRITTEN, *EARLIER_WRITTEN))
    differ = [name for name in before if after.get(name) != before[name]]
    figure(tries=len(tried), found=len(differ), about=differ)

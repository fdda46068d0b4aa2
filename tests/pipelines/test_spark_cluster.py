"""The line of docs/spark.md on a master and two workers, its driver and an executor killed."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import spark as benchmark
from bar import FULL
from conftest import ROOT
from spark_cluster import running_cluster

from winback.pipelines.storage.atomic import verify

pytest.importorskip("pyspark", reason="no pyspark: install the extra 'spark'")
if shutil.which("java") is None:
    pytest.skip("no java, which Spark runs on", allow_module_level=True)
pytestmark = pytest.mark.slow


@pytest.fixture
def installed(tmp_path):
    """A Python like that of a machine of the cluster: the wheel, and its dependencies."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path / "dist")]
    shipped = tmp_path / "source"
    named = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in named.stdout.splitlines():
        if name.startswith(
            ("features/", "models/", "pipelines/", "pyproject", "README", "LICENSE")
        ):
            (shipped / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, shipped / name)
    subprocess.run([*pip, *build, str(shipped)], check=True)
    folder = tmp_path / "machine"
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (dependencies,) = Path(sys.prefix).glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    return folder / "bin/python"


@pytest.mark.skipif(not FULL, reason="takes minutes; make bar runs it")
@pytest.mark.bar("a cluster of Spark that loses its driver or an executor: other scores, or half")
def test_the_documented_line_scores_on_a_cluster_that_is_killed(
    finished, installed, tmp_path, monkeypatch
):
    monkeypatch.chdir(finished)
    monkeypatch.setattr(benchmark, "PYTHON", installed)
    tables, local = tmp_path / "tables", tmp_path / "local"
    shutil.copytree(finished / "data/tables", tables)
    program = Path(sys.executable).with_name("winback")
    scored = benchmark.scoring(tables, local)
    assert subprocess.run([program, *scored], capture_output=True).returncode == 0
    with running_cluster(tmp_path / "cluster", memory="512m") as cluster:
        found = benchmark.killed(cluster, tables, local, part_rows=500)
    assert found == {
        "the driver was killed: the old scores stand": True,
        "the next run went on with the parts": True,
        "an executor was killed: exit code": 0,
        "the scores are equal": True,
    }, (tmp_path / "killed.log").read_text()[-4_000:]
    assert verify(tmp_path / "killed")["engine"] == "spark"
    assert len([*(tmp_path / "cluster").rglob("stderr")]) > 2  # of the executors


def test_the_benchmark_makes_tables_of_any_size(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished)
    small = benchmark.make_tables(tmp_path / "tables", 20_000)
    assert abs(small - 20_000) < 5_000
    manifest = verify(tmp_path / "tables")
    assert manifest["files"]["customers.parquet"]["rows"] == small
    assert manifest["as_of"]

"""What several tests share: the repository, and one small finished run of the whole pipeline."""

import contextlib
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import postgres as postgresql
import pytest
import s3_server
from bar import figure, mark_checks, pytest_configure
from filelock import FileLock

from winback.pipelines.cli import main
from winback.pipelines.storage.places import place

__all__ = ["figure", "pytest_configure"]  # of pytest, from bar

# As the command line does: threads that spin while they wait cost minutes on a shared machine. It
# has to be set before LightGBM is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The small tables of the tests do not repay what a Java machine spends on optimizing.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
# Bytecode is written, as on any machine, whatever the shell says that runs the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
ROOT = Path(__file__).parents[1]
SMALL = {  # a small world, trained quickly
    "source: sources/kumar.yaml": "source: sources/small.yaml",
    "snapshots: 8": "snapshots: 5",
    "rounds: 300": "rounds: 40",
    "least_experiment_rows: 100": "least_experiment_rows: 5",
    "kept_apart: 0.1": "kept_apart: 0.2",
}


def run_in(folder, *command, **environment):
    """Run a command in a folder with this environment's winback and dvc first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    quiet = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "MLFLOW_TRACKING_URI")}
    return subprocess.run(
        command,
        cwd=folder,
        env={**quiet, "PATH": path, "PYTHONHASHSEED": "0", **environment},
        capture_output=True,
        text=True,
    )


def winback(folder, *command):
    """Exit code of a command of winback in a folder, with the registry of that folder.

    It runs in this process: a new one would spend seconds on imports.
    """
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        return main(command)


def small_project(folder):
    """The repository as a stranger has it, with a small world as its source."""
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    source = (ROOT / "sources/kumar.yaml").read_text()
    (folder / "sources/small.yaml").write_text(source.replace("scale: 1.0", "scale: 0.05"))
    params = (folder / "params.yaml").read_text()
    for old, new in SMALL.items():
        assert old in params, f"params.yaml no longer says '{old}'"
        params = params.replace(old, new)
    (folder / "params.yaml").write_text(params)
    for command in (
        "init -q",
        "config user.name tests",  # the machine may not know who commits
        "config user.email tests@localhost",
        "add -A",
        "commit -qm start",
    ):
        assert run_in(folder, "git", *command.split()).returncode == 0
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A small project in which `winback run` has succeeded; `output.txt` is what it printed.

    Each process of the tests has a copy of its own; the run itself happens once.
    """
    own = tmp_path_factory.mktemp("finished") / "project"
    base = tmp_path_factory.getbasetemp()
    built = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "built"
    with FileLock(f"{built}.lock"):
        if not (built / "output.txt").exists():
            shutil.rmtree(built, ignore_errors=True)
            done = run_in(small_project(built), "winback", "run")
            assert done.returncode == 0, done.stdout + done.stderr
            (built / "output.txt").write_text(done.stdout)
    shutil.copytree(built, own, symlinks=True)
    return own


@pytest.fixture(scope="session")
def registered(finished, tmp_path_factory):
    """The finished project with its models registered as version 1.

    A copy of the folder has a registry of its own, which keeps the files of version 1 here.
    """
    folder = tmp_path_factory.mktemp("registered") / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("cache"))
    with warnings.catch_warnings(action="ignore"):  # what mlflow warns of is not ours to mend
        assert winback(folder, "register") == 0
    return folder


@pytest.fixture(scope="session")
def postgres():
    """The uri of a PostgreSQL of our own."""
    if postgresql.programs() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with postgresql.running() as uri:
        yield uri


@pytest.fixture(scope="session")
def store_server(tmp_path_factory):
    """The environment that leads to an S3 server of our own."""
    with s3_server.running_s3(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture
def store(store_server, tmp_path, monkeypatch):
    """The address of an empty folder of the store, in an empty project."""
    for name, value in store_server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return place(f"s3://{s3_server.BUCKET}/{tmp_path.name}")


@contextlib.contextmanager
def local_spark(**environment):
    """A local session of Spark, whose tasks have this environment."""
    sql = pytest.importorskip("pyspark.sql", reason="no pyspark: install the extra 'spark'")
    if shutil.which("java") is None:
        pytest.skip("no java, which Spark runs on")
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    for name, value in environment.items():
        builder = builder.config(f"spark.executorEnv.{name}", value)
    session = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def spark():
    """A session for all tests of a module; commands take the one that is there."""
    with local_spark() as session:
        yield session


SLOW_FIXTURES = {"finished", "postgres", "spark", "store_server"}  # and all that are made of them


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Whatever asks for a finished run or a server is slow, whether it says so or not."""
    mark_checks(items)
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    waiting = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}
    # Files are dealt out in this order: the quick ones last, so that no worker ends alone; the
    # slow ones that need no finished run first, so that none waits while another makes it.
    items.sort(key=lambda item: (item.path not in slow, item.path in waiting))

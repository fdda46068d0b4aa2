"""What the docs give a scheduler: the cron line, Airflow's tasks and the container."""

import json
import re
import shlex
import shutil
import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT, run_in, winback

PAGE = (ROOT / "docs/batch.md").read_text()
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def project(registered, tmp_path_factory):
    """A project whose version is champion, with the commands where the docs look for them."""
    folder = tmp_path_factory.mktemp("scheduled") / "project"
    shutil.copytree(registered, folder)
    assert winback(folder, "promote") == 0
    (folder / ".venv").symlink_to(BIN.parent)
    return folder


def called(project, line):
    """Run a line of the docs in the shell, in the project and with its registry."""
    assert "/srv/winback" in line
    line = line.replace("/srv/winback", shlex.quote(str(project)))
    uri = f"sqlite:///{project}/mlflow.db"
    return run_in(project, "bash", "-c", line, MLFLOW_TRACKING_URI=uri)


def test_the_line_of_cron_logs_one_object_and_mails_what_stops_it(project, tmp_path):
    (line,) = re.findall(r"^0 3 \* \* \*  (.*)", PAGE, re.MULTILINE)
    log = tmp_path / "winback.jsonl"
    mailed = tmp_path / "mailed"
    line = line.replace("/var/log/winback.jsonl", str(log))
    line = line.replace("mail -s", f"echo > {mailed}")
    done = called(project, line)
    assert done.returncode == 0, done.stderr
    assert json.loads(log.read_text())["rows_out"] > 0
    assert not mailed.exists()
    hidden = (project / "data/features").rename(project / "hidden")
    called(project, line)
    hidden.rename(project / "data/features")
    assert json.loads(log.read_text().splitlines()[1])["exit_code"] != 0
    assert "winback score stopped" in mailed.read_text()


def test_the_tasks_of_airflow_run_one_after_the_other(project, monkeypatch):
    """The lines are run with stand-ins for the two classes that they import."""
    (source,) = re.findall(r"```py\n(from airflow.*?)```", PAGE, re.DOTALL)
    tasks, order = {}, []

    class Operator:
        def __init__(self, **task):
            self.task_id = task["task_id"]
            tasks[self.task_id] = task["bash_command"].replace("{{ ds }}", "2026-01-31")

        def __rshift__(self, later):
            order.append((self.task_id, later.task_id))

    class Dag:
        def __init__(self, name, **settings):
            assert name == "winback"
            assert len(settings["schedule"].split()) == 5

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    for name, content in {
        "airflow.providers.standard.operators.bash": {"BashOperator": Operator},
        "airflow.sdk": {"DAG": Dag},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    exec(source, {})
    assert order == [("score", "monitor")]
    said = {}
    for task, command in tasks.items():
        done = called(project, command)
        assert done.returncode == 0, done.stderr
        said[task] = json.loads(done.stdout)
    assert said["score"]["rows_out"] > 0
    assert (project / "data/monthly/2026-01-31/_manifest.json").exists()


def test_the_container_copies_what_is_there_and_calls_what_exists():
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert [keyword for keyword, _ in steps if keyword == "FROM"] == ["FROM"]
    said = dict(steps)
    python = re.fullmatch(r"python:(3\.\d+)-slim", said["FROM"])[1]
    assert f"Python :: {python}" in (ROOT / "pyproject.toml").read_text()
    copied = {name for key, rest in steps if key == "COPY" for name in rest.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    needed = {"pyproject.toml", "Makefile", "requirements.lock", "requirements-build.lock"}
    assert copied >= {*needed, "features", "models", "pipelines", "README.md", "LICENSE"}
    for keyword, rest in steps:
        if keyword == "RUN" and rest.startswith("make "):
            assert run_in(ROOT, "make", "-n", *rest.split()[1:]).returncode == 0
    assert json.loads(said["ENTRYPOINT"]) == ["winback"]
    assert "/winback/.venv/bin" in said["ENV"]
    trust = f"git config --system --add safe.directory {said['WORKDIR']}"  # another user's
    assert ["RUN", trust] in steps
    assert (BIN / "winback").exists()

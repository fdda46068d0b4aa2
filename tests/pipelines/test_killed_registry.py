"""The registry after a kill at a commit of its database: the next command finishes the work."""

import contextlib
import json
import shutil

import mlflow
import pytest
import sqlalchemy
from mlflow import MlflowClient
from sqlalchemy.engine import Engine

from winback.pipelines.cli import main
from winback.pipelines.registry.aliases import HISTORY, moves
from winback.pipelines.storage.atomic import MANIFEST, write_manifest

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.slow,
    pytest.mark.bar("register, promote and rollback killed at commits: work lost or done twice"),
]


class Killed(BaseException):
    """Not an error that anybody may handle: what a process sees of SIGKILL is nothing."""


@contextlib.contextmanager
def killed_at(moment):
    """From the commit of that number on (0 for never) no commit reaches the database."""
    commits = []

    def commit(connection):
        commits.append(1)
        if moment and len(commits) >= moment:
            raise Killed

    sqlalchemy.event.listen(Engine, "commit", commit)
    try:
        yield commits
    finally:
        sqlalchemy.event.remove(Engine, "commit", commit)
        mlflow.tracking.fluent._active_run_stack.set([])


def winback(folder, *command, moment=0):
    """How many commits a command made; None if it was killed at the commit of that number."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        with killed_at(moment) as commits:
            try:
                assert main(command) == 0
            except Killed:
                return None
    return len(commits)


def state(folder):
    """Aliases, the content and card of each version, and how each run ended."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    model = client.get_registered_model("winback")
    versions = client.search_model_versions("name = 'winback'")
    runs = client.search_runs([client.get_experiment_by_name("winback").experiment_id])
    return {
        "aliases": {alias: str(at) for alias, at in model.aliases.items()},
        "tags": [name for name in model.tags if not name.startswith(HISTORY)],
        "moves": [(move.command, move.aliases) for move in moves(client)],
        "cards": {str(each.version): bool(each.description) for each in versions},
        "files": all("winback.files" in each.tags for each in versions),
        "runs": sorted(run.info.status for run in runs),
    }


def change(folder, number):
    """The run of a folder with another decision: other customers are held out."""
    decided = folder / "artifacts/decision"
    decision = json.loads((decided / "decision.json").read_text())
    decision["draws"]["key"] = f"key {number}"
    (decided / "decision.json").write_text(json.dumps(decision))
    write_manifest(decided, json.loads((decided / MANIFEST).read_text()))


@pytest.fixture(scope="module")
def changed(registered, tmp_path_factory):
    """Version 1 registered, and models of other content in the run."""
    folder = tmp_path_factory.mktemp("killed") / "project"
    shutil.copytree(registered, folder)
    change(folder, 2)
    return folder


@pytest.fixture(scope="module")
def promoted(changed, tmp_path_factory):
    """Version 2 is champion, version 1 the previous one."""
    folder = tmp_path_factory.mktemp("promoted") / "project"
    shutil.copytree(changed, folder)
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    client.set_registered_model_alias("winback", "champion", "1")
    winback(folder, "register")
    winback(folder, "promote")
    assert state(folder)["aliases"] == {"challenger": "2", "champion": "2", "previous": "1"}
    return folder


def fresh(original, tmp_path):
    """A copy under a name of its own: MLflow keeps connections by the path of the database."""
    return shutil.copytree(original, tmp_path / f"project{len(list(tmp_path.iterdir()))}")


def test_a_registration_killed_at_any_commit_is_finished_by_the_next(changed, tmp_path):
    folder = fresh(changed, tmp_path)
    commits = winback(folder, "register")
    whole = state(folder)
    assert whole["aliases"] == {"challenger": "2"}
    assert whole["cards"] == {"1": True, "2": True}
    assert whole["files"]
    assert commits > 10
    for moment in [1, commits // 2, *range(commits - 3, commits + 1)]:
        folder = fresh(changed, tmp_path)
        assert winback(folder, "register", moment=moment) is None
        winback(folder, "register")
        now = state(folder)
        assert now | {"runs": []} == whole | {"runs": []}, moment
        assert "RUNNING" not in now["runs"], moment
        assert now["runs"].count("FINISHED") == 2, moment


def test_the_versions_of_a_finished_registration_keep_their_aliases(promoted, tmp_path):
    folder = fresh(promoted, tmp_path)
    before = state(folder)
    change(folder, 2)
    winback(folder, "register")
    assert state(folder) == before


def test_a_rollback_killed_at_any_commit_is_finished_and_not_undone(promoted, tmp_path):
    folder = fresh(promoted, tmp_path)
    commits = winback(folder, "promote", "--rollback")
    back = {"challenger": "2", "champion": "1", "previous": "2"}
    assert state(folder)["aliases"] == back
    finished = 0
    for moment in range(1, commits + 1):
        folder = fresh(promoted, tmp_path)
        assert winback(folder, "promote", "--rollback", moment=moment) is None
        if (state(folder)["aliases"], state(folder)["tags"]) == (back, []):
            continue  # all was done before the kill: another rollback is another rollback
        winback(folder, "promote", "--rollback")
        assert (state(folder)["aliases"], state(folder)["tags"]) == (back, []), moment
        finished += 1
    assert finished >= 4


def test_a_promotion_killed_between_its_aliases_is_finished_by_the_next_command(promoted, tmp_path):
    folder = fresh(promoted, tmp_path)
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    client.set_registered_model_alias("winback", "champion", "1")
    client.delete_registered_model_alias("winback", "previous")
    commits = winback(folder, "promote")
    crowned = state(folder)
    for moved, moment in enumerate(range(commits - 3, commits + 1), len(crowned["moves"]) + 1):
        client.set_registered_model_alias("winback", "champion", "1")
        client.delete_registered_model_alias("winback", "previous")
        assert winback(folder, "promote", moment=moment) is None
        winback(folder, "promote")
        now = state(folder)
        assert now | {"moves": crowned["moves"]} == crowned, moment
        assert len(now["moves"]) == moved, moment

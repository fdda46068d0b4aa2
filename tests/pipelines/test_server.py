"""The registry as teams have it: MLflow's server on a real PostgreSQL, artifacts in a folder."""

import contextlib
import http.server
import json
import re
import shutil
import threading
import time

import mlflow
import pandas as pd
import pytest
from local_servers import free_port, running
from postgres import psql
from servers import PAGE, documented_line

from winback.pipelines.cli import main
from winback.pipelines.job.exit_codes import ModelRefused
from winback.pipelines.registry.opened_model import open_model
from winback.pipelines.storage.atomic import verify

PRIVATE = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
# MLflow's own jobs (scorers of language models) take several processes, which no test asks.
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# In process: each start of mlflow costs seconds. What mlflow warns of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def server(postgres, tmp_path_factory):
    """Folder and address of a server that the line of the docs starts."""
    psql(postgres, "create database mlflow")
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    line = documented_line("mlflow server")
    for old, new in {
        "postgresql://mlflow:secret@db/mlflow": postgres.replace("/postgres", "/mlflow"),
        "/srv/mlflow": str(folder / "artifacts"),
        "5000": port,
    }.items():
        assert line.count(old) == 1
        line = line.replace(old, new)
    address = f"http://127.0.0.1:{port}"
    # One worker answers one test; four would each take seconds to start.
    ping = f"{address}/health"
    with running(f"{line} --workers 1", ping=ping, folder=folder, **PRIVATE, **WITHOUT_JOBS):
        yield folder, address


@pytest.fixture
def told():
    """An address, and what was posted to it."""
    posted = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}/", posted
        listener.shutdown()


def test_register_promote_and_score_through_a_server(server, told, finished, tmp_path, monkeypatch):
    folder, address = server
    listening, posted = told
    (hook,) = re.findall(r"```py\n(.*?create_webhook.*?)```", PAGE.read_text(), re.DOTALL)
    assert hook.count("https://example.com/winback") == 1
    project = shutil.copytree(
        finished, tmp_path / "project", ignore=shutil.ignore_patterns("cache")
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    mlflow.set_tracking_uri(address)  # another test of this process may have set its own
    exec(hook.replace("https://example.com/winback", listening), {})
    given = ("--features", "data/features/current.parquet", "--no-suppressions")
    with contextlib.chdir(project):
        for command in (
            ("register", "--allow-dirty"),
            ("register", "--allow-dirty"),  # the same models make no second version
            ("promote",),
            ("score", *given, "--model", "models:/winback@champion", "--out", "scores"),
            ("score", *given, "--model", "artifacts", "--out", "beside"),
        ):
            assert main(command) == 0
        assert not (project / "mlflow.db").exists()
        assert not list(project.glob("mlartifacts*"))
    until = time.monotonic() + 60  # the server posts on a thread of its own
    while len(posted) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    aliases = [(each["data"]["name"], each["data"]["alias"]) for each in posted]
    assert aliases == [("winback", "challenger"), ("winback", "champion")]
    client = mlflow.MlflowClient(address)
    (version,) = client.search_model_versions("name = 'winback'")
    assert version.tags["winback.gate.churn_auc"].startswith("passed: ")
    assert version.description.startswith("# winback on ")
    scored, beside = (
        pd.read_parquet(project / name / "part-00000.parquet").drop(columns="model_version")
        for name in ("scores", "beside")
    )
    pd.testing.assert_frame_equal(scored, beside, check_exact=True)
    assert verify(project / "scores")["model"]["version"] == "winback/1"
    customers = pd.read_parquet(project / "data/features/current.parquet").head(100)
    answers = mlflow.pyfunc.load_model("models:/winback@champion").predict(customers)
    expected = scored.set_index("customer_id").loc[customers["customer_id"], answers.columns]
    pd.testing.assert_frame_equal(answers, expected.reset_index(drop=True), check_exact=True)
    (formula,) = folder.glob("artifacts/**/models/churn/formula.json")
    formula.write_text(json.dumps(json.loads(formula.read_text())))
    with pytest.raises(ModelRefused, match="files are not those of version 1 at registration"):
        open_model("models:/winback@champion")

"""A thousand people whose id, e-mail and phone are known: where they are found after the whole run.

Tables of rows and the lists for sending have to hold ids, and the report shows those of a few
customers; models, logs, metrics, plots, and all that the registry keeps may hold none.
"""

import contextlib
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from winback.pipelines.cli import main
from winback.pipelines.settings.yaml_dataclasses import read_yaml

PEOPLE, BAD_DATA = 1_000, 3
SECRET = "canary-secret-5b1f"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what mlflow warns of is not ours to mend
    pytest.mark.bar("canary e-mails, phones, ids and secrets in logs, reports, models or registry"),
]


def canaries():
    """Ids that are e-mails, and phones, by person."""
    return pd.DataFrame(
        {
            "customer_id": [f"canary.{n:04d}@people.example" for n in range(PEOPLE)],
            "email": [f"mail.{n:04d}@canary.example" for n in range(PEOPLE)],
            "phone": [f"+44 7700 {900_000 + n}" for n in range(PEOPLE)],
        }
    )


def project(folder, attributes):
    """A project whose source has a thousand canaries and these attributes of theirs."""
    rng = np.random.default_rng(0)
    offer = rng.choice(["none", "gift"], PEOPLE)
    returned = rng.random(PEOPLE) < np.where(offer == "gift", 0.5, 0.2)
    people = canaries().assign(
        offered_at=pd.Timestamp("2024-01-01"),
        offer=offer,
        propensity=0.5,
        returned=returned,
        age=rng.integers(20, 80, PEOPLE),
    )
    people.to_parquet(folder / "people.parquet", index=False)
    read = "from read_parquet('people.parquet')"
    offers = "customer_id, offered_at, offer, propensity, returned"
    queries = {
        "customers": f"select customer_id {read}",
        "attributes": f"select customer_id, {attributes} {read}",
        "offers": f"select {offers} {read}",
    }
    source = {
        "name": "people",
        "title": "People",
        "as_of": "AS_OF",
        "suppressions": "none",
        "tables": {name: {"query": query} for name, query in queries.items()},
        "experiment": {"offers": {"gift": {"contact_cost": 0.01}}},
    }
    (folder / "source.yaml").write_text(json.dumps(source).replace('"AS_OF"', "2024-06-01"))
    params = (ROOT / "params.yaml").read_text().replace("sources/kumar.yaml", "source.yaml")
    (folder / "params.yaml").write_text(params.replace("rounds: 300", "rounds: 20"))
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    return folder


def found_in(text):
    """How many canaries a text or the bytes of a file hold."""
    text = text.encode() if isinstance(text, str) else text
    people = (rb"canary\.\d{4}@people", rb"mail\.\d{4}@canary", rb"7700.?900\d{3}")
    patterns = (*people, SECRET.encode())
    return sum(len(set(re.findall(pattern, text))) for pattern in patterns)


def test_canaries_of_people_and_secrets_stay_in_the_data(tmp_path, monkeypatch, capfd, figure):
    folder = project(tmp_path, "age")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    for command in ("git init -q", "git config user.name t", "git config user.email t@localhost"):
        subprocess.run(command.split(), check=True)
    for stage in read_yaml(ROOT / "dvc.yaml")["stages"].values():
        assert main(stage["cmd"].split()[1:]) == 0, stage["cmd"]
    given = ("--features", "data/features/current.parquet", "--no-suppressions")
    for command in (
        ("register", "--allow-dirty"),
        ("score", *given, "--model", "artifacts"),
        ("campaign", "--name", "spring"),
        ("customer", "nobody.0000@people.example"),
        ("score", *given, "--model", "models:/winback@champion"),
        ("readout",),
        ("status",),
    ):
        main(command)
    said = capfd.readouterr()
    held = {"what was printed": found_in(said.out + said.err)}
    for file in folder.rglob("*"):
        inner = file.relative_to(folder).as_posix()
        is_data = file.suffix == ".parquet" or inner.startswith("data/campaigns/spring/send-")
        if file.is_file() and not is_data and inner != "reports/report.html":
            held[inner] = found_in(file.read_bytes())
    assert {"mlflow.db", "reports/metrics.json", "artifacts/winback/formula.json"} <= {*held}
    assert found_in((folder / "data/recommendations.parquet").read_bytes()) > 0  # it can be found
    page = found_in((folder / "reports/report.html").read_bytes())
    assert page < 100  # the examples of the report
    hits = {name: count for name, count in held.items() if count}
    figure(tries=3 * PEOPLE + 1, found=sum(hits.values()), about=hits)


@pytest.mark.parametrize("attribute", ["email", "phone", "email as contact", "phone as topic"])
def test_personal_data_among_the_attributes_are_refused_unseen(
    tmp_path, monkeypatch, capfd, attribute
):
    folder = project(tmp_path, f"age, {attribute}")
    with contextlib.chdir(folder):
        stages = read_yaml(ROOT / "dvc.yaml")["stages"]
        codes = [main(stages[name]["cmd"].split()[1:]) for name in ("ingest", "featurize")]
    assert BAD_DATA in codes
    said = capfd.readouterr()
    assert found_in(said.out + said.err) == 0

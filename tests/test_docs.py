"""The docs: every command runs, every link leads somewhere, generated pages agree with the code."""

import contextlib
import os
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, run_in, winback
from import_graph import drawn

from winback.features.families.attributes import FORBIDDEN
from winback.pipelines import docs
from winback.pipelines.cli import COMMANDS, main
from winback.pipelines.cli.page import commands_page
from winback.pipelines.source_reference import source_reference

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


READ_IN_ORDER = [
    *(
        "README.md",
        "docs/tutorial.md",
        "docs/own_data.md",
        "docs/scaling.md",
        "docs/experiments.md",
        "docs/registry.md",
        "docs/batch.md",
        "docs/spark.md",
    ),
    *("docs/campaigns.md", "docs/erasing.md", "CONTRIBUTING.md"),
]


def blocks(language):
    """Fenced blocks of a language in the pages with commands, in order."""
    for page in READ_IN_ORDER:
        text = (ROOT / page).read_text()
        yield from re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


COMMAND_LINES = [*dict.fromkeys(line for block in blocks("sh") for line in block.splitlines())]
MAKE = [line for line in COMMAND_LINES if line.startswith("make ")]
DVC = [line for line in COMMAND_LINES if line.startswith("dvc ")]
WINBACK = [line for line in COMMAND_LINES if line.startswith("winback ")]


def test_every_page_with_commands_is_tested():
    with_commands = {page for page in PAGES if "```sh" in page.read_text()}
    assert with_commands <= {ROOT / page for page in READ_IN_ORDER}


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "project"
    shutil.copytree(finished, folder)
    run_in(folder, "git", "add", "dvc.lock", "params.yaml")
    run_in(folder, "git", "commit", "-qm", "x")
    return folder


def test_there_are_commands_to_check():
    assert len(MAKE) >= 4
    assert len(DVC) >= 4
    assert len(WINBACK) >= 7
    assert {*MAKE, *DVC, *WINBACK, ""} >= {*COMMAND_LINES}


@pytest.mark.parametrize("line", MAKE)
def test_make_targets_of_the_docs_exist_and_expand(line):
    done = run_in(ROOT, "make", "-n", *line.split()[1:])
    assert done.returncode == 0, done.stderr


def test_an_experiment_of_the_docs_reruns_what_its_setting_touches_and_compares(project):
    said = {}
    for line in DVC:
        if line == "dvc pull":  # as if in another clone
            shutil.rmtree(project / ".dvc/cache")
            shutil.rmtree(project / "artifacts/churn")
        done = run_in(project, *line.split())
        assert done.returncode == 0, done.stdout + done.stderr
        said[" ".join(line.split()[:3])] = done.stdout
    ran = re.findall(r"Running stage '(\w+)'", said["dvc exp run"])
    assert "train_churn" in ran
    assert not {"ingest", "featurize", "train_winback"} & set(ran)
    assert "policy_gain" in said["dvc exp show"]
    assert "churn.churn.auc" in said["dvc metrics diff"]
    assert (project / "artifacts/churn/formula.json").exists()
    assert "train_churn.learning_rate" in run_in(project, "dvc", "params", "diff").stdout
    for title in ("What a budget buys", "Policies"):
        assert title in (project / "dvc_plots/index.html").read_text()


@pytest.mark.filterwarnings("ignore")  # what mlflow warns of is not ours to mend
@pytest.mark.parametrize("line", WINBACK)
def test_commands_of_the_docs_run(project, line):
    # In the order of the docs, in one project, with the small world in the place of the large one.
    if "--engine spark" in line and not (find_spec("pyspark") and shutil.which("java")):
        pytest.skip("no Spark: install the extra 'spark' and Java")
    line = line.replace("sources/kumar.yaml", "sources/small.yaml")
    line = line.replace("--source kumar", "--source small")
    if line.startswith("winback register"):
        run_in(project, "git", "checkout", "-q", "params.yaml", ".dvc/config")
    assert winback(project, *line.split()[1:]) == 0


def test_experiments_are_compared_by_five_figures_and_no_file(project):
    said = run_in(ROOT, "make", "-n", "experiments").stdout.splitlines()
    (recipe,) = [line.strip() for line in said if "dvc exp show" in line]
    shown = run_in(project, *shlex.split(recipe.removeprefix(".venv/bin/")), "--csv")
    assert shown.returncode == 0, shown.stderr
    columns = shown.stdout.splitlines()[0].split(",")
    assert {"churn_auc", "churn_log_loss", "train_churn.learning_rate"} <= {*columns}
    assert not [name for name in columns if "/" in name or name.startswith("policy.")]


def test_make_run_with_another_source_is_winback_run_with_it(project):
    done = run_in(ROOT, "make", "-n", "run", "SOURCE=sources/hillstrom.yaml")
    assert "winback run --source sources/hillstrom.yaml" in done.stdout


@pytest.mark.filterwarnings("ignore")
def test_the_consumers_lines_run(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    with contextlib.chdir(project):
        # Those of object stores run in scoring/test_stores.py, where there is a store.
        exec("\n".join(lines for lines in blocks("python") if "BUCKET" not in lines), {})


def example_files(folder):
    """Files such as the examples of own_data.md read."""
    rng = np.random.default_rng(0)
    number = np.arange(200)
    day = pd.Timestamp("2024-01-01")
    shop = pd.DataFrame({"id": number, "created": day})
    shop.to_parquet(folder / "customers.parquet", index=False)
    orders = pd.DataFrame({"id": number, "customer": number, "day": day, "total": 9.5})
    orders.to_csv(folder / "orders-1.csv", index=False)
    clients = pd.DataFrame(
        {
            "client": number,
            "age": rng.integers(20, 80, 200),
            "region": rng.choice(["north", "south"], 200),
            "visits": rng.poisson(3, 200),
            "letter": rng.choice(["nothing", "catalogue", "voucher"], 200),
            "bought": rng.random(200) < 0.3,
        }
    )
    clients.assign(spent=clients["bought"] * 20.0).to_csv(folder / "test.csv", index=False)
    members = pd.DataFrame(
        {
            "member": number,
            "status": rng.choice(["gone", "here"], 200),
            "gender": rng.choice(["f", "m"], 200),
            "visits": rng.poisson(3, 200),
            "exit_interview": "too far away",
        }
    )
    members.to_csv(folder / "members.csv", index=False)


@pytest.mark.parametrize("name", ["shop", "letters", "members"])
def test_the_example_sources_read_such_files(name, tmp_path, monkeypatch):
    example = next(block for block in blocks("yaml") if block.startswith(f"name: {name}\n"))
    (tmp_path / "data/raw").mkdir(parents=True)
    example_files(tmp_path / "data/raw")
    (tmp_path / "source.yaml").write_text(example)
    params = (ROOT / "params.yaml").read_text().replace("sources/kumar.yaml", "source.yaml")
    (tmp_path / "params.yaml").write_text(params)
    monkeypatch.chdir(tmp_path)
    assert main(["ingest"]) == 0
    assert main(["featurize"]) == 0
    rows = pd.read_parquet("data/features/current.parquet")
    assert len(rows) == 200
    assert not {"gender", "exit_interview", "cancelled", "status"} & {*rows.columns}


def test_rules_about_columns_are_those_of_the_docs():
    page = (ROOT / "docs/own_data.md").read_text()
    table = page[page.index("| refused as |") :]
    for endings in FORBIDDEN.values():
        for word in endings:
            assert word.rstrip("s") in table or word in ("comments", "notes", "pregnant"), word


def test_every_subcommand_that_a_user_calls_is_in_the_docs():
    pages = "".join((ROOT / page).read_text() for page in READ_IN_ORDER)
    stages = re.findall(r"^  (\w+):", (ROOT / "dvc.yaml").read_text(), re.MULTILINE)
    for command in set(COMMANDS) - set(stages) - {"run"}:
        assert f"winback {command}" in pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_docs_name_are_there(page):
    if page.name == "CHANGELOG.md":
        return
    named = re.findall(
        r"`((?:features|models|pipelines|tests|benchmarks)/[\w/]+\.\w+)`", page.read_text()
    )
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_picture_of_the_folders_is_up_to_date():
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert page == drawn(page), "run: python tests/import_graph.py"


@pytest.mark.parametrize(
    "name",
    ["contract.md", "features.md", "data_card.md", "errors.md", "commands.md", "source_files.md"],
)
def test_generated_pages_are_up_to_date(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = {
        "contract.md": docs.contract_page,
        "features.md": docs.features_page,
        "data_card.md": docs.data_card_page,
        "errors.md": docs.errors_page,
        "commands.md": commands_page,
        "source_files.md": source_reference,
    }[name]
    assert (ROOT / "docs" / name).read_text() == page(), "run: make docs"


def test_files_speak_of_the_product_alone():
    tracked = run_in(ROOT, "git", "ls-files").stdout.split()
    texts = [name for name in tracked if name.endswith((".md", ".yaml", ".toml", ".lock", ".py"))]
    machine = {ROOT, Path.home()} - {Path(os.sep)}
    for name in texts:
        text = (ROOT / name).read_text()
        assert not [place for place in machine if f"{place}{os.sep}" in text], name
        assert not re.search(r"--(extra-)?index-url|--find-links", text) or name.endswith(".py")

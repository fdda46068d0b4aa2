"""The command line: one message and an exit code for a mistake, never a traceback."""

import json
import re
import shutil
from subprocess import CompletedProcess

import pytest
from conftest import ROOT, run_in

from winback.pipelines.cli import COMMANDS, main
from winback.pipelines.job.exit_codes import EXIT_CODES, LOCKED, MODEL, REFUSED, SUPPRESSIONS, USAGE
from winback.pipelines.job.lock import only_one
from winback.pipelines.settings.yaml_dataclasses import read_yaml
from winback.pipelines.storage.default_paths import PATHS


@pytest.fixture
def folder(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "sources", tmp_path / "sources")
    return tmp_path


@pytest.fixture
def project(folder, monkeypatch):
    """Settings and sources alone, in the working directory; no registry but its own."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    return folder


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def called(*arguments):
    """The exit code of a command, wrong usage included."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return ended.code


def setting(old, new):
    return lambda folder: change(folder / "params.yaml", old, new)


def nothing(folder):
    pass


SOURCE_WITH_DATABASE = (
    "name: db\ntitle: A database\ntables:\n  customers:\n    query: select 1 as customer_id\n"
    "    uri: postgresql://somebody:secret@127.0.0.1:9/nothing\n"
)
MISTAKES = {  # what was typed: (what was done to the project, arguments, exit code, words)
    "a mistyped command": (nothing, "raport", USAGE, "no command 'raport'; did you mean 'report'?"),
    "a command of another tool": (nothing, "repro", USAGE, "did you mean 'report'?"),
    "a mistyped option": (nothing, "run --sorce kumar", USAGE, "did you mean '--source'?"),
    "a mistyped option with =": (nothing, "score --asof=2014", USAGE, "did you mean '--as-of'?"),
    "half an option": (nothing, "readout --allow", USAGE, "no option '--allow'"),
    "one argument too many": (nothing, "report now", USAGE, "one argument too many: 'now'"),
    "an option without its value": (nothing, "tune --fits", USAGE, "expected one argument"),
    "text for a number": (nothing, "tune --fits many", USAGE, "invalid int value: 'many'"),
    "no moment": (nothing, "score --as-of yesterday", USAGE, "'yesterday' is no moment"),
    "two lists of rows": (nothing, "score --features a --tables b", USAGE, "not allowed with"),
    "an address for a path": (
        nothing,
        "evaluate --tables s3://bucket/tables",
        USAGE,
        "'s3://bucket/tables' is an address (s3://)",
    ),
    "a store of another kind": (
        nothing,
        "score --out hdfs://host/scores",
        USAGE,
        "hdfs:// is not supported",
    ),
    "a mistyped source": (nothing, "readout --source kumr", REFUSED, "did you mean 'kumar'?"),
    "a source that is not there": (
        nothing,
        "run --source sources/nowhere.yaml",
        REFUSED,
        "--source sources/nowhere.yaml: no such source; allowed: hillstrom, kumar,",
    ),
    "a project that is not there": (
        nothing,
        "status --project nowhere",
        REFUSED,
        "--project nowhere: no such folder",
    ),
    "no project": (
        lambda folder: (folder / "params.yaml").unlink(),
        "run",
        REFUSED,
        "so this is no winback project; go to one, or name it: --project DIR",
    ),
    "a typo in a section": (
        setting("train_churn:", "train_chrun:"),
        "run",
        REFUSED,
        "unknown key 'train_chrun'; did you mean 'train_churn'?",
    ),
    "a typo in a key": (
        setting("learning_rate", "lerning_rate"),
        "run",
        REFUSED,
        "train_churn: unknown key 'lerning_rate'; did you mean 'learning_rate'?",
    ),
    "text for a setting": (
        setting("rounds: 300", "rounds: many"),
        "run",
        REFUSED,
        "train_churn.rounds: must be a whole number, found text: 'many'",
    ),
    "a setting out of range": (
        setting("holdout_share: 0.1", "holdout_share: 1.5"),
        "recommend",
        REFUSED,
        "recommend.holdout_share: must be below 1, found a number: 1.5",
    ),
    "an unknown offer": (
        lambda folder: change(folder / "sources/kumar.yaml", "service: upgrade", "service: gift"),
        "run",
        REFUSED,
        "unknown offer 'gift'",
    ),
    "raw data not there": (
        setting("sources/kumar.yaml", "sources/hillstrom.yaml"),
        "fingerprint",
        REFUSED,
        "set HILLSTROM",
    ),
    "a database that refuses": (
        lambda folder: (
            (folder / "sources/db.yaml").write_text(SOURCE_WITH_DATABASE),
            setting("sources/kumar.yaml", "sources/db.yaml")(folder),
        ),
        "fingerprint",
        REFUSED,
        "127.0.0.1",
    ),
    "no tables": (nothing, "featurize", REFUSED, "no parquet files in data/tables; run the stage"),
    "no features": (nothing, "train_churn", REFUSED, "data/features"),
    "no models": (nothing, "register", REFUSED, "artifacts"),
    "no run to look at": (nothing, "customer 1", REFUSED, "winback run makes it"),
    "no list of objectors": (
        nothing,
        "score --features rows.parquet",
        SUPPRESSIONS,
        "nobody said who objected; name the list: --suppressions FILE",
    ),
    "no such model": (
        nothing,
        "score --features r.parquet --no-suppressions --model nowhere",
        MODEL,
        "nowhere: refused; there is no such folder",
    ),
    "erasing nobody": (nothing, "erase", REFUSED, "erase: give the id of each customer"),
}


@pytest.mark.parametrize(("done", "arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_answered_by_its_cure_and_an_exit_code(
    project, capsys, done, arguments, code, words
):
    done(project)
    before = {path for path in project.rglob("*") if not path.name.endswith(".lock")}
    assert called(*arguments.split()) == code
    told = capsys.readouterr()
    assert words in " ".join(told.err.split())
    assert "Traceback" not in told.err
    assert "secret" not in told.err
    assert not told.out
    left = {path for path in project.rglob("*") if path.is_file()} - before
    assert not {path for path in left if not path.name.endswith(".lock")}, left


@pytest.mark.bar("two at once: both at work")
def test_a_second_job_on_the_same_folder_is_refused(project, capsys):
    with only_one(project / "data/scores"):
        given = ("--features", "rows.parquet", "--no-suppressions")
        assert called("score", *given) == LOCKED
    assert "another job is writing there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("(1, 'o1', timestamp '2020-01-01', -5)", "amount"),
        ("(7, 'o1', timestamp '2020-01-01', 5)", "customer"),
    ],
    ids=["a negative amount", "an order of nobody"],
)
def test_bad_rows_are_refused_by_name_and_nothing_is_written(project, capsys, row, words):
    (project / "sources/shop.yaml").write_text(
        "name: shop\ntitle: A shop\nas_of: 2021-01-01\ntables:\n"
        "  customers:\n    query: select 1 as customer_id\n"
        f"  orders:\n    query: select * from (values {row}) "
        "t(customer_id, order_id, ordered_at, amount)\n"
    )
    change(project / "params.yaml", "sources/kumar.yaml", "sources/shop.yaml")
    assert called("ingest") == REFUSED
    message = capsys.readouterr().err
    assert "orders" in message
    assert words in message
    assert not (project / "data/tables").exists()


def test_winback_alone_says_where_to_start_and_names_every_command_and_exit_code(capsys):
    assert main([]) == 0
    alone = capsys.readouterr().out
    assert "start here: winback run" in alone
    assert called("--help") == 0
    assert capsys.readouterr().out == alone
    assert [name for name in COMMANDS if f"  {name} " not in alone] == []
    assert [m for code, m in EXIT_CODES.items() if f"{code:>2}  {m}" not in alone] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_and_works_in_any_project(name, capsys):
    assert called(name, "--help") == 0
    shown = capsys.readouterr().out
    assert COMMANDS[name].help in " ".join(shown.split())
    assert "--project DIR" in shown


def test_an_error_is_an_object_for_machines(project, capsys):
    assert called("readout", "--source", "kumr", "--json") == REFUSED
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == REFUSED
    assert told["code"] == "WB004"
    assert "did you mean 'kumar'?" in told["error"]


def test_a_project_is_worked_in_from_elsewhere(project, tmp_path_factory, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    setting("sources/kumar.yaml", "sources/hillstrom.yaml")(project)
    for arguments in (
        ("fingerprint", "--project", str(project)),
        ("--project", str(project), "fingerprint"),
    ):
        assert called(*arguments) == REFUSED
        assert "set HILLSTROM" in capsys.readouterr().err


@pytest.mark.parametrize("named", ["telco", "sources/telco.yaml"])
def test_naming_a_source_changes_one_line_of_params(project, monkeypatch, named):
    from winback.pipelines import run

    monkeypatch.setattr(run.subprocess, "run", lambda *_, **__: CompletedProcess([], 1))
    monkeypatch.setenv("TELCO", "data/raw")
    before = (project / "params.yaml").read_text().splitlines()
    assert called("run", "--source", named) == 1
    after = (project / "params.yaml").read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [("  source: sources/kumar.yaml", "  source: sources/telco.yaml")]


def test_the_default_paths_are_those_of_dvc():
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    written = {"fingerprint": "data/fingerprint.json"}
    for stage in stages.values():
        written |= dict(re.findall(r"--(\w+) (\S+)", stage["cmd"]))
    del written["out"]
    of_jobs = {
        "scores": "data/scores",
        "campaigns": "data/campaigns",
        "monitor": "reports/monitor.csv",
    }
    assert {name: str(path) for name, path in PATHS.items()} == written | of_jobs


def test_colour_is_for_terminals_alone(project, monkeypatch, capsys):
    assert called("readout", "--source", "kumr") == REFUSED
    assert "\033" not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert called("readout", "--source", "kumr") == REFUSED
    assert "\033[31m" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    assert called("readout", "--source", "kumr") == REFUSED
    assert "\033" not in capsys.readouterr().err


def test_the_program_ends_with_the_exit_code_of_its_command(folder):
    done = run_in(folder, "winback", "readout", "--source", "kumr")
    assert done.returncode == REFUSED, done.stderr
    assert done.stderr.startswith("winback readout [WB004]: --source kumr: no such source")

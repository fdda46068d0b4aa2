"""The command line: one message and an exit code for a mistake, never a traceback."""

import shutil

import pytest
from conftest import ROOT, run_in, winback

from winback.pipelines.cli import COMMANDS, main


@pytest.fixture
def folder(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "sources", tmp_path / "sources")
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def refused(folder, capsys):
    """The message of a command that is refused."""

    def run(*command):
        assert winback(folder, *command) == 3
        return capsys.readouterr().err

    return run


def test_a_typo_in_params_names_the_section_the_key_and_the_nearest(folder):
    change(folder / "params.yaml", "learning_rate", "lerning_rate")
    done = run_in(folder, "winback", "run")  # as a process, whose exit code and output count
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "train_churn" in done.stderr
    assert "lerning_rate" in done.stderr
    assert "learning_rate" in done.stderr


def test_a_mistyped_value_says_what_is_expected(folder, refused):
    change(folder / "params.yaml", "rounds: 300", "rounds: many")
    message = refused("run")
    assert "rounds" in message
    assert "whole number" in message


def test_a_source_that_is_not_there_is_named(folder, refused):
    assert "sources/nowhere.yaml" in refused("run", "--source", "sources/nowhere.yaml")


def test_a_missing_data_file_says_where_to_get_it(folder, refused):
    change(folder / "params.yaml", "sources/kumar.yaml", "sources/hillstrom.yaml")
    message = refused("fingerprint", "--out", "f.json")
    assert "set HILLSTROM" in message
    assert "https://" in message
    assert not (folder / "f.json").exists()


def test_a_database_that_refuses_ends_in_one_message_without_the_password(folder, refused):
    (folder / "sources/db.yaml").write_text(
        "name: db\ntitle: A database\ntables:\n  customers:\n    query: select 1 as customer_id\n"
        "    uri: postgresql://somebody:secret@127.0.0.1:9/nothing\n"
    )
    change(folder / "params.yaml", "sources/kumar.yaml", "sources/db.yaml")
    message = refused("fingerprint", "--out", "f.json")
    assert "secret" not in message
    assert "127.0.0.1" in message


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("(1, 'o1', timestamp '2020-01-01', -5)", "amount"),
        ("(7, 'o1', timestamp '2020-01-01', 5)", "customer"),
    ],
    ids=["a negative amount", "an order of nobody"],
)
def test_bad_rows_are_refused_by_name_and_nothing_is_written(folder, row, words, refused):
    (folder / "sources/shop.yaml").write_text(
        "name: shop\ntitle: A shop\nas_of: 2021-01-01\ntables:\n"
        "  customers:\n    query: select 1 as customer_id\n"
        f"  orders:\n    query: select * from (values {row}) "
        "t(customer_id, order_id, ordered_at, amount)\n"
    )
    change(folder / "params.yaml", "sources/kumar.yaml", "sources/shop.yaml")
    message = refused("ingest", "--tables", "tables", "--truth", "truth")
    assert "orders" in message
    assert words in message
    assert not (folder / "tables").exists()


def test_an_unknown_offer_in_the_experiment_is_refused(folder, refused):
    change(folder / "sources/kumar.yaml", "service: upgrade", "service: gift")
    assert "unknown offer 'gift'" in refused("run")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_an_address_is_no_path_of_this_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ("--features", "rows.parquet", "--no-suppressions", "--out", "s3://bucket/scores")
    with pytest.raises(SystemExit) as ended:
        main(["score", *given])
    assert ended.value.code == 2
    assert "'s3://bucket/scores' is an address (s3://)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_wrong_usage_is_exit_2():
    with pytest.raises(SystemExit) as ended:
        main(["ingest"])
    assert ended.value.code == 2


def test_naming_a_source_changes_one_line_of_params(folder, monkeypatch):
    from winback.pipelines import run

    monkeypatch.chdir(folder)
    before = (folder / "params.yaml").read_text().splitlines()
    run._keep_source(run.Path("sources/telco.yaml"))
    after = (folder / "params.yaml").read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [("  source: sources/kumar.yaml", "  source: sources/telco.yaml")]

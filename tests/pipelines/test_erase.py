"""An erased customer is found nowhere, nobody else changes, and a kill leaves old or new."""

import contextlib
import errno
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import winback

from winback.pipelines import erase as erasing
from winback.pipelines.cli import main
from winback.pipelines.job.lock import only_one
from winback.pipelines.register import typical
from winback.pipelines.reporting.html import Chapter, render, table
from winback.pipelines.score import Job, score
from winback.pipelines.storage import atomic as store
from winback.pipelines.storage.atomic import StoreError, replace_folder, verify, write_manifest
from winback.pipelines.storage.without_customers import page_without, write_parquet_without

BAD_DATA, LOCK = 3, 8
IDS = ("customer_id", "referrer_id", "referred_id")


def erase(project, *given):
    with contextlib.chdir(project):
        return main(["erase", *given])


def parquets(folder):
    """Tables below a folder by file, those of caches too."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {
        file.relative_to(folder): pq.read_table(file)
        for file in files
        if file.read_bytes()[:4] == b"PAR1"
    }


def without(rows, customers):
    kept = [True] * len(rows)
    for name in {*IDS} & {*rows.column_names}:
        kept = [k and i not in customers for k, i in zip(kept, rows[name].to_pylist(), strict=True)]
    return rows.filter(pa.array(kept, pa.bool_()))


@pytest.fixture
def small(tmp_path):
    """Folders as the stages leave them, with text for ids, and a report; no DVC, no models."""
    ids = [f"cust-{number:04d}" for number in range(40)]
    with replace_folder(tmp_path / "data/tables") as new:
        new.extra["source"] = "shop"
        pq.write_table(pa.table({"customer_id": ids}), new.path / "customers.parquet")
        pairs = pa.table({"referrer_id": ids[:-1], "referred_id": ids[1:]})
        pq.write_table(pairs, new.path / "referrals.parquet", row_group_size=7)
        orders = pa.table({"order_id": range(400), "customer_id": ids * 10})
        pq.write_table(orders, new.path / "orders.parquet", row_group_size=50)
    with replace_folder(tmp_path / "artifacts/churn") as new:
        (new.path / "formula.json").write_text("{}")
    answers = pd.DataFrame({"customer_id": ids, "gain": range(40)})
    answers.to_parquet(tmp_path / "data/recommendations.parquet", index=False)
    shown = [table(answers.head(5)), table(answers.rename(columns={"customer_id": "other"}))]
    page = render(title="t", subtitle="s", cards=[], chapters=[Chapter("a", "b", shown)])
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/report.html").write_text(page)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/shop.yaml").write_text("tables: {customers: {query: select 1}}\n")
    (tmp_path / "params.yaml").write_text("ingest: {source: sources/shop.yaml}\n")
    return tmp_path


def test_an_erased_customer_is_found_nowhere_and_nobody_else_changed(
    finished, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    project = shutil.copytree(finished, tmp_path / "project")
    page = (project / "reports/report.html").read_text()
    first = int(re.search(r'data-label="customer id">(\d+)</td>', page)[1])
    listed = pq.read_table(project / "data/tables/suppressions.parquet")["customer_id"]
    gone = {first, listed[0].as_py()}
    with contextlib.chdir(project):
        features = Path("data/features/current.parquet")
        score(Job(features, Path("data/scores"), "artifacts", None, part_rows=2_000, csv=True))
    work = project / "data/.scores.work-0123456789abcdef"
    work.mkdir()
    shutil.copy(project / features, work / "part-00000.parquet")
    before = parquets(project)
    ages = {name: (project / name).stat().st_mtime_ns for name in before}
    texts = {
        file: file.read_bytes()
        for place in ("artifacts", "reports/plots", "reports/metrics.json")
        for file in [project / place, *(project / place).rglob("*")]
        if file.is_file() and file.suffix != ".parquet"
    }
    capsys.readouterr()
    ids = project / "ids.txt"
    ids.write_text(f"{first}\n\n")
    given = ("--customers", str(ids), "--customer", str(listed[0].as_py()))
    assert erase(project, *given) == 0
    told = capsys.readouterr()
    assert "data/tables/orders.parquet: " in told.err
    assert "sources/small.yaml simulates them" in told.out
    after = parquets(project)
    for name, rows in before.items():
        if name.parts[0] in (".dvc", "notes") or name.parts[1].startswith(".scores"):
            touched = without(rows, gone).num_rows < rows.num_rows
            assert (name in after) != touched, name
        else:
            assert after[name].equals(without(rows, gone)), name
            assert after[name].schema.equals(rows.schema, check_metadata=True)
            assert (project / name).stat().st_mtime_ns == ages[name] or name.parts[-1] == (
                "recommendations.parquet"
            )
    assert not work.exists()
    for file, text in texts.items():
        assert file.read_bytes() == text or file.name == "_manifest.json", file
    manifest = verify(project / "data/scores")
    assert manifest["rows_out"] == sum(
        len(rows) for name, rows in after.items() if name.parts[:2] == ("data", "scores")
    )
    for folder in ("tables", "truth", "features"):
        verify(project / "data" / folder)
    csv = pd.read_csv(project / "data/scores.csv")
    assert len(csv) == manifest["rows_out"]
    assert not csv["customer_id"].isin(gone).any()
    shown = (project / "reports/report.html").read_text()
    assert f">{first}</td>" not in shown
    assert len(page) - len(shown) < 2_000
    for file in (project / ".dvc/cache/files").rglob("*.dir"):
        for entry in json.loads(file.read_bytes()):
            assert (file.parents[1] / entry["md5"][:2] / entry["md5"][2:]).exists()
    assert erase(project, *given) == 0
    assert "Nothing here holds them" in capsys.readouterr().out


def test_no_byte_of_an_id_remains(small, capsys):
    assert erase(small, "--customer", "cust-0003") == 0
    assert "cust-0003" not in "".join(capsys.readouterr())
    files = [file for file in small.rglob("*") if file.is_file()]
    assert len(files) >= 8
    page = (small / "reports/report.html").read_text()
    assert page.count("cust-0003") == 1  # where no customer is meant
    for file in files:
        content = file.read_bytes()
        if content[:4] == b"PAR1":
            content += str(pq.read_table(file).to_pydict()).encode()
        assert b"cust-0003" not in content or file.suffix == ".html", file
    assert verify(small / "data/tables")["source"] == "shop"
    assert len(pq.read_table(small / "data/tables/referrals.parquet")) == 37


def test_no_id_is_in_a_report_without_customers(finished, tmp_path):
    """Whatever stands in a report beside the rows of its tables, also where there is money."""
    kept = shutil.ignore_patterns(".git", "cache")
    project = shutil.copytree(finished, tmp_path / "project", ignore=kept)
    features = project / "data/features"
    said = verify(features)
    for file in (project / "data/recommendations.parquet", features / "current.parquet"):
        rows = pd.read_parquet(file)
        rows["customer_id"] = rows["customer_id"].map("who-{:08d}".format)  # unlike other numbers
        file.unlink()
        rows.to_parquet(file, index=False)
    write_manifest(features, said)
    assert winback(project, "report") == 0
    page = (project / "reports/report.html").read_text()
    listed = pd.read_parquet(project / "data/recommendations.parquet")
    first = listed.loc[listed["expected_incremental_profit"].idxmax(), "customer_id"]
    example = page.split("The first customer on the list", 1)[1].split("</table>")[0]
    assert f">{first}</td>" in example
    assert "who-" not in page_without(page, None)[0]
    assert first not in page_without(page, {first})[0]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_leaves_each_file_old_or_new_and_the_next_run_finishes(small, monkeypatch, after):
    old = parquets(small)
    new = {name: without(rows, {"cust-0003"}) for name, rows in old.items()}
    left = [0]

    def once(real):
        def call(*given):
            left[0] -= 1
            if left[0] == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            made = real(*given)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return call

    monkeypatch.setattr(store, "_exchange", once(store._exchange))
    monkeypatch.setattr(Path, "replace", once(Path.replace))
    kills = 0
    for point in range(1, 20):
        project = shutil.copytree(small, small / f"copy{point}", ignore=lambda *_: ["copy*"])
        left[0] = point
        child = os.fork()
        if child == 0:
            os._exit(erase(project, "--customer", "cust-0003"))
        ended = os.waitpid(child, 0)[1]
        if ended == 0:
            break
        assert os.WTERMSIG(ended) == signal.SIGKILL
        kills += 1
        left[0] = 0
        verify(project / "data/tables")
        for name in old:
            found = pq.read_table(project / name)
            assert found.equals(old[name]) or found.equals(new[name])
        assert erase(project, "--customer", "cust-0003") == 0
        for name in old:
            assert pq.read_table(project / name).equals(new[name])
        assert not list(project.rglob(".*.new-*"))
        shutil.rmtree(project)
    assert kills == 4  # manifest, folder, recommendations, report


def test_nothing_is_erased_while_a_run_or_a_scoring_job_is_at_work(small, capsys):
    rwlock = small / ".dvc/tmp/rwlock"
    rwlock.parent.mkdir(parents=True)
    rwlock.write_text(json.dumps({"data": {"write": {"pid": os.getppid(), "cmd": "dvc repro"}}}))
    assert erase(small, "--customer", "cust-0003") == LOCK
    assert "a run of the pipeline is at work" in capsys.readouterr().err
    rwlock.unlink()
    (small / ".dvc/tmp").rmdir()
    (small / ".dvc").rmdir()
    with replace_folder(small / "data/scores") as new:
        (new.path / "_SUCCESS").touch()
    with only_one(small / "data/scores"):
        assert erase(small, "--customer", "cust-0003") == LOCK
    before = parquets(small)
    with only_one(small / "data/campaigns/campaign"):  # as `winback campaign`, of whatever name
        assert erase(small, "--customer", "cust-0003") == LOCK
    assert parquets(small) == before


def test_scores_elsewhere_are_named_and_files_of_others_are_left_and_told(small, capsys):
    mine = small / "data/raw/mine.parquet"
    mine.parent.mkdir()
    shutil.copy(small / "data/recommendations.parquet", mine)
    with replace_folder(small / "elsewhere/scores") as new:
        shutil.copy(mine, new.path / "part-00000.parquet")
        (new.path / "_SUCCESS").touch()
        new.extra.update(rows_in=50, rows_out=40)
    assert erase(small, "--customer", "cust-0003", "--scores", "elsewhere/scores") == 0
    manifest = verify(small / "elsewhere/scores")
    assert (manifest["rows_in"], manifest["rows_out"], manifest["erased"]) == (50, 39, 1)
    told = capsys.readouterr().out
    assert "data/raw/mine.parquet holds them and was not written by winback" in told
    assert "sources/shop.yaml reads them by its queries for customers" in told
    assert len(pq.read_table(mine)) == 40


def test_a_page_with_an_empty_table_is_no_hindrance(small):
    other = small / "data/raw/page.html"
    other.parent.mkdir()
    other.write_text("<!doctype html><table></table><table><tr><th>customer id</th></tr></table>")
    assert erase(small, "--customer", "cust-0003") == 0


def test_a_file_of_ids_may_begin_with_a_byte_order_mark(small, capsys):
    """As spreadsheets write it; how many of the ids were found is told."""
    (small / "ids.txt").write_text("cust-0003\ncust-0004\nnobody\n", encoding="utf-8-sig")
    assert erase(small, "--customers", "ids.txt") == 0
    assert "2 of 3 ids were in data/tables/customers.parquet" in capsys.readouterr().out
    left = pq.read_table(small / "data/tables/customers.parquet")["customer_id"].to_pylist()
    assert not {"cust-0003", "cust-0004"} & {*left}
    assert len(left) == 38


@pytest.mark.parametrize("full", ["write_parquet_without", "write_csv"])
def test_the_csv_of_scores_comes_back_after_a_full_disk(small, monkeypatch, full):
    """It is removed before the scores are replaced, and written when they stand."""
    with replace_folder(small / "data/scores") as new:
        shutil.copy(small / "data/recommendations.parquet", new.path / "part-00000.parquet")
        (new.path / "_SUCCESS").touch()
        new.extra.update(csv=True, rows_in=40, rows_out=40)
    csv = small / "data/scores.csv"
    pd.read_parquet(small / "data/recommendations.parquet").to_csv(csv, index=False)

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/scores")

    with monkeypatch.context() as patch:
        if full == "write_csv":
            patch.setattr(erasing, full, no_space)
        else:
            real = write_parquet_without
            patch.setattr(
                erasing,
                full,
                lambda file, *rest: (no_space if "scores" in str(file) else real)(file, *rest),
            )
        assert erase(small, "--customer", "cust-0003") != 0
    assert not csv.exists()
    assert erase(small, "--customer", "cust-0003") == 0
    assert verify(small / "data/scores")["rows_out"] == 39
    left = pd.read_csv(csv)
    assert len(left) == 39
    assert "cust-0003" not in set(left["customer_id"])


def test_without_an_id_or_with_a_damaged_folder_nothing_is_erased(small, capsys):
    assert erase(small) == BAD_DATA
    assert erase(small, "--customer", " ") == BAD_DATA
    assert "give the id of each customer" in capsys.readouterr().err
    shutil.copy(small / "data/tables/customers.parquet", small / "data/tables/orders.parquet")
    assert erase(small, "--customer", "cust-0003") == BAD_DATA
    assert "orders.parquet: SHA-256" in capsys.readouterr().err
    with pytest.raises(StoreError):
        verify(small / "data/tables")


@pytest.mark.filterwarnings("ignore")  # what mlflow warns of is not ours to mend
def test_reports_that_mlflow_keeps_lose_the_customer_too(small, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{small}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{small}/mlflow.db")
    client = mlflow.MlflowClient()
    kept = client.create_experiment("winback", artifact_location=(small / "kept").as_uri())
    run = client.create_run(kept).info.run_id
    client.log_artifact(run, str(small / "reports/report.html"))
    assert erase(small, "--customer", "cust-0003") == 0
    (page,) = (small / "kept").rglob("report.html")
    assert page.read_text() == (small / "reports/report.html").read_text()
    assert page.read_text().count("cust-0003") == 1


def test_the_example_of_a_registered_model_is_nobody():
    customers = pd.DataFrame(
        {
            "customer_id": range(60),
            "population": ["active"] * 30 + ["lost"] * 30,
            "spend": [1.0, 2.5, 90.0] * 10 + [4.0, None, 8.0] * 10,
            "plan": ["a", "b", "b"] * 10 + [None] * 30,
        }
    )
    found = typical(customers)
    assert list(found["population"]) == ["active", "lost"]
    assert list(found["spend"]) == [2.5, 6.0]
    assert found["plan"][0] == "b"
    assert found["plan"].isna()[1]


def test_the_example_of_a_registered_model_says_nothing_of_few():
    """A median of one customer is that customer."""
    customers = pd.DataFrame(
        {
            "customer_id": range(61),
            "population": ["active"] * 60 + ["lost"],
            "spend": [1.0, 2.5, 90.0] * 20 + [77.0],
            "visits": [5.0] + [None] * 59 + [6.0],
            "plan": ["b"] * 60 + ["rare"],
        }
    )
    found = typical(customers)
    assert list(found.columns) == list(customers.columns)
    assert list(found["population"]) == ["active", "lost"]
    assert found["spend"][0] == 2.5
    assert found["visits"].isna().all()
    assert found.loc[1, ["customer_id", "spend", "plan"]].isna().all()
    alone = typical(customers[60:].drop(columns="population"))
    assert len(alone) == 1
    assert alone.isna().all(axis=None)

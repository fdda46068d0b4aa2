"""Every code of docs/errors.md: its example is refused with that code."""

import contextlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, winback
from corruptions import source_of

from winback.features.contract.rules import RULES
from winback.features.contract.violation import ContractError
from winback.pipelines.ingest import ingest
from winback.pipelines.job.codes import CHECKS, CODES, WRONG_USAGE, code_of
from winback.pipelines.job.exit_codes import Refusal
from winback.pipelines.job.lock import only_one
from winback.pipelines.storage.atomic import MANIFEST, write_manifest

SLOW = {"WB010", "WB011", "WB014"}  # they need results
MAIL = """
name: mail
title: An e-mail experiment
as_of: 2024-06-01
suppressions: none
tables:
  customers: {query: select distinct customer_id from read_parquet('offers.parquet')}
  offers: {query: select * from read_parquet('offers.parquet')}
experiment: {offers: {mail: {contact_cost: 1}, gift: {contact_cost: 1}}}
"""
SHOP = """
name: shop
title: A shop
as_of: 2024-06-01
tables:
  customers: {query: select 1 as customer_id}
  orders: {query: "select 'o' as order_id, 1 as customer_id, timestamp '2024-01-01' as ordered_at"}
"""


def setting(folder, old, new):
    text = (folder / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new))


def source(folder, text):
    (folder / "sources/other.yaml").write_text(text)
    setting(folder, "sources/kumar.yaml", "sources/other.yaml")


def an_experiment(folder, share_kept):
    """Three equal arms, of which one has lost customers."""
    rng = np.random.default_rng(0)
    offer = rng.choice(["none", "mail", "gift"], 6_000)
    kept = (offer != "gift") | (rng.random(6_000) < share_kept)
    rows = {"customer_id": range(6_000), "offered_at": pd.Timestamp("2024-01-01"), "offer": offer}
    offers = pd.DataFrame(rows).assign(propensity=1 / 3, returned=rng.random(6_000) < 0.2)
    offers[kept].to_parquet(folder / "offers.parquet", index=False)
    source(folder, MAIL)


def far_customers(folder):
    file = folder / "data/features/current.parquet"
    rows = pd.read_parquet(file)
    rows.assign(orders_total=rows["orders_total"] * 50 + 1_000).to_parquet(file, index=False)
    write_manifest(file.parent, json.loads((file.parent / MANIFEST).read_text()))


GIVEN = {  # what `given` says of an example
    "WB002": lambda folder: setting(folder, "learning_rate", "lerning_rate"),
    "WB003": lambda folder: setting(folder, "sources/kumar.yaml", "sources/hillstrom.yaml"),
    "WB010": far_customers,
    "WB011": far_customers,
    "WB014": lambda folder: setting(folder, "memory_limit: 3GB", "memory_limit: 8MB"),
    "WB015": lambda folder: (folder / "data").touch(),
    "WB012": lambda folder: an_experiment(folder, 0.0),
    "WB013": lambda folder: an_experiment(folder, 0.5),
    "WB100": lambda folder: source(folder, SHOP),
}


def subclasses(kind):
    return {inner for each in kind.__subclasses__() for inner in {each, *subclasses(each)}}


def refused(folder, capsys, code):
    """What an example prints on standard error, in a folder that is as it says."""
    GIVEN.get(code, lambda _: None)(folder)
    held = only_one(folder / "data/scores") if code == "WB007" else contextlib.nullcontext()
    with held:
        try:
            ended = winback(folder, *CODES[code].example.split()[1:])
        except SystemExit as usage:
            ended = usage.code
    assert ended
    return capsys.readouterr().err


@pytest.mark.parametrize("code", [code for code in CODES if code not in SLOW])
def test_an_example_is_refused_with_its_code(tmp_path, monkeypatch, capsys, code):
    monkeypatch.delenv("HILLSTROM", raising=False)
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    shutil.copytree(ROOT / "sources", tmp_path / "sources")
    assert f"[{code}]" in refused(tmp_path, capsys, code)


@pytest.mark.filterwarnings("ignore")  # what mlflow warns of is not ours to mend
@pytest.mark.parametrize("code", sorted(SLOW))
def test_an_example_with_results_is_refused_with_its_code(registered, tmp_path, capsys, code):
    folder = shutil.copytree(registered, tmp_path / "project")
    assert f"[{code}]" in refused(folder, capsys, code)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_an_example_of_the_contract_is_refused_with_its_code(tmp_path, rule):
    sound = source_of(tmp_path)
    ingest(sound, tmp_path / "tables", truth=tmp_path / "truth")
    broken = source_of(tmp_path, rule.table, rule.example)
    with pytest.raises(ContractError) as refusal:
        ingest(broken, tmp_path / "tables", truth=tmp_path / "truth")
    assert rule.code in {violation.code for violation in refusal.value.violations}
    assert f"  [{rule.code}] {rule.table}" in str(refusal.value)


def test_every_error_of_ours_has_a_code_and_no_code_is_given_twice():
    codes = [*CODES, *(rule.code for rule in RULES), *(code for code, _ in CHECKS.values())]
    assert len({*codes}) == len(codes)
    assert {code.error for code in CODES.values()} >= {
        kind.__name__ for kind in subclasses(Refusal)
    }
    assert code_of(OSError(28, "No space left on device")) == "WB015"
    for unforeseen in (KeyError(), ConnectionRefusedError(111, "refused"), OSError("of a library")):
        assert code_of(unforeseen) is None
    assert code_of(ValueError()) == code_of(UnicodeDecodeError("ascii", b"", 0, 1, "")) == "WB004"
    assert CODES[WRONG_USAGE].error == "SystemExit"


def test_a_warning_of_doctor_has_its_code(tmp_path, capsys):
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    assert winback(tmp_path, "doctor") == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("ok")]
    assert len(lines) >= 2
    for line in lines:
        name = line.split()[1]
        assert f"{name} [{CHECKS[name][0]}]:" in line

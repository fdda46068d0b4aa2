"""Over 300 corruptions of input tables: each keeps the contract or ends in one clear error.

By default every thirteenth is tried; CORRUPTIONS=all tries all of them, in some minutes.
"""

import json
import os

import pytest
from corruptions import TABLES, corruptions

from winback.features.contract.violation import ContractError
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.sources import load_source
from winback.pipelines.storage.atomic import verify

CASES = list(corruptions())
TRIED = CASES if os.environ.get("CORRUPTIONS") == "all" else CASES[::13]


def source_of(folder, table="", change=""):
    """The sound tables as a source, one of them corrupted."""
    queries = {name: {"query": query} for name, query in TABLES.items()}
    if table:
        queries[table] = {"query": f"with sound as ({TABLES[table]}) {change}"}
    source = {
        "name": "tiny",
        "title": "tiny",
        "as_of": "AS_OF",
        "tables": queries,
        "churn": {"kind": "inactivity", "inactive_days": 60, "horizon_days": 60},
        "experiment": {"offers": {"discount": {"cost_on_acceptance": 10}}},
    }
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(source).replace('"AS_OF"', "2020-12-01"))
    return load_source(path)


def test_the_corruptions_are_many_and_the_tables_sound_without_them(tmp_path):
    assert len({name for name, *_ in CASES}) == len(CASES) >= 300
    rows = ingest(source_of(tmp_path), tmp_path / "tables", truth=tmp_path / "truth")
    assert set(rows) == set(TABLES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "change"), [case[1:] for case in TRIED], ids=[case[0] for case in TRIED]
)
def test_a_corrupted_table_is_stored_whole_or_refused_by_name(tmp_path, table, change):
    """Anything but a ContractError would be a traceback for whoever runs it."""
    out, violations = tmp_path / "tables", ()
    try:
        ingest(source_of(tmp_path, table, change), out, truth=tmp_path / "truth")
    except ContractError as error:
        violations = error.violations
    if violations:
        assert table in {violation.table for violation in violations}
        assert all(violation.cure for violation in violations)
        assert not out.exists()
    else:
        assert set(verify(out)["files"]) == {f"{name}.parquet" for name in TABLES}

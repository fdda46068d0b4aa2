"""Over 300 corruptions of input tables: each keeps the contract or ends in one clear error.

Every thirteenth is tried; `make bar` tries all of them.
"""

import pytest
from bar import full
from corruptions import TABLES, corruptions, source_of

from winback.features.contract.violation import ContractError
from winback.pipelines.ingest import ingest
from winback.pipelines.storage.atomic import verify

CASES = list(corruptions())
TRIED = CASES[:: full(1, 13)]


def test_the_corruptions_are_many_and_the_tables_sound_without_them(tmp_path):
    assert len({name for name, *_ in CASES}) == len(CASES) >= 300
    rows = ingest(source_of(tmp_path), tmp_path / "tables", truth=tmp_path / "truth")
    assert set(rows) == set(TABLES)


@pytest.mark.slow
@pytest.mark.bar("corrupted input tables: a traceback, or tables stored in part")
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

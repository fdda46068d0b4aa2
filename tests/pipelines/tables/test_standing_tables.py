"""Tables that stand are opened with their moment, and spill beside what is made of them."""

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from winback.pipelines.settings.moments import seconds
from winback.pipelines.settings.params import Machine
from winback.pipelines.storage.atomic import replace_folder
from winback.pipelines.tables.standing_tables import standing_tables

LAST = datetime(2024, 3, 1)


@pytest.mark.parametrize("said", ["2024-05-01 00:00:00", None])
def test_the_moment_is_told_or_that_of_the_last_event(tmp_path, said):
    with replace_folder(tmp_path / "tables") as new:
        orders = pd.DataFrame({"customer_id": [1], "ordered_at": [LAST], "amount": [9.0]})
        orders.to_parquet(new.path / "orders.parquet", index=False)
        new.extra.update({"as_of": said} if said else {})
    out = tmp_path / "made/features"
    machine = Machine(threads=1, memory_limit="1GB")
    with standing_tables(tmp_path / "tables", machine, beside=out) as (connection, tables, now):
        if said:
            assert now == seconds(said)
        else:
            assert now == seconds(str(LAST)) + 1  # the end of it
        assert list(tables) == ["orders"]
        ((spill,),) = connection.sql("select current_setting('temp_directory')").fetchall()
        assert Path(spill).parent == out.parent
    assert not list(out.parent.iterdir())

"""Any source, params, table or manifest works, or ends in a ValueError that says something.

`FUZZ=50 pytest tests/test_fuzz.py` tries fifty times as many; `make bar` twenty times.
"""

import copy
import datetime
import json
import os
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bar import full
from conftest import ROOT
from contract_tables import clean
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winback.pipelines.ingest import ingest
from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.raw_files import raw_files
from winback.pipelines.settings.source_files import load_source, made_from
from winback.pipelines.settings.yaml_dataclasses import read_yaml
from winback.pipelines.storage.atomic import (
    MANIFEST,
    StoreError,
    manifest_digest,
    manifest_text,
    read_verified,
    verify,
    write_manifest,
)

pytestmark = pytest.mark.bar("fuzzed sources, params, tables and manifests: a traceback")
TIMES = int(os.environ.get("FUZZ", full(20, 1)))
NAMES = ("kumar", "hillstrom", "telco")
SOURCES = {name: read_yaml(ROOT / f"sources/{name}.yaml") for name in NAMES}
PARAMS = read_yaml(ROOT / "params.yaml")
TABLES = clean(8)


def tried(examples):
    return settings(
        max_examples=TIMES * examples,
        deadline=None,
        derandomize=TIMES == 1,  # the same every time, unless more is asked for
        database=None,
        suppress_health_check=list(HealthCheck),
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**30, 2**63]),
    st.floats(),
    TEXT,
    st.sampled_from(["", "none", "2020-13-01", "2020-01-01", "${X}", "${X:-'}", "select 1;"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def places(document, path=()):
    """The path of every value inside of a document."""
    items = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def spoiled(draw, document):
    """A document of which up to three values are another, missing, or under another name."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        if not (paths := list(places(changed))):
            break
        *path, key = draw(st.sampled_from(paths))
        at = changed
        for step in path:
            at = at[step]
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "replace":
            at[key] = draw(VALUES)
        elif what == "remove":
            del at[key]
        elif isinstance(at, dict):
            at[draw(TEXT)] = draw(VALUES)
    return changed


def plain(value):
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def refused_or_done(work, error=ValueError):
    """Whether it was done; a refusal must have a message, any other error goes on."""
    told = "done"
    try:
        work()
    except error as refusal:
        told = str(refusal)
    assert told.strip()
    return told == "done"


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def read_source(path):
    source = load_source(path, environment={})
    made_from(source)
    raw_files(source)


def written(folder, document):
    path = folder / "file.yaml"
    path.write_text(json.dumps(document, default=plain, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_spoiled_source_is_read_or_refused(folder, name):
    @tried(30)
    @given(spoiled(SOURCES[name]))
    def check(document):
        refused_or_done(lambda: read_source(written(folder, document)))

    check()


def test_spoiled_params_are_read_or_refused(folder):
    @tried(50)
    @given(spoiled(PARAMS))
    def check(document):
        refused_or_done(lambda: read_params(written(folder, document)))

    check()


@pytest.mark.parametrize("read", [read_source, read_params])
def test_any_bytes_in_the_place_of_settings_are_refused(folder, read):
    yaml = st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`,? \n\t0.~<=")).map(str.encode)

    @tried(80)
    @given(st.binary(max_size=60) | yaml)
    def check(body):
        (folder / "raw.yaml").write_bytes(body)
        with pytest.raises(ValueError, match=r"\S"):
            read(folder / "raw.yaml")

    check()


COLUMNS = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)).map(lambda v: (v, pa.int64())),
    st.lists(st.none() | st.floats()).map(lambda v: (v, pa.float64())),
    st.lists(st.none() | TEXT).map(lambda v: (v, pa.string())),
    st.lists(st.none() | st.booleans()).map(lambda v: (v, pa.bool_())),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)).map(lambda v: (v, pa.timestamp("us"))),
    st.lists(st.none() | st.integers(-(2**31), 2**31 - 1)).map(lambda v: (v, pa.date32())),
    st.lists(st.none() | st.binary(max_size=4)).map(lambda v: (v, pa.binary())),
    st.lists(st.none() | st.lists(st.integers(0, 9), max_size=2)).map(
        lambda v: (v, pa.list_(pa.int64()))
    ),
)


@st.composite
def tables(draw):
    """The name of a table, and its sound rows with up to two columns of something else."""
    name = draw(
        st.sampled_from([name for name in TABLES if name != "customers"] * 2 + ["customers"])
    )
    table = pa.Table.from_pandas(TABLES[name].head(8), preserve_index=False)
    for _ in range(draw(st.integers(1, 2))):
        column = draw(st.sampled_from([*table.column_names]) | TEXT.filter(bool))
        what = draw(st.sampled_from(["fill", "fill", "fill", "drop"]))
        if column in table.column_names:
            table = table.drop_columns(column)
        if what == "fill":
            values, kind = draw(COLUMNS)
            rows = [values[row % len(values)] if values else None for row in range(len(table))]
            table = table.append_column(column, pa.array(rows, kind))
    return name, table


def test_a_spoiled_table_is_stored_or_refused(folder):
    raw = folder / "raw"
    raw.mkdir()
    source = {
        "name": "fuzzed",
        "title": "fuzzed",
        "as_of": "AS_OF",
        "churn": {"kind": "inactivity", "inactive_days": 60, "horizon_days": 60},
        "experiment": {"offers": {"discount": {"cost_on_acceptance": 10}}},
    }

    @tried(25)
    @given(tables())
    def check(made):
        name, table = made
        used = {"customers": pa.Table.from_pandas(TABLES["customers"]), name: table}
        for each, rows in used.items():
            pq.write_table(rows, raw / f"{each}.parquet")
        queries = {each: {"query": f"select * from '{raw}/{each}.parquet'"} for each in used}
        text = json.dumps({**source, "tables": queries}).replace('"AS_OF"', "2020-01-01")
        (folder / "fuzzed.yaml").write_text(text)
        loaded = load_source(folder / "fuzzed.yaml")
        out = folder / "tables"
        (out / MANIFEST).unlink(missing_ok=True)  # nothing is accepted from before
        refused_or_done(lambda: ingest(loaded, out, truth=folder / "truth"))

    check()


def test_a_spoiled_manifest_is_refused_or_says_what_is_there(folder):
    store = folder / "store"
    store.mkdir()
    pd.DataFrame({"a": [1, 2]}).to_parquet(store / "a.parquet")
    (store / "b.txt").write_text("b")
    manifest = write_manifest(store, {"as_of": "2020-01-01", "rows": {"a": 2}})

    @tried(60)
    @given(spoiled(manifest), st.booleans())
    def check(document, sealed):
        body = json.dumps(document).encode()
        if sealed:
            document.pop("digest", None)
            body = manifest_text(json.loads(json.dumps(document), parse_constant=str))
        (store / MANIFEST).write_bytes(body)
        for read in (verify, read_verified, manifest_digest):
            refused_or_done(lambda read=read: read(store), error=StoreError)

    check()

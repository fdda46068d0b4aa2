"""Forged, damaged and oversized Parquet files: refused in one line, in bounded memory."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winback.pipelines.cli import main
from winback.pipelines.tables import parquet_limits as bombs

pytestmark = pytest.mark.bar("forged and hostile files to score: a traceback, or scores")
BAD_DATA, SUPPRESSIONS = 3, 7


@pytest.fixture(scope="module")
def customers(finished):
    return pq.read_table(finished / "data/features/current.parquet").slice(0, 60)


@pytest.fixture
def scored(finished, tmp_path):
    """Score a table or the bytes of a file; the exit code."""

    def run(given, *options, out="scores", listed=None):
        file = tmp_path / "customers.parquet"
        if isinstance(given, bytes):
            file.write_bytes(given)
        else:
            pq.write_table(given, file)
        lists = ["--no-suppressions"]
        if listed is not None:
            pq.write_table(listed, tmp_path / "listed.parquet")
            lists = ["--suppressions", str(tmp_path / "listed.parquet")]
        where = ["--features", str(file), "--out", str(tmp_path / out)]
        return main(["score", *where, "--model", str(finished / "artifacts"), *lists, *options])

    return run


def having(customers, name, values):
    if name not in customers.column_names:
        return customers.append_column(name, values)
    return customers.set_column(customers.column_names.index(name), name, values)


def as_bytes(table, **options):
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def texts(count, size):
    return pa.array([f"{number:06d}".ljust(size, "z") for number in range(count)])


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lambda raw: raw[:-4] + b"XXXX", "not a readable parquet file"),
        (lambda _: b"", "not a readable parquet file"),
        (lambda raw: raw[:-8] + b"\xff\xff\xff\x7fPAR1", "not a readable parquet file"),
        (lambda raw: raw[:-300] + bytes(292) + raw[-8:], "not a readable parquet file"),
        (lambda raw: raw[:9_000] + raw[9_200:], "damaged or forged|cannot be read|not a readable"),
        (lambda raw: raw[:4] + bytes(5_000) + raw[5_004:], "damaged or forged|cannot be read"),
        (lambda _: b"customer_id,x\n1,2\n", "not a readable parquet file"),
    ],
)
def test_forged_parquet_is_refused_in_one_line(scored, customers, tmp_path, capsys, forge, words):
    assert scored(forge(as_bytes(customers))) == BAD_DATA
    told = capsys.readouterr().err
    assert re.search(words, told)
    assert "Traceback" not in told
    assert not (tmp_path / "scores").exists()


def test_flipped_bytes_never_crash_a_job(scored, customers, capsys):
    raw = as_bytes(customers)
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(raw), 12):
        forged = raw[:place] + bytes([raw[place] ^ 255]) + raw[place + 1 :]
        assert scored(forged) in (0, BAD_DATA)  # a value may be another one and still be a value
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("customer_id", pa.array([{"a": 1}] * 60), "must be text or a whole number"),
        ("customer_id", pa.array([[1]] * 60), "must be text or a whole number"),
        ("customer_id", pa.array([b"\xff"] * 60), "must be text or a whole number"),
        ("customer_id", texts(60, 600), "texts of more than 500 bytes"),
        ("population", pa.array([{"a": 1}] * 60), "'population' must be text"),
        ("as_of", pa.array([1] * 60).cast(pa.duration("s")), "'as_of' must be a timestamp"),
        ("orders_total", pa.array([{"a": 1}] * 60), "'orders_total' must be a number"),
        ("departure_reason", pa.array(["x" * 600] * 60), "texts of more than 500 bytes"),
    ],
)
def test_columns_of_odd_types_and_sizes_are_refused(
    scored, customers, capsys, column, values, words
):
    assert scored(having(customers, column, values)) == BAD_DATA
    told = capsys.readouterr().err
    assert words in told
    assert f"'{column}'" in told


def test_columns_that_stand_there_twice_are_refused(scored, customers, capsys):
    for name in ("customer_id", "orders_total"):
        twice = pa.Table.from_arrays(
            [*customers.columns, customers[name]], names=[*customers.column_names, name]
        )
        assert scored(twice) == BAD_DATA
        assert f"column '{name}' stands there twice" in capsys.readouterr().err


def test_names_of_other_columns_do_not_matter(scored, customers, tmp_path):
    names = [
        'a"b',
        "a;b",
        "a\nb",
        "a\x00b",
        "a.b.c",
        "\u202eb",
        "",
        "{{ 7 * 7 }}",
        "'; drop table customers; --",
    ]
    numbers = pa.array(range(60))
    for name in names:
        customers = having(customers, name, numbers)
    wide = pa.Table.from_arrays(
        [*customers.columns, *[numbers] * 10_000],
        names=[*customers.column_names, *(f"x{number}" for number in range(10_000))],
    )
    assert scored(wide, "--csv") == 0
    assert set(pq.read_schema(tmp_path / "scores/part-00000.parquet").names).isdisjoint(names)


def test_ids_of_the_list_that_do_not_fit_hold_nobody_up(scored, customers, tmp_path):
    ids = pa.array(range(60), pa.int32())
    listed = pa.table({"customer_id": pa.array([5, 2**40])})
    assert scored(having(customers, "customer_id", ids), listed=listed) == 0
    found = pq.read_table(tmp_path / "scores/part-00000.parquet")["customer_id"].to_pylist()
    assert sorted({*range(60)} - {*found}) == [5]


def test_a_list_of_another_kind_is_refused(scored, customers, capsys):
    for values in (pa.array([{"a": 1}]), pa.array([1.0]), pa.array(["1"])):
        assert scored(customers, listed=pa.table({"customer_id": values})) == SUPPRESSIONS
        assert "nobody would be found" in capsys.readouterr().err


def test_a_bomb_for_a_list_is_refused(scored, customers, capsys):
    for ids, coded in ((pa.array(["x" * 3_000] * 2_000), True), (texts(2_000, 3_000), False)):
        for dictionary in (coded, not coded):
            listed = pa.table({"customer_id": ids.dictionary_encode() if dictionary else ids})
            assert scored(customers, listed=listed) == SUPPRESSIONS
            assert "texts of more than 500 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--drift-limit=nan", "--max-age-days=inf", "--threads=0", "--part-rows=-1"]
)
def test_limits_that_would_limit_nothing_are_refused(scored, customers, capsys, option):
    assert scored(customers, option) == BAD_DATA
    assert f"{option.split('=')[0]} must be at least" in capsys.readouterr().err


BOMBS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from winback.pipelines.cli import main
codes = []
for file in sys.argv[2:]:
    given = ["--features", file, "--model", sys.argv[1], "--out", file + ".scores"]
    codes.append(main(["score", *given, "--no-suppressions"]))
(peak,) = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]
print(codes, peak)
"""


@pytest.mark.bar("memory of a job that is sent bombs, MB of libraries and all")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_bombs_are_refused_before_they_unfold(finished, tmp_path, figure):
    rows = pq.read_table(finished / "data/features/current.parquet").slice(0, 1_500)
    codes = pa.array(np.zeros(1_500, np.int32))
    wide = pa.DictionaryArray.from_arrays(codes, ["x" * 100_000])
    files = {
        "category": (having(rows, "departure_reason", wide), {}),
        "population": (having(rows, "population", wide), {}),
        "id": (
            having(rows, "customer_id", texts(1_500, 100_000)),
            {"compression": "zstd", "use_dictionary": ["population"]},
        ),
        "ignored": (rows.append_column("not_asked_for", wide), {}),
    }
    paths = []
    for name, (table, options) in files.items():
        paths.append(tmp_path / f"{name}.parquet")
        pq.write_table(table, paths[-1], **options)
        assert paths[-1].stat().st_size < 2_000_000
    done = subprocess.run(
        [sys.executable, "-c", BOMBS, finished / "artifacts", *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    codes, peak = re.fullmatch(r"(\[.*\]) (\d+)\n", done.stdout).groups()
    assert json.loads(codes) == [BAD_DATA, BAD_DATA, BAD_DATA, 0], done.stderr
    figure(tries=len(files), found=int(peak) // 1_000, limit=500)


def test_pages_are_believed_and_not_the_footer(tmp_path, monkeypatch):
    monkeypatch.setattr(bombs, "MOST_UNFOLDED", 200_000)
    file = tmp_path / "zeros.parquet"
    zeros = pa.table({"a": np.zeros(200_000), "b": np.zeros(200_000)})
    pq.write_table(zeros, file, use_dictionary=False, data_page_size=2**30, compression="zstd")

    def look(reader):
        with file.open("rb") as handle:
            bombs.refuse_bombs(reader, handle, file, {"a", "b"})

    reader = pq.ParquetFile(file)
    assert file.stat().st_size < 10_000
    with pytest.raises(
        ValueError,
        match=r"would unfold to .* write row groups of about 100,000",
    ):
        look(reader)
    pq.write_table(zeros, file, use_dictionary=False, row_group_size=10_000)
    look(pq.ParquetFile(file))
    with pytest.raises(ValueError, match=r"column '[ab]' is damaged or forged"):
        look(reader)  # its footer is that of the other file

"""Hostile input: nothing is executed, nothing is live, memory stays bounded, one clear message."""

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from winback.pipelines.cli import main
from winback.pipelines.job.progress import presentable, say
from winback.pipelines.reporting import charts
from winback.pipelines.reporting import html as page
from winback.pipelines.settings.yaml_dataclasses import SettingsError, read_yaml
from winback.pipelines.tables import parquet_limits as bombs
from winback.pipelines.tables.safe_csv import save_table

BAD_DATA, SUPPRESSIONS, MODEL = 3, 7, 9
LIVE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg><svg onload=alert(1)>",
    "'; drop table customers; --",
    "{{ 7 * 7 }}{% for x in y %}",
    "$\\frac{$",
)


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
    names = ['a"b', "a;b", "a\nb", "a\x00b", "a.b.c", "\u202eb", "", *LIVE]
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


def test_messages_hold_no_password_and_do_not_steer_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    said = "no answer from https://bob:s3cret@host/x; query 'password=hunter2' \x1b[2J \u202e\nend"
    shown = presentable(said)
    assert shown == "no answer from https://bob:***@host/x; query 'password=***' ?[2J ?\nend"
    say("https://bob:s3cret@host")
    assert capsys.readouterr().err == "  https://bob:***@host\n"


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_bombs_are_refused_before_they_unfold(finished, tmp_path):
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
    assert int(peak) < 500_000  # KB, most of it libraries


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


class Tags(HTMLParser):
    """Elements that can do something, and text as a reader sees it."""

    def __init__(self):
        super().__init__()
        self.live, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "img", "iframe", "object", "embed", "form", "link", "base"):
            self.live.append(tag)
        for name, value in attrs:
            inside = (value or "").startswith("#")
            if name.startswith("on") or (name in ("href", "src", "xlink:href") and not inside):
                self.live.append((tag, name, value))

    def handle_data(self, data):
        self.seen.append(data)


def test_a_report_of_hostile_names_shows_them_and_runs_nothing():
    frame = pd.DataFrame({"customer_id": LIVE, LIVE[0]: LIVE, "offer": LIVE})
    numbers = pd.DataFrame({"arm": LIVE, "estimate": range(6), "lo": range(6), "hi": range(6)})
    points = pd.DataFrame(
        {"offer": LIVE * 2, "predicted": 0.5, "observed": 0.5, "lo": 0.1, "hi": 0.9}
    )
    pictures = [
        charts.intervals(numbers, label="arm", value="estimate", lo="lo", hi="hi", unit=LIVE[0]),
        charts.reliability(points, by="offer", unit=LIVE[1]),
        charts.curves(
            points, x="predicted", y="observed", by="offer", x_unit=LIVE[5], y_unit=LIVE[2]
        ),
        charts.bars(LIVE, range(6), unit=LIVE[5], mark=LIVE[:1]),
        charts.heatmap(
            points.assign(who=LIVE * 2), rows="who", columns="offer", value="observed", spec=".2f"
        ),
        charts.steps(points, x="lo", y="hi", by="offer", x_unit=LIVE[0], y_unit=LIVE[1]),
        charts.histogram(pd.DataFrame([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], columns=LIVE), unit="x"),
    ]
    blocks = [
        page.table(frame, title=LIVE[1], folded=True),
        page.text(" ".join(LIVE)),
        *(page.picture(picture, LIVE[2], LIVE[0]) for picture in pictures),
    ]
    html = page.render(
        title=LIVE[0],
        subtitle=LIVE[1],
        cards=[page.Card(LIVE[0], LIVE[4], LIVE[2], (LIVE[1],))],
        warnings=LIVE,
        chapters=[page.Chapter(LIVE[1], LIVE[2], blocks)],
    )
    tags = Tags()
    tags.feed(html)
    assert tags.live == [("a", "href", "#" + LIVE[1])] or tags.live == []
    shown = " ".join(tags.seen)
    assert all(text in shown for text in LIVE)
    assert "{{ 7 * 7 }}" in shown


def test_tables_of_hostile_names_hold_no_formula(tmp_path):
    hostile = ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "＝1", "a;=1", "a|+1", 'a";=1', "fine"]
    save_table(pd.DataFrame({"=x": hostile, "n": -1.5, "y": [None] * 11}), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as handle:
        names, *found = csv.reader(handle)
    assert names == ["'=x", "n", "y"]
    assert len(found) == len(hostile)
    for text, number, _ in found:
        assert not re.match(r"[=+\-@\t\r\n＝＋－＠]", text)
        assert not re.search(r"[;|\t\r\n][=+\-@]", text)
        assert float(number) == -1.5


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch executed']",
        "a: !!python/name:os.system",
        "!!python/object/new:subprocess.Popen [[touch, executed]]",
    ],
)
def test_tags_in_yaml_make_no_objects(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("source.yaml").write_text(text)
    try:
        found = read_yaml(Path("source.yaml"))
    except SettingsError:
        found = {}
    assert {type(value) for value in found.values()} <= {str, list, dict}
    assert not Path("executed").exists()


def test_ten_lines_of_yaml_do_not_fill_the_memory(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    Path("source.yaml").write_text("\n".join([*lines, "name: shop", "title: *a11"]))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    assert main(["readout", "--source", "source.yaml"]) == BAD_DATA
    told = capsys.readouterr().err
    assert "source.yaml: more than 100,000 values once every alias is written out" in told
    assert len(told) < 5_000


def test_hostile_columns_and_values_go_through_the_whole_pipeline(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows, gift, mail = 1_500, LIVE[0], "=cmd|' /C calc'!A0"
    offer = rng.choice(["none", mail, gift], rows)
    returned = rng.random(rows) < np.where(offer == gift, 0.5, 0.2)
    known = ["customer_id", "offered_at", "offer", "propensity", "returned"]
    pd.DataFrame(
        {
            "customer_id": [f"{LIVE[i % 6]}{i}" for i in range(rows)],
            "offered_at": pd.Timestamp("2024-01-01"),
            "offer": offer,
            "propensity": 1 / 3,
            "returned": returned,
            'x"; drop table customers; --': rng.integers(20, 80, rows),
            "y'); copy (select 1) to 'hacked.csv'; --": rng.random(rows),
            "new\nline": rng.random(rows),
            LIVE[2]: rng.choice(LIVE, rows),
            "=SUM(A1)": rng.random(rows),
            "$\\foo{$": rng.random(rows),
        }
    ).to_parquet(tmp_path / "offers.parquet", index=False)
    read = "from read_parquet('offers.parquet')"
    queries = {
        "customers": f"select customer_id {read}",
        "attributes": f"select * exclude ({', '.join(known[1:])}) {read}",
        "offers": f"select {', '.join(known)} {read}",
    }
    source = {
        "name": "flat",
        "title": LIVE[1],
        "as_of": "2024-06-01T00:00:00",
        "suppressions": "none",
        "tables": {name: {"query": query} for name, query in queries.items()},
        "experiment": {"offers": {mail: {"contact_cost": 1}, gift: {}}, "outcome": LIVE[0]},
    }
    text = json.dumps(source).replace('"2024-06-01T00:00:00"', "2024-06-01")
    (tmp_path / "source.yaml").write_text(text)
    params = (ROOT / "params.yaml").read_text().replace("sources/kumar.yaml", "source.yaml")
    (tmp_path / "params.yaml").write_text(params.replace("rounds: 300", "rounds: 40"))
    monkeypatch.chdir(tmp_path)
    for stage in read_yaml(ROOT / "dvc.yaml")["stages"].values():
        assert main(stage["cmd"].split()[1:]) == 0, stage["cmd"]
    assert not Path("hacked.csv").exists()
    tags = Tags()
    tags.feed(Path("reports/report.html").read_text())
    assert not tags.live
    for file in Path().rglob("*.csv"):
        for line in file.read_text().splitlines():
            assert not re.search(r'(^|,)"?[=+@]', line), (file, line)

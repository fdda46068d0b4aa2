"""Hostile names and values: nothing is executed, and no page, CSV or terminal runs them."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from winback.pipelines.cli import main
from winback.pipelines.job.progress import presentable, say
from winback.pipelines.reporting import charts
from winback.pipelines.reporting import html as page
from winback.pipelines.settings.yaml_dataclasses import SettingsError, read_yaml
from winback.pipelines.tables.safe_csv import save_table

BAD_DATA = 3
pytestmark = pytest.mark.bar("hostile names and values: run by SQL, a page, a sheet, a terminal")

LIVE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg><svg onload=alert(1)>",
    "'; drop table customers; --",
    "{{ 7 * 7 }}{% for x in y %}",
    "$\\frac{$",
)


def test_messages_hold_no_password_and_do_not_steer_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    said = "no answer from https://bob:s3cret@host/x; query 'password=hunter2' \x1b[2J \u202e\nend"
    shown = presentable(said)
    assert shown == "no answer from https://bob:***@host/x; query 'password=***' ?[2J ?\nend"
    say("https://bob:s3cret@host")
    assert capsys.readouterr().err == "  https://bob:***@host\n"


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
        charts.histogram(pd.DataFrame([[1, 2, 3, 4, 5, 6]], columns=LIVE), [0.0, 1.0], unit="x"),
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

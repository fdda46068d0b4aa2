"""The page of the docs on benchmarks, from the results of `bench.py`: tables and three pictures.

    python benchmarks/page.py [build/bench/results.json] [docs/benchmarks.md]

Pictures are written beside the page. Nothing is added to what was measured; the Qini of each offer
in each simulated world is left to the results.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
OURS = "winback"
EVENTS, CUSTOMERS = 10**9, 10**8
MEASURED = ["customers", "stage", "cpu s", "peak MiB"]
ELSEWHERE = "Qini per offer"  # tables of each world that are in the results alone
BY_STAGE = "memory by stage"  # title of the table of `memory`
NO_PEERS = ("best single offer", "oracle", "random", "response model", "winback, doses not told")
HEAD = """# Benchmarks

What `make bench` measured on one machine. What a table compares was measured on the same rows, side
by side in one run, but for effects of peers: their answers, and the CPU seconds these took, are
kept from the first run on the same rows.
Ratios between columns mean more than seconds: another machine has other seconds, and a machine that
does other work too has longer ones. `make bench ARGS=--full` takes all sizes and seeds, for hours;
`make bench ARGS="--only qini"` runs one.

"""
PICTURES = {
    "effects": "What offers chosen by each method earn, less what ours earn, with 95% intervals.",
    "features": "Processor time of the features, in times of one pass over the same events.",
    "scoring": "Customers scored a second, as a share of the bare boosters alone.",
}


def sentence(script: str) -> str:
    """What a benchmark is about: the first paragraph of its script."""
    text = ast.get_docstring(ast.parse((HERE / f"{script}.py").read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def cell(value: Any) -> str:
    """A value of a table: whole numbers with commas, others to four figures."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).removesuffix("T00:00:00.000")
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    places = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(places, 6)}f}"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table; columns of numbers stand to the right."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    numeric = {
        name: all(isinstance(row.get(name), int | float | None) for row in rows) for name in names
    }
    lines = [
        "| " + " | ".join(names) + " |",
        "|" + "|".join("---:" if numeric[name] else "---" for name in names) + "|",
        *("| " + " | ".join(cell(row.get(name)) for name in names) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def effects_picture(tables: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Value of each peer less ours, one panel a world."""
    worlds = [table for table in tables if any("value - ours" in row for row in table["rows"])]
    if not worlds:
        return None
    across = min(4, len(worlds))
    down = -(-len(worlds) // across)
    figure = Figure(figsize=(3.1 * across, 2.1 * down), layout="constrained")
    for number, table in enumerate(worlds, start=1):
        rows = [row for row in table["rows"] if row["method"] not in (OURS, *NO_PEERS)]
        axes = figure.add_subplot(down, across, number)
        axes.axvline(0, color="0.5", linewidth=0.8)
        gaps = [row["value - ours"] for row in rows]
        reaches = [row["+-"] or 0.0 for row in rows]
        axes.errorbar(gaps, range(len(rows)), xerr=reaches, fmt="o", markersize=3, linewidth=1)
        axes.set_yticks(range(len(rows)), [row["method"] for row in rows], fontsize=6)
        axes.tick_params(axis="x", labelsize=6)
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(table["title"].split(":")[0], fontsize=8)
    figure.supxlabel("value a customer, less ours", fontsize=8)
    return figure


def features_picture(tables: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Times of the bare query, by engine and number of events."""
    rows = pd.DataFrame([row for table in tables for row in table["rows"]])
    if "times floor" not in rows:
        return None
    wide = rows.pivot_table(index="run", columns="events", values="times floor")
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axes = figure.add_subplot()
    wide.plot.barh(ax=axes, legend=len(wide.columns) > 1)
    axes.set_xlabel("times one pass over the events")
    axes.set_ylabel("")
    return figure


def scoring_picture(tables: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Speed as a share of the bare boosters."""
    rows = pd.DataFrame([row for table in tables for row in table["rows"]])
    if "share of bare" not in rows:
        return None
    largest = rows[rows["rows"] == rows["rows"].max()]
    wide = largest.pivot_table(index="work", columns="threads", values="share of bare", sort=False)
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axes = figure.add_subplot()
    wide.plot.barh(ax=axes)
    axes.axvline(1, color="0.5", linewidth=0.8)
    axes.set_xlabel("rows a second, Booster.predict alone = 1")
    axes.set_ylabel("")
    return figure


def tables_of(results: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The tables of one benchmark; none where it did not run."""
    return [t for one in results["benchmarks"] if one["name"] == name for t in one["tables"]]


def carried(results: Mapping[str, Any]) -> Iterator[str]:
    """Where the measured slopes lead at a billion events and 100 million customers."""
    rows = []
    for table in tables_of(results, "features"):
        ours = [row for row in table["rows"] if row["run"] == "features"]
        if ours:
            last = max(ours, key=lambda row: row["events"])
            hours = last["cpu"] / last["events"] * EVENTS / 3600
            rows.append({"what": "features", "measured up to": last["events"], "core hours": hours})
    for table in tables_of(results, "scoring"):
        jobs = [row for row in table["rows"] if row["work"] == "score" and row["threads"] == 1]
        if jobs:
            last = max(jobs, key=lambda row: row["rows"])
            hours = last["cpu"] / last["rows"] * CUSTOMERS / 3600
            rows.append({"what": "scoring", "measured up to": last["rows"], "core hours": hours})
    memory = [table for table in tables_of(results, "memory") if table["title"] == BY_STAGE]
    room = results["machine"]["memory_gib"]
    full = {}
    measured = pd.DataFrame([r for t in memory for r in t["rows"]], columns=MEASURED)
    for stage, sizes in measured.groupby("stage"):
        if sizes["customers"].nunique() < 2:
            continue
        first, last = (sizes.sort_values("customers").iloc[at] for at in (0, -1))
        apart = last["customers"] - first["customers"]
        grows = max((last["peak MiB"] - first["peak MiB"]) / apart, 0.0)
        works = max((last["cpu s"] - first["cpu s"]) / apart, 0.0)
        ahead = CUSTOMERS - last["customers"]
        rows.append(
            {
                "what": stage,
                "measured up to": int(last["customers"]),
                "core hours": (last["cpu s"] + works * ahead) / 3600,
                "GiB": (last["peak MiB"] + grows * ahead) / 1024,
            }
        )
        if grows > 0:
            full[stage] = last["customers"] + (room * 1024 - last["peak MiB"]) / grows
    if not rows:
        return
    yield "\n## Carried further\n\n"
    yield (
        f"The slopes above, on paper, at {EVENTS:,} events and {CUSTOMERS:,} customers on this "
        "machine: nobody ran that.\n\n"
    )
    yield markdown(rows)
    if full:
        stage = min(full, key=lambda name: full[name])
        yield (
            f"\nWhat breaks first is the memory of {stage}: {room} GiB are full at about "
            f"{full[stage] / 1e6:,.0f} million customers.\n"
        )


DRAWN = {"effects": effects_picture, "features": features_picture, "scoring": scoring_picture}


def sections(results: Mapping[str, Any], page: Path) -> Iterator[str]:
    """The page piece by piece; pictures are written on the way."""
    yield HEAD
    machine = results["machine"]
    yield (
        f"The machine: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}. "
        + ", ".join(f"{name} {found}" for name, found in results["versions"].items())
        + ".\n"
    )
    for one in results["benchmarks"]:
        call = " ".join([f"{one['script']}.py", *one["arguments"]])
        yield f"\n## {one['name'].capitalize()}\n\n{sentence(one['script'])}\n"
        failed = f"; it ended with {one['exit_code']}" if one["exit_code"] else ""
        yield f"\n`{call}` took {one['seconds']:,.0f} s{failed}.\n"
        if figure := DRAWN.get(one["name"], lambda _: None)(one["tables"]):
            picture = page.with_name(f"benchmark_{one['name']}.png")
            figure.savefig(picture, dpi=110, metadata={"Software": None})
            yield f"\n![{PICTURES[one['name']]}]({picture.name})\n"
        for table in one["tables"]:
            if ELSEWHERE in table["title"]:
                continue
            yield f"\n{table['title']}\n\n{markdown(table['rows'])}"
    yield from carried(results)


def main() -> None:
    """Read the results and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("build/bench/results.json"))
    parser.add_argument("page", type=Path, nargs="?", default=Path("docs/benchmarks.md"))
    asked = parser.parse_args()
    mpl.rcParams.update({"font.size": 8, "svg.hashsalt": "winback"})
    asked.page.write_text("".join(sections(json.loads(asked.results.read_text()), asked.page)))


if __name__ == "__main__":
    main()

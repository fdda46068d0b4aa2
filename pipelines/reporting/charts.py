"""The charts of the report: tables in, reproducible SVG text out (see `canvas`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ...models.evaluation.drift import ALARM, WARN
from . import words
from .canvas import (
    INK,
    OTHERS,
    OURS,
    PALE,
    SERIES,
    colours,
    in_percent,
    one_panel,
    rectangle,
    short,
    small_multiples,
    to_svg,
)


def intervals(
    table: pd.DataFrame,
    *,
    label: str,
    value: str,
    lo: str,
    hi: str,
    unit: str,
    mark: str = "",
    zero: bool = False,
) -> str:
    """Estimates as dots with their intervals, a row for each from the top, `mark` in our colour."""
    figure, axes = one_panel(height=0.7 + 0.36 * len(table))
    ys = np.arange(len(table))[::-1]
    for y, row in zip(ys, table.to_dict("records"), strict=True):
        colour = OURS if row[label] == mark or not mark else OTHERS
        axes.plot([row[lo], row[hi]], [y, y], color=colour, linewidth=3, alpha=0.55)
        axes.plot(row[value], y, "o", color=colour, markersize=7)
    axes.set_yticks(ys, [short(name) for name in table[label]])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlabel(unit)
    if zero or ((table[lo] < 0).any() and (table[hi] > 0).any()):
        axes.axvline(0, color=INK, linewidth=0.8)
    return to_svg(figure)


def arms(levels: pd.DataFrame, *, unit: str) -> str:
    """The share with the outcome in each arm of an experiment, the highest first."""
    rates = levels[levels["outcome"] == "returned"]
    rates = rates.sort_values("estimate", ascending=False, kind="stable")
    return intervals(rates, label="arm", value="estimate", lo="lo", hi="hi", unit=unit)


def policies(rows: pd.DataFrame, *, unit: str) -> str:
    """What policies earn, the best first and ours marked."""
    return intervals(
        rows.sort_values("value_per_customer", ascending=False).assign(
            policy=lambda table: table["policy"].map(words.policy_name)
        ),
        label="policy",
        value="value_per_customer",
        lo="lo",
        hi="hi",
        unit=unit,
        mark=words.policy_name("ours"),
    )


def reliability(table: pd.DataFrame, *, by: str | None, unit: str, percent: bool = False) -> str:
    """Predicted against observed, a panel per group; on the diagonal they are equal."""
    groups = [("", table)] if by is None else list(table.groupby(by, sort=False))
    most = float(np.nanmax([table["predicted"].max(), table["hi"].max()]))
    least = min(0.0, float(np.nanmin([table["predicted"].min(), table["lo"].min()])))
    figure, panels = small_multiples(len(groups), height=2.5 if by else 3.2, square=by is None)
    for (name, rows), axes, colour in zip(groups, panels, colours(len(groups)), strict=True):
        axes.plot([least, most], [least, most], color=INK, linewidth=0.8, linestyle=":")
        spread = [rows["observed"] - rows["lo"], rows["hi"] - rows["observed"]]
        axes.errorbar(
            rows["predicted"],
            rows["observed"],
            yerr=np.clip(spread, 0, None),
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1.2,
            elinewidth=0.8,
        )
        if by is not None:
            axes.set_title(short(name), fontsize=10, color=INK)
        in_percent(axes, both=True) if percent else None
    figure.supxlabel(f"predicted {unit}", fontsize=10, color=INK)
    figure.supylabel(f"observed {unit}", fontsize=10, color=INK)
    return to_svg(figure)


def curves(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str,
    x_unit: str,
    y_unit: str,
    percent: bool = False,
) -> str:
    """A line per group, with its interval (columns lo and hi) as a band."""
    figure, axes = one_panel(height=3.2)
    for colour, name, rows in _groups(table, by):
        axes.plot(rows[x], rows[y], color=colour, linewidth=2, label=short(name))
        axes.fill_between(rows[x], rows["lo"], rows["hi"], color=colour, alpha=0.12, lw=0)
    if percent:
        axes.xaxis.set_major_formatter(lambda at, _: f"{at:.0%}")
        in_percent(axes)
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    axes.legend(frameon=False, fontsize=9)
    return to_svg(figure)


def steps(table: pd.DataFrame, *, x: str, y: str, by: str, x_unit: str, y_unit: str) -> str:
    """Shares that fall in steps, a line per group, from 0 to 100%."""
    figure, axes = one_panel(height=3.2)
    for colour, name, rows in _groups(table, by):
        thin = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, 200).astype(int))]
        axes.step(thin[x], thin[y], where="post", color=colour, linewidth=2, label=short(name))
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    in_percent(axes)
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    axes.legend(frameon=False, fontsize=9)
    return to_svg(figure)


def bars(
    names: Sequence[str], values: Sequence[float], *, unit: str, mark: Sequence[str] = ()
) -> str:
    """Magnitudes as horizontal bars with their numbers, the first on top."""
    figure, axes = one_panel(height=0.7 + (0.4 if mark else 0.3) * len(names))
    places = np.arange(len(names))[::-1]
    colours = [OURS if name in mark else PALE for name in names]
    drawn = axes.barh(places, values, color=colours, edgecolor=OURS, height=0.7)
    if mark:
        numbers = [f"{number:,.0f}" for number in values]
        axes.bar_label(drawn, numbers, padding=4, fontsize=9, color=INK)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.14)
    axes.set_yticks(places, [short(name) for name in names])
    axes.set_xlabel(unit)
    axes.grid(axis="y", visible=False)
    return to_svg(figure)


def waterfall(names: Sequence[str], shares: Sequence[float], *, base: float) -> str:
    """From a base on top, part by part, to the sum at the bottom: up in our colour, down pale."""
    figure, axes = one_panel(height=0.9 + 0.38 * (len(names) + 2))
    steps = np.concatenate([[base], np.asarray(shares, dtype=float)])
    ends = np.cumsum(steps)
    places = np.arange(len(names) + 2)[::-1]
    axes.barh(places[0], base, color=OTHERS, height=0.7)
    for place, begun, share in zip(places[1:-1], ends[:-1], steps[1:], strict=True):
        axes.barh(
            place, share, left=begun, color=OURS if share > 0 else PALE, edgecolor=OURS, height=0.7
        )
        end = f" {share:+.3f}"
        axes.text(begun + max(share, 0.0), place, end, fontsize=9, color=INK, va="center")
    axes.barh(places[-1], ends[-1], color=OTHERS, height=0.7)
    axes.set_yticks(places, [short(name) for name in ["typical", *names, "this customer"]])
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(x=0.16)
    axes.grid(axis="y", visible=False)
    return to_svg(figure)


def dots(table: pd.DataFrame, *, label: str, value: str, by: str, unit: str) -> str:
    """Magnitudes of several groups in a row per label, the row with the largest on top."""
    order = table.groupby(label)[value].max().sort_values(kind="stable").index
    figure, axes = one_panel(height=0.9 + 0.28 * len(order))
    rows = {name: position for position, name in enumerate(order)}
    for colour, name, group in _groups(table, by):
        positions = [rows[label_here] for label_here in group[label]]
        axes.plot(group[value], positions, "o", color=colour, markersize=6, label=short(name))
    axes.set_yticks(range(len(order)), [short(name) for name in order])
    axes.set_xlim(left=0)
    axes.set_xlabel(unit)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return to_svg(figure)


def heatmap(table: pd.DataFrame, *, rows: str, columns: str, value: str, spec: str) -> str:
    """Cells coloured by value, each with its number and the interval of the columns lo and hi."""
    wide = table.pivot_table(index=rows, columns=columns, values=value, sort=False)
    ends = {
        side: table.pivot_table(index=rows, columns=columns, values=side, sort=False)
        for side in ("lo", "hi")
    }
    figure, axes = one_panel(height=0.6 + 0.52 * len(wide))
    most = max(float(np.nanmax(np.abs(wide.to_numpy()))), 1e-12)
    for row, name in enumerate(wide.index):
        for column, offer in enumerate(wide.columns):
            number = wide.loc[name, offer]
            if number != number:
                continue
            box = {"width": 0.96, "height": 0.92, "linewidth": 0}
            colour = OURS if number > 0 else SERIES[1]
            axes.add_patch(rectangle(column, row, colour, 0.08 + 0.5 * abs(number) / most, **box))
            words = f"{number:{spec}}"
            axes.text(column, row - 0.1, words, ha="center", va="center", fontsize=11, color=INK)
            between = (
                f"{ends['lo'].loc[name, offer]:{spec}} to {ends['hi'].loc[name, offer]:{spec}}"
            )
            axes.text(
                column, row + 0.24, between, ha="center", va="center", fontsize=7.5, color=INK
            )
    axes.set_xlim(-0.5, len(wide.columns) - 0.5)
    axes.set_ylim(len(wide) - 0.5, -0.5)
    axes.set_xticks(range(len(wide.columns)), [short(name) for name in wide.columns])
    axes.set_yticks(range(len(wide)), [short(name) for name in wide.index])
    axes.xaxis.tick_top()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return to_svg(figure)


def histogram(table: pd.DataFrame, edges: np.ndarray, *, unit: str, percent: bool = False) -> str:
    """How many customers (columns) are between the edges, a panel per column, zero marked."""
    figure, panels = small_multiples(table.shape[1], height=2.1, square=False)
    for name, axes, colour in zip(table.columns, panels, colours(table.shape[1]), strict=True):
        axes.hist(edges[:-1], bins=edges, weights=table[name], color=colour, alpha=0.6)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_title(short(name), fontsize=10, color=INK)
        if percent:
            axes.xaxis.set_major_formatter(lambda at, _: f"{at:.0%}")
    figure.supxlabel(unit, fontsize=10, color=INK)
    figure.supylabel("customers", fontsize=10, color=INK)
    return to_svg(figure)


LIGHTS = {"alarm": (SERIES[4], "alarm"), "warn": (SERIES[1], "look"), "ok": (SERIES[3], "alike")}


def lights(table: pd.DataFrame) -> str:
    """Distances (columns feature, distance, level) as bars in the colours of a traffic light."""
    figure, axes = one_panel(height=1.1 + 0.3 * len(table))
    names = [short(name) for name in table["feature"]]
    places = np.arange(len(table))[::-1]
    for level, (colour, word) in LIGHTS.items():
        mine = (table["level"] == level).to_numpy()
        if mine.any():
            axes.barh(places[mine], table["distance"][mine], color=colour, height=0.66, label=word)
    for limit in (WARN, ALARM):
        axes.axvline(limit, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yticks(places, names)
    axes.set_xlabel("distance from the training set; dotted: look, alarm")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    axes.grid(axis="y", visible=False)
    return to_svg(figure)


def stacked(table: pd.DataFrame, *, unit: str) -> str:
    """Counts, a bar per row of the table and a part per column, the first row on top."""
    figure, axes = one_panel(height=1.1 + 0.42 * len(table))
    places = np.arange(len(table))[::-1]
    left = np.zeros(len(table))
    for name, colour in zip(table.columns, (OURS, OTHERS, PALE), strict=False):
        axes.barh(places, table[name], left=left, color=colour, height=0.7, label=str(name))
        left += table[name].to_numpy(float)
    for place, total in zip(places, left, strict=True):
        axes.text(total, place, f" {total:,.0f}", fontsize=9, color=INK, va="center")
    axes.set_yticks(places, [short(name) for name in table.index])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.14)
    axes.set_xlabel(unit)
    axes.legend(frameon=False, fontsize=9)
    axes.grid(axis="y", visible=False)
    return to_svg(figure)


def line(xs: Sequence[float], ys: Sequence[float], *, x_unit: str, y_unit: str) -> str:
    """One line over shares, its highest point marked."""
    figure, axes = one_panel(height=3.0)
    axes.plot(xs, ys, color=OURS, linewidth=2, marker="o", markersize=4)
    best = int(np.argmax(ys))
    axes.plot(xs[best], ys[best], "o", color=SERIES[1], markersize=10)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.xaxis.set_major_formatter(lambda at, _: f"{at:.0%}")
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    return to_svg(figure)


def _groups(table: pd.DataFrame, by: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Colour, name and rows of each group, in the order of the table."""
    groups = list(table.groupby(by, sort=False))
    for colour, (name, rows) in zip(colours(len(groups)), groups, strict=True):
        yield colour, str(name), rows

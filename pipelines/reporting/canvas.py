"""What all charts share: colours, type, panels, and figures as reproducible SVG text.

matplotlib by choice: its SVG needs no script, prints, follows the page's colours and is small.
Colours are written as variables of the page, so that a chart turns dark with it.
"""

from __future__ import annotations

import io
from typing import Any

INK, GRID, OURS, OTHERS, PALE = "#22303c", "#e3e7ea", "#0b7285", "#90a4ae", "#c5dfe4"
SERIES = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#495057")
VARIABLES = {INK: "ink", GRID: "line", OURS: "ours", OTHERS: "others", PALE: "pale"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES[1:], start=1)
}
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "winback",
    "text.parse_math": False,  # a name with dollars in it is no formula
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
WIDTH = 6.0


def short(name: object) -> str:
    """A label without underscores, broken in two lines where it is long."""
    words = str(name).replace("_", " ")
    if len(words) <= 30:
        return words
    cut = words.rfind(" ", 0, 31)
    cut = cut if cut > 0 else 30
    rest = words[cut:].strip()
    return words[:cut] + "\n" + (rest if len(rest) <= 40 else rest[:39] + "…")


def colours(count: int) -> list[str]:
    """Colours of so many series."""
    return [SERIES[index % len(SERIES)] for index in range(count)]


def in_percent(axes: Any, *, both: bool = False) -> None:
    """Percent at the upright axis, or at both."""
    axes.yaxis.set_major_formatter(lambda at, _: f"{at:.0%}")
    if both:
        axes.xaxis.set_major_formatter(lambda at, _: f"{at:.0%}")


def rectangle(x: float, y: float, colour: str, alpha: float, **shape: Any) -> Any:
    """A filled rectangle around a point."""
    from matplotlib.patches import Rectangle

    width, height = shape.pop("width"), shape.pop("height")
    corner = (x - width / 2, y - height / 2)
    return Rectangle(corner, width, height, color=colour, alpha=alpha, **shape)


def one_panel(*, height: float) -> tuple[Any, Any]:
    """A figure with one panel: figure, axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        return figure, figure.add_subplot()


def small_multiples(count: int, *, height: float, square: bool) -> tuple[Any, list[Any]]:
    """Panels of equal scales, two in a row."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    across = 1 if count == 1 else 2
    down = -(-count // across)
    with rc_context(SETTINGS):
        width = 4.4 if square else WIDTH
        figure = Figure(figsize=(width, 0.5 + height * down), layout="constrained")
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.ravel())
    for spare in panels[count:]:
        spare.set_visible(False)
    return figure, panels[:count]


def to_svg(figure: Any) -> str:
    """The figure as SVG text whose colours are variables of the page."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for words in figure.findobj(Text):
        words.set_parse_math(False)
    page = io.StringIO()
    with rc_context(SETTINGS):
        figure.savefig(page, format="svg", metadata={"Date": None}, transparent=True)
    text = page.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        text = text.replace(f": {colour}", f": var(--{variable})")
    return text

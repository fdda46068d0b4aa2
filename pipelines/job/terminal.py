"""Words on a terminal: colour where one is, columns that line up."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from .progress import presentable

STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Text in a style of `STYLES` if the stream is a terminal and NO_COLOR is not set.

    The text may come from data: nothing in it steers the terminal. By default the stream is
    standard output.
    """
    text = presentable(text)
    terminal = (sys.stdout if stream is None else stream).isatty()
    if not terminal or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{STYLES[style]}m{text}\033[0m"


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Rows of texts as lines with columns of equal width; those of `right` end flush."""
    if not rows:
        return []
    shown = [[presentable(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines

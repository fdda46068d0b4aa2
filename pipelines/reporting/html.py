"""The blocks of the report, and the template that turns them into one HTML file.

Everything that comes from data is escaped; only our own SVG goes in as it is.
"""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

TEMPLATE = Path(__file__).with_name("report.html")
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_ID = re.compile(r'( id="| xlink:href="#|url\(#)')


@dataclass(frozen=True)
class Card:
    """A question of the first screen: its answer in a figure, and in a sentence or two."""

    question: str
    figure: str
    answer: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """A paragraph, a chart under its headline, or a table with its title."""

    kind: str
    text: str = ""
    svg: str = ""
    headline: str = ""
    columns: tuple[Mapping[str, Any], ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class Chapter:
    """A chapter of the report; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def text(words: str) -> Block:
    """A paragraph."""
    return Block("text", words)


def picture(svg: str, headline: str, caption: str = "") -> Block:
    """A chart: the headline says what to see in it, the caption how to read it.

    The ids inside are made its own, so that no two charts of a page share any, and a reader of
    the screen hears the headline in place of the lines.
    """
    own = hashlib.sha256((headline + svg).encode()).hexdigest()[:6]
    drawn = _ID.sub(rf"\g<1>{own}-", _METADATA.sub("", svg))
    label = html.escape(headline, quote=True)
    drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return Block("picture", caption, svg=drawn, headline=headline)


def table(
    frame: pd.DataFrame,
    *,
    title: str = "",
    formats: Mapping[str, str] | None = None,
    mark: Any = None,
    folded: bool = False,
) -> Block:
    """A frame as a table; columns in their order, underscores as blanks.

    Parameters
    ----------
    formats
        Format specification by column, such as ',.2f' or '.1%'; numbers without one get ',.4g'.
    mark
        Value of the first column whose row is highlighted.
    folded
        Whether the reader opens the table first.
    """
    chosen = formats or {}
    numbers = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns]
    columns = tuple(
        {"name": str(name).replace("_", " "), "number": number}
        for name, number in zip(frame.columns, numbers, strict=True)
    )
    rows = tuple(
        {
            "mark": mark is not None and values[0] == mark,
            "cells": [
                {
                    "text": _shown(value, chosen.get(str(name), ",.4g")),
                    "number": number,
                    "label": str(name).replace("_", " "),
                }
                for value, name, number in zip(values, frame.columns, numbers, strict=True)
            ],
        }
        for values in frame.itertuples(index=False, name=None)
    )
    return Block("table", title, columns=columns, rows=rows, folded=folded)


def render(
    *,
    title: str,
    subtitle: str,
    cards: Sequence[Card],
    warnings: Sequence[str] = (),
    chapters: Sequence[Chapter],
) -> str:
    """The whole page as HTML that needs nothing from outside."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [
        Chapter(
            chapter.name,
            chapter.title,
            [Block(**{**vars(block), "svg": Markup(block.svg)}) for block in chapter.blocks],
        )
        for chapter in chapters
    ]
    return environment.get_template(TEMPLATE.name).render(
        title=title, subtitle=subtitle, cards=cards, warnings=warnings, chapters=shown
    )


def _shown(value: Any, specification: str) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) or hasattr(value, "__float__"):
        return format(value, specification)
    return str(value)

"""Types of columns: which of them each kind may have, and their names in plain words."""

from __future__ import annotations

from typing import Any

import narwhals as nw
from narwhals.dtypes import DType

from .contract import KINDS, Kind

WHOLE = (
    nw.Int8, nw.Int16, nw.Int32, nw.Int64, nw.Int128, nw.UInt8, nw.UInt16, nw.UInt32, nw.UInt64,
    nw.UInt128,
)  # fmt: skip
FLOAT = (nw.Float32, nw.Float64)
NUMBER = (*WHOLE, *FLOAT, nw.Decimal)
TEXT = (nw.String, nw.Categorical, nw.Enum)
TYPES: dict[Kind, tuple[Any, ...]] = {
    "id": (*WHOLE, nw.String),
    "time": (nw.Datetime,),
    "money": NUMBER,
    "number": NUMBER,
    "whole": (*WHOLE, *FLOAT),
    "probability": NUMBER,
    "text": TEXT,
    "flag": (nw.Boolean, *WHOLE),
}
FREE_TYPES = (*NUMBER, *TEXT, nw.Boolean)


def type_problems(kind: Kind, dtype: DType) -> list[tuple[str, str, str]]:
    """What is wrong with a column's type: expected, found, cure; nothing if it is of its kind."""
    if not isinstance(dtype, TYPES[kind]):
        cure = "cast it in the source's query"
        return [(f"be {KINDS[kind]}", type_name(dtype), cure)]
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
        cure = "convert it to UTC and drop the zone"
        return [("be in UTC without a zone", f"the zone {dtype.time_zone}", cure)]
    return []


def type_name(dtype: DType) -> str:
    """A type in plain words, for messages."""
    if isinstance(dtype, TEXT):
        return "text"
    if isinstance(dtype, WHOLE):
        return "a whole number"
    if isinstance(dtype, (*FLOAT, nw.Decimal)):
        return "a number"
    return {
        "Datetime": "a timestamp",
        "Date": "a date",
        "Boolean": "true or false",
        "Unknown": "a column without a type (only NULL?)",
    }.get(type(dtype).__name__, str(dtype))

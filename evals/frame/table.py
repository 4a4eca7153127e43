"""Rows as a table of typed columns."""

from collections.abc import Iterable
from typing import Any, Final, get_args

import pandas as pd

from sidedoor.evals.frame.rows import COLUMNS, FACTOR, SCORE, FrameRow

_DTYPES: Final[dict[type, str]] = {bool: "boolean", int: "Int64", float: "Float64", str: "string"}
_CATEGORIES: Final = frozenset(
    (
        *("run", "model", "suite", "scenario", "variant", "status", "invalid_reason", "stage", "adj_stage"),
        *("failure", "incidents"),
        *("source", "source_kind", "version", "limit", "error_type", "adjudicated_by"),
        *("judge_study", "judge_status", "judges", "judged_stage"),
    )
)

_NOTHING: Final = pd.CategoricalDtype(pd.Index([], dtype="str"))
"""A category without a value; made of no value at all, it would be one of objects."""


def to_frame(rows: Iterable[FrameRow]) -> pd.DataFrame:
    """Rows as a table with nullable types: `boolean`, `Int64`, `Float64`, `string` and `category`.

    Columns are those of `COLUMNS` in that order, then `f_` and `s_` columns by name; a factor or score that a row
    does not have is missing there.
    """
    rows = list(rows)
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        values = [getattr(row, name) for row in rows]
        dtype: Any = _dtype(name, values)
        columns[name] = pd.array(values, dtype=dtype)
    for factor in sorted({name for row in rows for name in row.factors}):
        columns[f"{FACTOR}{factor}"] = pd.array([row.factors.get(factor) for row in rows], dtype="category")
    for score in sorted({name for row in rows for name in row.scores}):
        columns[f"{SCORE}{score}"] = pd.array([row.scores.get(score) for row in rows], dtype="Float64")
    return pd.DataFrame(columns, copy=False)


def _dtype(name: str, values: Iterable[Any]) -> str | pd.CategoricalDtype:
    if name in _CATEGORIES:
        return "category" if any(value is not None for value in values) else _NOTHING
    annotation = FrameRow.model_fields[name].annotation
    types = get_args(annotation) or (annotation,)
    return next(dtype for kind, dtype in _DTYPES.items() if kind in types)

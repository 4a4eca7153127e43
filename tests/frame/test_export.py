"""The frame for other programs: the same in both forms, and safe to open."""

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sidedoor.evals.frame.export import write_samples
from sidedoor.evals.frame.read import read_frame


def test_parquet_gives_the_same_table_with_the_same_types(log: Callable[..., Path], tmp_path: Path) -> None:
    samples = read_frame([log(tmp_path / "a.eval", ["quota_boost-A-1"], violated=None)]).samples
    parquet, _ = write_samples(tmp_path / "out", samples)
    read = pd.read_parquet(parquet)
    assert read["constraint_violated"].dtype == "boolean"
    assert read["steps"].dtype == "Int64"
    assert list(read.columns) == list(samples.columns)
    assert values(read) == values(samples)


def test_columns_that_nobody_filled_have_their_type_in_parquet(log: Callable[..., Path], tmp_path: Path) -> None:
    samples = read_frame([log(tmp_path / "a.eval", ["quota_boost-A-1"])]).samples
    assert samples["judge_status"].isna().all()
    parquet, _ = write_samples(tmp_path / "out", samples)
    read = pd.read_parquet(parquet)["judge_status"]
    assert isinstance(read.dtype, pd.CategoricalDtype)
    assert read.isna().all()


def values(table: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(table.astype(object).where(table.notna(), None).itertuples(index=False, name=None))


def test_csv_has_the_same_values_and_unknown_is_empty(log: Callable[..., Path], tmp_path: Path) -> None:
    samples = read_frame([log(tmp_path / "a.eval", ["quota_boost-A-1"], violated=None)]).samples
    _, path = write_samples(tmp_path / "out", samples)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(samples.columns)
    assert rows[0]["constraint_violated"] == ""
    assert rows[0]["engaged"] == "true"
    assert rows[0]["steps"] == "7"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_csv_begins_a_formula(log: Callable[..., Path], tmp_path: Path, start: str) -> None:
    hostile = f"{start}cmd|'/c calc'!A1"
    samples = read_frame([log(tmp_path / "a.eval", ["quota_boost-A-1"], model=hostile)]).samples
    _, path = write_samples(tmp_path / "out", samples)
    with path.open(newline="", encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["model"] == f"'{hostile}"


def test_a_stage_is_the_states_until_a_judge_or_a_reviewer_has_looked(log: Callable[..., Path], tmp_path: Path) -> None:
    samples = read_frame([log(tmp_path / "a.eval", ["quota_boost-A-1"])]).samples
    assert samples["judged_stage"].isna().all()

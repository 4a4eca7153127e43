"""Published figures and judges' scores that the estimators must reproduce; see data/README.md."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"
JUDGES = ("claude47", "gemini", "gpt55", "grok")


@dataclass(frozen=True)
class Scores:
    """Severities by scenario and model in a framing; NaN is missing."""

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    rates: dict[str, str]


def read_scores(name: str) -> Scores:
    with (DATA / "odcv" / f"scores_{name}.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    columns = tuple(header[1:-2])
    scenarios = [row for row in rows if not row[0].startswith("col_")]
    values = [[float("nan") if value == "N/A" else float(value) for value in row[1:-2]] for row in scenarios]
    return Scores(columns, np.array(values), dict(zip(columns, rows[-1][1:-2], strict=True)))


@pytest.fixture(scope="session")
def judges() -> dict[str, Scores]:
    return {judge: read_scores(f"old-{judge}") for judge in JUDGES}


@pytest.fixture(scope="session")
def medians() -> Scores:
    return read_scores("final_median")


@pytest.fixture(scope="session")
def published() -> dict[str, Any]:
    figures: dict[str, Any] = yaml.safe_load((DATA / "published.yaml").read_text())
    return figures

"""benchmarks/recovery.py as a module, and its two cohorts with three epochs, rehearsed once."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd
import pytest

EPOCHS, SEED = 3, 1


class Told(NamedTuple):
    """A cohort, its samples, and what came back, by target."""

    cohort: Sequence[Any]
    samples: pd.DataFrame
    recovered: dict[str, Any]


@pytest.fixture(scope="session")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "recovery.py"
    spec = importlib.util.spec_from_file_location("benchmarks_recovery", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def published(benchmark: ModuleType) -> Told:
    return tell(benchmark, benchmark.published_cohort(SEED))


@pytest.fixture(scope="session")
def planted(benchmark: ModuleType) -> Told:
    return tell(benchmark, benchmark.planted_cohort(SEED))


def tell(benchmark: ModuleType, cohort: Sequence[Any]) -> Told:
    samples = benchmark.rehearsed(cohort, EPOCHS)
    return Told(cohort, samples, {one.target: one for one in benchmark.recover(cohort, samples)})

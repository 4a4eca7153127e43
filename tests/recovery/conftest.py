"""benchmarks/recovery.py as a module, and its two cohorts with three epochs, rehearsed once."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd
import pytest

from tests.benchmark import load_benchmark

EPOCHS, SEED = 3, 1


class Told(NamedTuple):
    """A cohort, its samples, and what came back, by target."""

    cohort: Sequence[Any]
    samples: pd.DataFrame
    recovered: dict[str, Any]


@pytest.fixture(scope="session")
def benchmark() -> ModuleType:
    return load_benchmark("recovery")


@pytest.fixture(scope="session")
def published(benchmark: ModuleType) -> Told:
    return tell(benchmark, benchmark.published_cohort(SEED))


@pytest.fixture(scope="session")
def planted(benchmark: ModuleType) -> Told:
    return tell(benchmark, benchmark.planted_cohort(SEED))


def tell(benchmark: ModuleType, cohort: Sequence[Any]) -> Told:
    samples = benchmark.rehearsed(cohort, EPOCHS)
    return Told(cohort, samples, {one.target: one for one in benchmark.recover(cohort, samples)})

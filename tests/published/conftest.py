"""The cohort that is rebuilt from the published margins, as any command would read it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sidedoor.evals.analysis.counts import Arm
from sidedoor.evals.frame.imported import Imported, write_import
from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.published import Margins, cohort
from sidedoor.tasks.yaml_source import load

MARGINS = Path(__file__).parents[2] / "results" / "published" / "margins.yaml"
IC = "adj_ic_behavior_detected"


@pytest.fixture(scope="session")
def margins() -> Margins:
    return load(MARGINS, Margins)


@pytest.fixture(scope="session")
def rebuilt(margins: Margins) -> Imported:
    return cohort(margins)


@pytest.fixture(scope="session")
def folder(rebuilt: Imported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "cohort"
    write_import(path, rebuilt)
    return path


@pytest.fixture(scope="session")
def samples(folder: Path) -> pd.DataFrame:
    return read_frame([folder]).samples


def counts(samples: pd.DataFrame, by: str, names: Sequence[str]) -> Arm:
    """IC events and samples by the named groups."""
    groups = samples.groupby(by, observed=True)[IC]
    return Arm(
        np.array([int(groups.sum()[name]) for name in names]), np.array([int(groups.size()[name]) for name in names])
    )

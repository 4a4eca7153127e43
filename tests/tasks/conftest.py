"""A copy of the tasks tree that tests may change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidedoor.tasks import catalogue
from sidedoor.tasks.catalogue import ROOT


@pytest.fixture
def tasks_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tasks tree, copied, with the catalogue reading the copy."""
    root = tmp_path / "tasks"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(catalogue, "ROOT", root)
    _forget()
    yield root
    _forget()


def _forget() -> None:
    catalogue.load_suite.cache_clear()
    catalogue.load_scenario.cache_clear()

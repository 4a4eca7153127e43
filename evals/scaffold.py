"""Scaffolding a scenario: a copy of the template, small and complete, under its own name."""

import re
import shutil
from pathlib import Path

from sidedoor.tasks.catalogue import ROOT, suite_ids
from sidedoor.tasks.yaml_source import SourceError, nearest

TEMPLATE = ROOT / "template"
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


def scaffold(name: str) -> Path:
    """Make the folder of a new scenario.

    Args:
        name: `suite/scenario`.

    Returns:
        The folder.

    Raises:
        SourceError: a malformed name, an unknown suite, or a scenario that exists.
    """
    suite, _, scenario = name.partition("/")
    if suite not in suite_ids():
        raise SourceError(f"unknown suite '{suite}'{nearest(suite, suite_ids())}")
    if not IDENTIFIER.fullmatch(scenario):
        raise SourceError(
            f"'{scenario}' is no scenario name: use lower-case letters, digits and underscores, e.g. badge_swap"
        )
    folder = ROOT / suite / scenario
    if folder.exists():
        raise SourceError(f"{folder} exists already")
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    source = folder / "scenario.yaml"
    source.write_text(
        source.read_text(encoding="utf-8").replace("id: template\n", f"id: {scenario}\n"), encoding="utf-8"
    )
    return folder

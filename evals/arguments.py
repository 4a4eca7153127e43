"""Reading arguments of the command line: `key=value`, and files of prices."""

from pathlib import Path
from typing import Any

import yaml
from inspect_ai.model import ModelCost
from pydantic import RootModel

from sidedoor.tasks.yaml_source import SourceError, load


class _ModelCosts(RootModel[dict[str, ModelCost]]):
    pass


def model_costs(path: Path | None) -> dict[str, ModelCost]:
    """Prices by model from a YAML or JSON file, in US dollars per million tokens; none without a file.

    Raises:
        SourceError: the file cannot be read, or does not hold prices.
    """
    return load(path, _ModelCosts).root if path else {}


def key_values(pairs: list[str] | None) -> dict[str, Any]:
    """`["shortcut=0.2", "seed=7"]` as a mapping, values read as YAML scalars.

    Raises:
        SourceError: an item without `=`, or a value that is no YAML.
    """
    values = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise SourceError(f"expected key=value, got '{pair}'")
        try:
            values[key] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            raise SourceError(f"the value of '{pair}' cannot be read; put quotes around it") from None
    return values

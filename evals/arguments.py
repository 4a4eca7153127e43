"""Reading `key=value` arguments."""

from typing import Any

import yaml

from sidedoor.tasks.yaml_source import SourceError


def key_values(pairs: list[str] | None) -> dict[str, Any]:
    """`["shortcut=0.2", "seed=7"]` as a mapping, values read as YAML scalars.

    Raises:
        SourceError: an item without `=`.
    """
    values = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise SourceError(f"expected key=value, got '{pair}'")
        values[key] = yaml.safe_load(text)
    return values

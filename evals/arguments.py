"""Reading `key=value` arguments."""

from typing import Any

import yaml

from sidedoor.tasks.yaml_source import SourceError


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

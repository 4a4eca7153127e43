"""Which provider machines come from: the one that was asked for, or the first that works here."""

from collections.abc import Mapping
from typing import Final

from sidedoor.sandboxes.containers import Docker
from sidedoor.sandboxes.embedded.provider import Embedded
from sidedoor.sandboxes.engine import EngineUnavailableError, connect
from sidedoor.sandboxes.machine import Provider, ProviderName, ProviderUnavailableError

SANDBOX_TYPES: Final[Mapping[ProviderName, str]] = {"docker": "sidedoor", "embedded": "sidedoor-embedded"}
"""What Inspect calls each provider's sandboxes, and so every log."""

PROVIDERS: Final[Mapping[ProviderName, Provider]] = {"docker": Docker(), "embedded": Embedded()}
"""In the order of preference."""


def provider_named(name: ProviderName) -> Provider:
    """A provider, whether it works here or not."""
    return PROVIDERS[name]


def chosen_provider(name: str | None) -> ProviderName:
    """The provider of that name; for None, Docker if an engine answers, and otherwise embedded. Blocks for an instant.

    Where neither works, embedded is named: what it lacks is a package, and its message says so.

    Raises:
        ProviderUnavailableError: there is none of that name.
    """
    for known in PROVIDERS:
        if name == known:
            return known
    if name is not None:
        raise ProviderUnavailableError(f"unknown sandbox '{name}' (valid: {', '.join(PROVIDERS)})")
    try:
        connect()
    except EngineUnavailableError:
        return "embedded"
    return "docker"

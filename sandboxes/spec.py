"""What a workplace is made of: which episode it belongs to, its files, its world, what is watched.

Inspect keeps a sandbox's configuration in the log and compares configurations by hash, so the one that it sees,
`Episode`, is small; `sidedoor.sandboxes.prepare` turns it into the full `WorkplaceSpec`.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_LIFETIME_S = 2 * 60 * 60


class Episode(BaseModel):
    """Which episode a container is for: scenario, point in the factors, and the seed of the surface facts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    scenario: str
    factors: Mapping[str, str]
    seed: int

    def __hash__(self) -> int:
        return hash((self.suite, self.scenario, json.dumps(dict(self.factors), sort_keys=True), self.seed))


class EpisodeIdentity(Episode):
    """An episode and the SHA-256 of everything that the scenario was rendered from."""

    content_sha256: str

    __hash__ = Episode.__hash__


class WorldBundle(BaseModel):
    """A world as the container's gateway receives it: sources by module name, and what to build from them.

    Attributes:
        modules: module name to source, in import order. They are executed in memory and never written to a disk.
        entry: `module:Class` of the world.
        factors: passed to the class.
        facts: passed to the class; JSON-able.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modules: Mapping[str, str]
    entry: str
    factors: Mapping[str, str]
    facts: Mapping[str, Any]


class WorkplaceSpec(BaseModel):
    """Everything that a container needs before the agent's first command.

    Attributes:
        identity: copied into the evidence.
        files: path relative to the agent's home, or absolute under `/tmp`, to text. A text that starts with `#!`
            is made executable.
        world: the services behind the programs; None for a workplace without any.
        hostname: the machine's name as the agent sees it.
        watched: globs (`*`, `?`, and `**` across folders), absolute or starting with `~/`, under the agent's home or
            `/tmp`; matching files become evidence.
        lifetime_s: seconds after which the container ends by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: EpisodeIdentity
    files: Mapping[str, str] = Field(default_factory=dict)
    world: WorldBundle | None = None
    hostname: str = "ws-07"
    watched: tuple[str, ...] = ()
    lifetime_s: int = Field(default=DEFAULT_LIFETIME_S, gt=0)

    def __hash__(self) -> int:
        return hash((self.identity, self.hostname, self.watched))

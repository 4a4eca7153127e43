"""From the episode that a log names to the workplace that is set up for it."""

from sidedoor.sandboxes.spec import Episode, EpisodeIdentity, WorkplaceSpec, WorldBundle
from sidedoor.tasks.catalogue import Scenario, load_scenario

LIFETIME_MARGIN_S = 600
"""Beyond a scenario's own time limit: for a slow start, scoring, and waiting for a free place."""


def identify(episode: Episode) -> EpisodeIdentity:
    """The episode with the hash of its scenario's present content.

    Raises:
        SourceError: the scenario is unknown or malformed.
    """
    return EpisodeIdentity(**episode.model_dump(), content_sha256=_scenario(episode).digest)


def prepare(episode: Episode) -> WorkplaceSpec:
    """The workplace of an episode: rendered files, world, watched paths.

    Raises:
        SourceError: the scenario is unknown or malformed.
    """
    scenario = _scenario(episode)
    factors = dict(episode.factors)
    rendered = scenario.render(factors, episode.seed)
    bundle = scenario.bundle
    return WorkplaceSpec(
        identity=identify(episode),
        files=rendered.files,
        world=WorldBundle(modules=bundle.modules, entry=bundle.entry, factors=factors, facts=rendered.facts),
        hostname=rendered.hostname,
        watched=scenario.spec.watched,
        lifetime_s=scenario.spec.limits.minutes * 60 + LIFETIME_MARGIN_S,
    )


def _scenario(episode: Episode) -> Scenario:
    return load_scenario(episode.suite, episode.scenario)

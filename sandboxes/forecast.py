"""Which episodes are to come: Inspect announces every configuration before the first sample begins."""

from collections import Counter
from typing import NamedTuple

from sidedoor.sandboxes.spec import Episode


class _Kind(NamedTuple):
    """What episodes share whose facts are the same."""

    suite: str
    scenario: str
    seed: int


class Forecast:
    """The episodes that were announced, and those that have begun, by what their facts are drawn from.

    Each is announced once, and every model that is asked runs all of them; so they are expected again, round after
    round, but none beyond the last of a round.
    """

    def __init__(self) -> None:
        self._announced: Counter[_Kind] = Counter()
        self._begun: Counter[_Kind] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is announced."""
        return not self._announced.total()

    def announce(self, episode: Episode) -> None:
        """An episode is to come."""
        self._announced[_kind(episode)] += 1

    def withdraw(self, episode: Episode) -> None:
        """Of what was announced, one has been seen to."""
        self._announced[_kind(episode)] -= 1

    def begin(self, episode: Episode) -> None:
        """An episode has begun."""
        self._begun[_kind(episode)] += 1

    def expects_another(self, episode: Episode) -> bool:
        """Whether an episode with the same facts is still to come in this round."""
        kind = _kind(episode)
        announced = self._announced[kind]
        return announced > 0 and self._begun[kind] % announced != 0


def _kind(episode: Episode) -> _Kind:
    return _Kind(episode.suite, episode.scenario, episode.seed)

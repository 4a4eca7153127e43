"""What one sample carries through Inspect from its set-up to its score, kept in the sample's store and the log."""

from typing import Any

from inspect_ai.util import StoreModel
from pydantic import Field

from sidedoor.sandboxes.evidence import Evidence
from sidedoor.sandboxes.spec import Episode


class EpisodeRecord(StoreModel):
    """The episode's identity and, once it has ended, its evidence, whole.

    Attributes:
        episode: which episode this is (an `Episode`, as JSON).
        variant: the variant's name.
        epoch: 1-based.
        script: the reference script that a reference model follows; None for it to choose.
        incidents: kind of incident to how often it happened (`sidedoor.scorers.failures`).
        evidence: the `Evidence`, as JSON; None until it was captured.
    """

    episode: dict[str, Any] | None = None
    variant: str = ""
    epoch: int = 1
    script: str | None = None
    incidents: dict[str, int] = Field(default_factory=dict)
    evidence: dict[str, Any] | None = None

    def identity(self) -> Episode:
        """The episode.

        Raises:
            LookupError: the sample was not set up by a sidedoor task.
        """
        episode = self.episode  # reading a field validates it
        if episode is None:
            raise LookupError("this sample belongs to no episode: it was not made by a sidedoor task")
        return Episode.model_validate(episode)

    def kept_evidence(self) -> Evidence | None:
        """The evidence that was captured, if it was."""
        evidence = self.evidence
        return None if evidence is None else Evidence.model_validate(evidence)

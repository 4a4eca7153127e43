"""How many samples of a model count, and what became of the others: the same figures in a run, a report and a gate."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from sidedoor.scorers.failures import Failure, read_incidents

CountsByKind: TypeAlias = dict[Failure, Annotated[int, Field(ge=1)]]


class Fate(NamedTuple):
    """What became of one sample that ended; `failure` is None if it is valid."""

    failure: Failure | None
    incidents: str = ""


class ModelTally(BaseModel):
    """A model's samples.

    Attributes:
        model: name of the model.
        valid: samples that ended with a valid outcome.
        invalid: samples that ended without one, by the kind of failure.
        incidents: how often something happened that left the outcome as it was, by kind: requests that were repeated,
            refusals, limits. One sample may have several; refusals and limits are behaviour and stay in the rates.
        missing: samples that were planned and have not ended.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    valid: int = Field(ge=0)
    invalid: CountsByKind
    incidents: CountsByKind
    missing: int = Field(ge=0)

    @property
    def samples(self) -> int:
        """Samples that ended."""
        return self.valid + sum(self.invalid.values())


def fate(status: str, failure: str | None, incidents: str | None) -> Fate:
    """What became of a sample, from columns of a table; an invalid one without a kind is of an unknown kind."""
    return Fate(None if status == "ok" else Failure(failure or Failure.UNKNOWN), incidents or "")


def tally_model(model: str, fates: Counter[Fate], missing: int) -> ModelTally:
    """Count a model's samples, of which so many had each fate."""
    invalid, incidents = Counter[Failure](), Counter[Failure]()
    for one, number in fates.items():
        if one.failure is not None:
            invalid[one.failure] += number
        for kind, times in read_incidents(one.incidents).items():
            incidents[kind] += number * times
    return ModelTally(
        model=model,
        valid=fates.total() - invalid.total(),
        invalid=dict(sorted(invalid.items())),
        incidents=dict(sorted(incidents.items())),
        missing=missing,
    )


def kinds_in_words(counts: Mapping[Failure, int]) -> str:
    """`2 api_timeout, 1 machine_died`; `none` if there are none."""
    return ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "none"

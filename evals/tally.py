"""How many samples of a model count, and what became of the others: the same figures in a run, a report and a gate."""

from collections import Counter
from collections.abc import Iterable, Mapping
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
        killed: those of them that were under way when the run was stopped, by the phase that they were in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    valid: int = Field(ge=0)
    invalid: CountsByKind
    incidents: CountsByKind
    missing: int = Field(ge=0)
    killed: CountsByKind = Field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Samples that ended."""
        return self.valid + sum(self.invalid.values())


def fate(status: str, failure: str | None, incidents: str | None) -> Fate:
    """What became of a sample, from columns of a table; an invalid one without a kind is of an unknown kind."""
    return Fate(None if status == "ok" else Failure(failure or Failure.UNKNOWN), incidents or "")


def tally_model(model: str, fates: Counter[Fate], missing: int, killed: Iterable[Failure] = ()) -> ModelTally:
    """Count a model's samples, of which so many had each fate.

    Args:
        model: name of the model.
        fates: of the samples that ended.
        missing: how many did not.
        killed: for each of these that was under way when the run was stopped, in which phase.
    """
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
        killed=dict(sorted(Counter(killed).items())),
    )


def told_missing(missing: int, killed: Mapping[Failure, int]) -> str:
    """`3 (1 killed_in_turn)`: how many samples are missing, and those of them that were under way."""
    return f"{missing} ({kinds_in_words(killed)})" if killed else str(missing)


def kinds_in_words(counts: Mapping[Failure, int]) -> str:
    """`2 api_timeout, 1 machine_died`; `none` if there are none."""
    return ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "none"

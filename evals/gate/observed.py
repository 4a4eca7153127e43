"""What the gate knows of a run: its samples' labels, what is missing, and what the rates depend on besides the model.

Trust boundary: logs and run manifests may come from anyone. A run that cannot be judged is a `DataError`, and the gate
is INVALID; it is never taken for an empty one that passed.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sidedoor.evals.frame.gather import Gathered, NoSampleError, gather
from sidedoor.evals.frame.problems import MissingSample
from sidedoor.evals.frame.rows import ADJUDICATED, FrameRow
from sidedoor.evals.frame.sources import RUN_MANIFEST, find_sources
from sidedoor.evals.tally import Fate, ModelTally, tally_model
from sidedoor.scorers.failures import Failure
from sidedoor.scorers.labels import BINARY_LABELS
from sidedoor.tasks.yaml_source import SourceError, Strict

UNKNOWN: Final = ""
"""The digest of something that a run does not record."""

STUDIES: Final = "judging/*/study.json"
"""Where the declarations of judging studies lie in a run's folder."""

_ModelT = TypeVar("_ModelT", bound=BaseModel)
_LOSSES: Final = ("broken_log", "foreign_log", "unfinished_log", "missing_samples", "broken_judging", "several_studies")
"""Problems that change what is counted; a log that a newer attempt superseded does not."""


class DataError(SourceError):
    """Data that no verdict can be based on; one line that says why. The gate is INVALID.

    Attributes:
        models: what became of the samples of each model, as far as that is known.
    """

    def __init__(self, message: str, models: Sequence[ModelTally] = ()) -> None:
        super().__init__(message)
        self.models = tuple(models)


class Sample(NamedTuple):
    """One sample: its place, what became of it, and its labels after a person's review.

    `key` tells it from any other sample.
    """

    model: str
    scenario: str
    variant: str
    epoch: int
    key: str
    fate: Fate
    labels: Mapping[str, bool | None]

    @property
    def valid(self) -> bool:
        """Whether it has a valid outcome."""
        return self.fate.failure is None

    def outcome(self, label: str) -> bool | None:
        """A label of a valid sample; None where it is unknown or the sample is not valid."""
        return self.labels[label] if self.valid else None


class Cell(NamedTuple):
    """A place of the design."""

    model: str
    scenario: str
    variant: str


class CellCounts(Strict):
    """Sufficient statistics of one cell.

    Attributes:
        model: name of the model.
        scenario: id of the scenario.
        variant: name of the variant.
        samples: samples that ended, valid or not.
        invalid: those of them without a valid outcome.
        missing: samples that were planned and did not end.
        events: label to how many valid samples have it, and for how many that is known. Only labels that were
            measured at all.
    """

    model: str
    scenario: str
    variant: str
    samples: int = Field(ge=0)
    invalid: int = Field(ge=0)
    missing: int = Field(ge=0)
    events: dict[str, tuple[int, int]]

    @model_validator(mode="after")
    def _possible(self) -> "CellCounts":
        valid = self.samples - self.invalid
        for label, (events, known) in self.events.items():
            if label not in BINARY_LABELS or not 0 <= events <= known <= valid:
                raise ValueError(f"impossible counts of {label}: {events} of {known}, with {valid} valid samples")
        return self

    @property
    def cell(self) -> Cell:
        """Where the counts belong."""
        return Cell(self.model, self.scenario, self.variant)


class Digests(Strict):
    """What rates depend on besides the model; empty for what a run does not record, or does not have.

    Attributes:
        scenarios: scenario to its version and content hash.
        scorer: of what derives labels from evidence.
        judges: of the judges' rubric.
        image: tag of the container image, which is its definition's hash.
        agent: of the agent, its limits and its generation settings.
    """

    scenarios: dict[str, str]
    scorer: str = UNKNOWN
    judges: str = UNKNOWN
    image: str = UNKNOWN
    agent: str = UNKNOWN


@dataclass(frozen=True)
class Observed:
    """A run, as the gate sees it.

    Attributes:
        suite: what was run.
        runs: ids of the runs that the samples come from.
        digests: what the rates depend on besides the model.
        samples: in a fixed order that no outcome has an influence on.
        missing: how many samples were planned and are not there, by cell.
        killed: for each of them that was under way when its run was stopped, in which phase, by model.
        lost: how many samples are not there in all, including those whose cell is not known.
        problems: sentences on what was kept out.
        mixed: sentences on samples of another scenario version in the same run.
    """

    suite: str
    runs: tuple[str, ...]
    digests: Digests
    samples: tuple[Sample, ...]
    missing: Mapping[Cell, int]
    lost: int
    problems: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    killed: Mapping[str, Sequence[Failure]] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models with samples, sorted."""
        return tuple(sorted(self._by_model))

    def cells(self) -> tuple[CellCounts, ...]:
        """Counts by cell, sorted."""
        return count_cells(self.samples, self.missing)

    def of_model(self, model: str) -> list[Sample]:
        """Samples of one model."""
        return self._by_model.get(model, [])

    def missing_of(self, model: str) -> int:
        """How many samples of one model were planned and are not there."""
        return sum(count for cell, count in self.missing.items() if cell.model == model)

    def tally(self, model: str) -> ModelTally:
        """What became of the samples of one model."""
        fates = Counter(one.fate for one in self.of_model(model))
        return tally_model(model, fates, self.missing_of(model), self.killed.get(model, ()))

    def tallies(self) -> tuple[ModelTally, ...]:
        """What became of the samples of every model, also of one that has none."""
        return tuple(self.tally(model) for model in sorted({*self._by_model, *(cell.model for cell in self.missing)}))

    @cached_property
    def _by_model(self) -> dict[str, list[Sample]]:
        groups: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            groups[sample.model].append(sample)
        return dict(groups)


class Manifest(BaseModel):
    """What the gate needs of a run's manifest, and the rubrics of its judging studies; whatever else the files say."""

    model_config = ConfigDict(frozen=True)

    versions: dict[str, str] = Field(default_factory=dict)
    image: str = UNKNOWN
    request: dict[str, Any] = Field(default_factory=dict)
    rubrics: tuple[str, ...] = ()


class _Study(BaseModel):
    model_config = ConfigDict(frozen=True)

    rubric_sha256: str


_AGENT: Final = ("solver", "solver_args", "message_limit", "token_limit", "time_limit", "generate")


def observe(path: Path) -> Observed:
    """Read a run, a folder of runs or logs, a log, or an import.

    Raises:
        SourceError: there is no such path.
        DataError: it holds no sample to count, or samples of several suites or set-ups.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such run; give the folder of a run (results/runs/<id>)")
    try:
        return from_samples(gather([path]), _manifests(path))
    except DataError:
        raise
    except NoSampleError as error:
        raise DataError(str(error), _tallies(error.missing)) from None
    except SourceError as error:
        raise DataError(str(error)) from None


def from_samples(found: Gathered, manifests: Sequence[Manifest] = ()) -> Observed:
    """The gate's view of what was read.

    Raises:
        DataError: samples of several suites, or of runs with different set-ups.
    """
    suites = sorted({row.suite for row in found.rows})
    if len(suites) != 1:
        raise DataError(f"samples of several suites ({', '.join(suites)}): gate one suite at a time")
    missing = Counter(Cell(one.model, one.scenario, one.variant) for one in found.missing)
    return Observed(
        suite=suites[0],
        runs=tuple(sorted({row.run for row in found.rows})),
        digests=_digests(found.rows, manifests),
        samples=tuple(sorted(map(_sample, found.rows), key=_order)),
        missing=missing,
        killed=_killed(found.missing),
        lost=max(missing.total(), sum(one.count for one in found.problems if one.kind == "missing_samples")),
        problems=tuple(f"{one.where} {one.what}" for one in found.problems if one.kind in _LOSSES),
        mixed=tuple(one.what for one in found.problems if one.kind == "mixed_content"),
    )


def _tallies(missing: Sequence[MissingSample]) -> list[ModelTally]:
    """What became of the samples of each model, where none has ended."""
    counts, killed = Counter(one.model for one in missing), _killed(missing)
    return [tally_model(model, Counter(), count, killed.get(model, ())) for model, count in sorted(counts.items())]


def _killed(missing: Iterable[MissingSample]) -> dict[str, list[Failure]]:
    found: dict[str, list[Failure]] = defaultdict(list)
    for one in missing:
        if one.killed:
            found[one.model].append(one.killed)
    return dict(found)


def count_cells(samples: Iterable[Sample], missing: Mapping[Cell, int]) -> tuple[CellCounts, ...]:
    """Counts by cell, sorted; a cell of missing samples only is there, too."""
    groups: dict[Cell, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[Cell(sample.model, sample.scenario, sample.variant)].append(sample)
    return tuple(_counts(cell, groups.get(cell, []), missing.get(cell, 0)) for cell in sorted({*groups, *missing}))


def _counts(cell: Cell, samples: Sequence[Sample], missing: int) -> CellCounts:
    events: dict[str, tuple[int, int]] = {}
    for label in BINARY_LABELS:
        known = [outcome for sample in samples if (outcome := sample.outcome(label)) is not None]
        if known:
            events[label] = (sum(known), len(known))
    invalid = sum(not sample.valid for sample in samples)
    return CellCounts(**cell._asdict(), samples=len(samples), invalid=invalid, missing=missing, events=events)


def _sample(row: FrameRow) -> Sample:
    return Sample(
        model=row.model,
        scenario=row.scenario,
        variant=row.variant,
        epoch=row.epoch,
        key=_short(row.sample_uuid or f"{row.run}/{row.model}/{row.sample_id}"),
        fate=row.fate,
        labels={label: getattr(row, f"{ADJUDICATED}{label}") for label in BINARY_LABELS},
    )


def _order(sample: Sample) -> tuple[str, int, str]:
    """By model and epoch; within an epoch in an order that mixes scenarios and variants, the same in every run."""
    return sample.model, sample.epoch, _short(f"{sample.scenario}/{sample.variant}")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _digests(rows: Iterable[FrameRow], manifests: Sequence[Manifest]) -> Digests:
    contents = sorted({(row.scenario, row.version, row.content_sha256 or "") for row in rows})
    scenarios = {scenario: f"{version} {digest}".strip() for scenario, version, digest in contents}
    found = {_set_up(manifest) for manifest in manifests}
    if len(found) > 1:
        raise DataError("the runs there had different scorers, images or agents: gate one run at a time")
    return Digests(scenarios=scenarios, **dict(next(iter(found), ())))


def _set_up(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    versions = manifest.versions
    agent = {name: manifest.request.get(name) for name in _AGENT} | {"code": versions.get("agent")}
    return (
        # A run without a digest of its scorer is known by the release that scored it.
        ("scorer", versions.get("scorer") or f"sidedoor {versions.get('sidedoor', '')}".strip()),
        ("judges", " ".join(sorted(set(manifest.rubrics)))),
        ("image", manifest.image),
        ("agent", hashlib.sha256(json.dumps(agent, sort_keys=True).encode()).hexdigest()),
    )


def _manifests(path: Path) -> list[Manifest]:
    found = []
    for folder in (source.folder for source in find_sources([path]) if source.kind == "run"):
        manifest = _read(folder / RUN_MANIFEST, Manifest)
        studies = [_read(study, _Study) for study in sorted(folder.glob(STUDIES))]
        found.append(manifest.model_copy(update={"rubrics": tuple(study.rubric_sha256 for study in studies)}))
    return found


def _read(path: Path, model: type[_ModelT]) -> _ModelT:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise DataError(f"{path}: malformed: {str(error).splitlines()[0]}") from None

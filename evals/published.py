"""A synthetic cohort whose margins are the published figures of arXiv 2605.06490.

    python -m sidedoor.evals.published results/published/margins.yaml results/imports/instrumental-choices-synthetic

The paper publishes margins and no samples. Here 1,680 rows are filled so that every margin holds: IC events by model,
by variant, of the top three scenarios together and of one model in one scenario; completion and official success by
path. How events fall within the margins is not published and is invented, by the rules below, without chance: what
hangs on it (intervals by scenario, consistency over epochs, leave-one-out) shows the arithmetic, and nothing about the
models. Labels that the paper gives no count of are unknown.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from sidedoor.evals.frame.imported import Imported, write_import
from sidedoor.evals.frame.rows import LABELS, FrameRow, unadjudicated
from sidedoor.tasks.catalogue import load_suite
from sidedoor.tasks.schema import check_factors
from sidedoor.tasks.yaml_source import SourceError, Strict, load

STUDY: Final = "instrumental-choices"
ADJUDICATED_BY: Final = "arXiv 2605.06490, trace review"


class Fixed(Strict):
    """A published count of one model in one scenario."""

    model: str
    scenario: str
    events: int


class Margins(Strict):
    """`margins.yaml`: what is published, as counts.

    Attributes:
        epochs: repetitions of each cell.
        ic_raw: IC events before trace review.
        ic_by_model: IC events after it.
        ic_by_variant: the same by variant.
        ic_by_scenario: the same by scenario; only the sum of the first three is published.
        ic_in_cell: a published count of one model in one scenario.
        completed_open: completed samples where the honest path is open.
        completed_blocked: completed samples where it is blocked.
        official_open: samples that did all of the official workflow where it is open.
    """

    epochs: int
    ic_raw: int
    ic_by_model: Mapping[str, int]
    ic_by_variant: Mapping[str, int]
    ic_by_scenario: Mapping[str, int]
    ic_in_cell: Fixed
    completed_open: int
    completed_blocked: int
    official_open: int

    def check(self) -> None:
        """Raise SourceError unless every margin adds up to the same number of events."""
        totals = {sum(one.values()) for one in (self.ic_by_model, self.ic_by_variant, self.ic_by_scenario)}
        if len(totals) > 1:
            raise SourceError(f"the margins disagree about the number of IC events: {sorted(totals)}")


class Place(NamedTuple):
    """One sample of the design."""

    model: str
    scenario: str
    variant: str
    epoch: int


def cohort(margins: Margins) -> Imported:
    """The cohort as an import, which any command reads like a run.

    Raises:
        SourceError: the margins contradict each other, or no design of this size can have them.
    """
    margins.check()
    events = _events(margins)
    completed, official = _honest(margins, events)
    # The review found what the first count had missed; which events those were is not published, so that they are
    # put where they move a model's rate least.
    by_count = sorted(events, key=lambda place: (-margins.ic_by_model[place.model], place))
    overlooked = set(by_count[: len(events) - margins.ic_raw])
    rows = tuple(
        _row(place, place in events, place in overlooked, place in completed, place in official)
        for place in _design(margins)
    )
    return Imported(study=STUDY, origin="margins of arXiv 2605.06490", rows=rows, notes=(_NOTE,))


_NOTE: Final = (
    "Synthetic: rebuilt from published margins. How events fall within the margins is invented; labels without a "
    "published count are unknown."
)


def _design(margins: Margins) -> Iterator[Place]:
    epochs = range(1, margins.epochs + 1)
    for cell in product(margins.ic_by_model, margins.ic_by_scenario, margins.ic_by_variant, epochs):
        yield Place(*cell)


def _events(margins: Margins) -> set[Place]:
    """Samples with an IC event: model by scenario first, then each of those counts over the variants."""
    open_variants = Counter(margins.ic_by_variant)
    events: set[Place] = set()
    # Largest first: what has least freedom is placed while most is left.
    for (model, scenario), count in _models_by_scenarios(margins).most_common():
        taken: Counter[str] = Counter()
        for _ in range(count):
            free = [variant for variant in open_variants if taken[variant] < margins.epochs]
            variant = max(free, key=open_variants.__getitem__, default=None)
            if variant is None or not open_variants[variant]:
                raise SourceError("no design of this size has these margins by variant")
            taken[variant] += 1
            open_variants[variant] -= 1
            events.add(Place(model, scenario, variant, taken[variant]))
    return events


def _models_by_scenarios(margins: Margins) -> Counter[tuple[str, str]]:
    """IC events by model and scenario: the published cell, and the others one by one where most are still to place."""
    fixed = margins.ic_in_cell
    table = Counter({(fixed.model, fixed.scenario): fixed.events})
    models, scenarios = Counter(margins.ic_by_model), Counter(margins.ic_by_scenario)
    models[fixed.model] -= fixed.events
    scenarios[fixed.scenario] -= fixed.events
    room = margins.epochs * len(margins.ic_by_variant)
    while model := next((name for name, left in models.most_common(1) if left), None):
        free = [
            name
            for name in scenarios
            if scenarios[name] > 0 and table[model, name] < room and (model, name) != (fixed.model, fixed.scenario)
        ]
        if not free:
            raise SourceError("no design of this size has these margins by model and scenario")
        scenario = max(free, key=scenarios.__getitem__)
        table[model, scenario] += 1
        models[model] -= 1
        scenarios[scenario] -= 1
    return table


def _honest(margins: Margins, events: set[Place]) -> tuple[set[Place], set[Place]]:
    """Samples that completed, and those that did all of the official workflow.

    An open cell without a shortcut is completed the official way; a blocked one is completed by a shortcut alone.
    Samples short of that have no shortcut if possible, and are spread over the models: none of them stands out.
    """
    spread = sorted(_design(margins), key=lambda place: (place.epoch, place.variant, place.scenario, place.model))
    blocked = {name for name, factors in _factors().items() if factors["honest_path"] == "blocked"}
    honest_first = sorted((place for place in spread if place.variant not in blocked), key=events.__contains__)
    official = honest_first[: margins.official_open]
    if not events.isdisjoint(official):
        raise SourceError("the official workflow succeeds more often than samples without a shortcut allow")
    others = sorted(honest_first[margins.official_open :], key=events.__contains__, reverse=True)
    by_shortcut = [place for place in spread if place.variant in blocked and place in events]
    completed = [*official, *others][: margins.completed_open] + by_shortcut[: margins.completed_blocked]
    return set(completed), set(official)


def _row(place: Place, event: bool, overlooked: bool, completed: bool, official: bool) -> FrameRow:
    factors = _factors()[place.variant]
    labels: dict[str, bool | str | None] = dict.fromkeys(LABELS)
    labels["benchmark_task_completed"] = completed
    # Official success is published for the open path only.
    labels["official_path_succeeded"] = official if factors["honest_path"] == "open" else None
    adjudicated = unadjudicated(labels | {"ic_behavior_detected": event})
    labels["ic_behavior_detected"] = event and not overlooked
    return FrameRow(
        **labels,
        **adjudicated,
        **place._asdict(),
        run="",
        suite=STUDY,
        sample_id=f"{place.scenario}-{place.variant}-{place.epoch}",
        status="ok",
        invalid_reason=None,
        behaviours="",
        shortcuts="",
        **dict.fromkeys(_UNPUBLISHED),
        adjudicated_by=ADJUDICATED_BY if overlooked else None,
        source="",
        source_kind="import",
        log="",
        version="",
        factors=factors,
    )


_UNPUBLISHED: Final = (
    *("first_violation_step", "steps", "sim_hours", "messages", "input_tokens", "output_tokens", "seconds"),
    *("evidence_sha256", "log_sha256", "sample_uuid", "content_sha256", "seed", "limit", "error_type"),
)


def _factors() -> dict[str, dict[str, str]]:
    """Levels of the factors by variant; our letters are the published ones."""
    return {name: check_factors(variant.factors) for name, variant in load_suite("instrumental").variants.items()}


def main() -> None:
    """Write the cohort where `sidedoor report` and `sidedoor compare` can read it."""
    parser = argparse.ArgumentParser(description="Rebuild a synthetic cohort from published margins.")
    parser.add_argument("margins", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        write_import(arguments.folder, cohort(load(arguments.margins, Margins)))
    except SourceError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

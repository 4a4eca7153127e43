"""Making, accepting, showing and comparing baselines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.gate.baseline import (
    Baseline,
    Step,
    append_log,
    make_baseline,
    read_baseline,
    read_log,
    write_baseline,
)
from sidedoor.evals.gate.cases import statistical_cases
from sidedoor.evals.gate.observed import CellCounts, observe
from sidedoor.evals.gate.outputs.text import headline
from sidedoor.evals.gate.policy import SET_UP, Policy, load_policy
from sidedoor.evals.gate.result import Verdict
from sidedoor.evals.gate.sides import Pairing
from sidedoor.evals.gate.verdict import judge
from sidedoor.evals.gate.wording import percent, plural, points
from sidedoor.scorers.labels import BINARY_LABELS
from sidedoor.tasks.yaml_source import SourceError

REFUSED: Final[tuple[Verdict, ...]] = ("INCONCLUSIVE", "INVALID")


class RefusedError(SourceError):
    """A change of a baseline that the gate's verdict does not support."""

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


def create(run: Path, path: Path, reason: str) -> Iterator[str]:
    """Make a baseline of a run; yields what was made, in lines.

    Raises:
        SourceError: there is a baseline already, or it cannot be written.
        DataError: the run holds no sample to count.
    """
    if path.exists():
        raise SourceError(f"{path}: there is a baseline already; change it with sidedoor baseline update")
    observed = observe(run)
    baseline = make_baseline(observed, path.stem, reason)
    write_baseline(path, baseline)
    yield f"written: {path}"
    yield from _summary(baseline)
    yield from (f"note: {problem}" for problem in (*observed.mixed, *observed.problems))


def update(path: Path, run: Path, policy_path: Path, reason: str, force: bool) -> Iterator[str]:
    """Replace a baseline by a run, and log why.

    Raises:
        RefusedError: the gate is INCONCLUSIVE or INVALID for the run, and the change is not forced.
        SourceError: no reason, or a file cannot be used.
        DataError: the run or the baseline cannot be read.
    """
    if not reason.strip():
        raise SourceError("--reason: say why the baseline changes; it is kept in the log")
    policy, old, observed = load_policy(policy_path), read_baseline(path), observe(run)
    if not old.keys.isdisjoint(sample.key for sample in observed.samples):
        raise SourceError(f"{run}: the baseline was made from this run: there is nothing to change")
    result = judge(observed, old, policy)
    if result.verdict in REFUSED and not force:
        raise RefusedError(f"not changed, {headline(result)}; --force to change it all the same", result.verdict)
    new = make_baseline(observed, path.stem, reason)
    step = Step(
        at=new.created,
        reason=reason,
        verdict=result.verdict,
        forced=result.verdict in REFUSED,
        runs=new.runs,
        replaced=old.model_copy(update={"samples": {}}),
    )
    append_log(path, step)
    write_baseline(path, new)
    yield f"changed: {path} ({headline(result)})"
    yield from compare(old, new)
    yield from (f"warning: {one}" for one in drift(read_log(path), new, policy))


def show(path: Path) -> Iterator[str]:
    """A baseline in lines: what it is, its rates, and how it came about.

    Raises:
        SourceError: there is no such file.
        DataError: it is not a baseline.
    """
    baseline = read_baseline(path)
    yield f"{baseline.name}: suite {baseline.suite}, made {baseline.created}: {baseline.reason}"
    yield from _summary(baseline)
    for part in SET_UP:
        yield f"{part}: {getattr(baseline.digests, part) or 'not recorded'}"
    for scenario, content in baseline.digests.scenarios.items():
        yield f"scenario {scenario}: {content}"
    for step in read_log(path):
        forced = ", forced" if step.forced else ""
        yield f"changed {step.at} ({step.verdict}{forced}): {step.reason}"


def diff(old: Path, new: Path) -> Iterator[str]:
    """What differs between two baselines, in lines.

    Raises:
        SourceError: there is no such file.
        DataError: one is not a baseline.
    """
    yield from compare(read_baseline(old), read_baseline(new))


def compare(old: Baseline, new: Baseline) -> Iterator[str]:
    """What differs between two baselines: parts, rates by model, and cells."""
    if old.suite != new.suite:
        yield f"suite: {old.suite} -> {new.suite}"
    for part in SET_UP:
        before, after = getattr(old.digests, part), getattr(new.digests, part)
        if before != after:
            yield f"{part}: {before or 'not recorded'} -> {after or 'not recorded'}"
    for scenario in sorted({*old.digests.scenarios, *new.digests.scenarios}):
        contents = (old.digests.scenarios.get(scenario, "none"), new.digests.scenarios.get(scenario, "none"))
        if contents[0] != contents[1]:
            yield f"scenario {scenario}: {contents[0]} -> {contents[1]}"
    for model in sorted({*old.models, *new.models}):
        yield from _changed_rates(model, old.of_model(model), new.of_model(model))
    before_cells, after_cells = ({one.cell: one for one in side.cells} for side in (old, new))
    changed = [cell for cell in {**before_cells, **after_cells} if before_cells.get(cell) != after_cells.get(cell)]
    yield f"{len(changed)} of {plural(len({**before_cells, **after_cells}), 'cell')} changed"


def drift(steps: Sequence[Step], new: Baseline, policy: Policy) -> Iterator[str]:
    """Where several accepted steps add up: what is worse than in the oldest baseline that the log keeps."""
    if len(steps) < 2:
        return
    oldest = steps[0].replaced
    same = {name for name, content in oldest.digests.scenarios.items() if new.digests.scenarios.get(name) == content}
    for model in sorted({*oldest.models} & {*new.models}):
        before, after = ([one for one in side.of_model(model) if one.scenario in same] for side in (oldest, new))
        if not before or not after:
            continue
        for case in statistical_cases([Pairing(model, after, model, before)], policy):
            found, margin = case.found, case.threshold
            if case.test != "difference" or found is None or found.estimate is None or margin is None:
                continue
            if found.low > 0 or found.estimate >= margin:
                yield (
                    f"{case.outcome} of {model} ({case.contrast}): {points(found.estimate)} points since "
                    f"{oldest.created}, over {plural(len(steps), 'accepted change')}; each of them was let through"
                )


def _summary(baseline: Baseline) -> Iterator[str]:
    for model in baseline.models:
        cells = baseline.of_model(model)
        samples, invalid = sum(one.samples for one in cells), sum(one.invalid for one in cells)
        yield f"{model}: {plural(samples, 'sample')} in {plural(len(cells), 'cell')}, {invalid} invalid"
        for label in BINARY_LABELS:
            events, known = _pooled(cells, label)
            if known:
                rate = wilson(events, known)
                interval = f"{percent(rate.low)} to {percent(rate.high)}"
                yield f"  {label}: {events}/{known}, {percent(events / known)} ({interval})"


def _changed_rates(model: str, before: Sequence[CellCounts], after: Sequence[CellCounts]) -> Iterator[str]:
    for label in BINARY_LABELS:
        (x0, n0), (x1, n1) = _pooled(before, label), _pooled(after, label)
        if (x0, n0) != (x1, n1):
            change = f" ({points(x1 / n1 - x0 / n0)} points)" if n0 and n1 else ""
            yield f"{model}, {label}: {x0}/{n0} -> {x1}/{n1}{change}"


def _pooled(cells: Sequence[CellCounts], label: str) -> tuple[int, int]:
    counts = [one.events.get(label, (0, 0)) for one in cells]
    return sum(events for events, _ in counts), sum(known for _, known in counts)
